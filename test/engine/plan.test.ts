import * as z from "zod";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stage, type StandardSchema, workflow } from "../../src/engine/index.ts";
import { Chain } from "../../src/engine/chain.ts";
import { GROUP_MAX, STAGES_MAX } from "../../src/engine/limits.ts";
import { handWritten, refusalOf } from "./support.ts";

const input = z.null();
const payload = z.object({ ok: z.boolean() });
const base = workflow("w", { input });
/** As `workflow`, for what the compiler refuses. */
const chain = (id = "w") => Chain.of(id, { input });
const one = () => 1;

describe("a plan", () => {
  const when = () => true;
  const decide = () => "8h" as const;
  const ocr = stage({ run: one, retry: { attempts: 9, backoff: "1s", cap: "1m" }, timeout: "10m" });
  const { plan } = base
    .stage("extract", one)
    .parallel({ links: one, ocr })
    .stageIf("again", when, ocr, { name: "Once more", timeout: "30s" })
    .waitFor("approval", { payload, within: "3d" })
    .sleep("nap", "5m")
    .sleep("night", decide)
    .build();

  it("has the elements in groups, numbered in order", () => {
    const placed = plan.groups.map((group) =>
      group.map((element) => [element.group, element.number, element.kind, element.id]),
    );
    expect(placed).toEqual([
      [[1, 1, "stage", "extract"]],
      [
        [2, 2, "stage", "links"],
        [2, 3, "stage", "ocr"],
      ],
      [[3, 4, "conditional", "again"]],
      [[4, 5, "wait", "approval"]],
      [[5, 6, "sleep", "nap"]],
      [[6, 7, "sleep", "night"]],
    ]);
  });

  it("finds each by its id", () => {
    expect([...plan.byId.entries()]).toEqual(
      plan.groups.flat().map((element) => [element.id, element]),
    );
  });

  it("gives a plain function what a stage has by default", () => {
    expect(plan.byId.get("extract")).toEqual({
      kind: "stage",
      id: "extract",
      name: "extract",
      group: 1,
      number: 1,
      step: { run: one },
      retry: { attempts: 3, backoffMs: 2_000, capMs: 3_600_000 },
      timeoutMs: null,
      concurrency: null,
    });
  });

  it("has a stage's own options, in milliseconds", () => {
    expect(plan.byId.get("ocr")).toMatchObject({
      step: ocr.definition,
      retry: { attempts: 9, backoffMs: 1_000, capMs: 60_000 },
      timeoutMs: 600_000,
    });
  });

  it("lets the workflow's options go before the stage's, member by member", () => {
    expect(plan.byId.get("again")).toMatchObject({
      when,
      name: "Once more",
      retry: { attempts: 9, backoffMs: 1_000, capMs: 60_000 },
      timeoutMs: 30_000,
    });
  });

  it("has a wait's time and schema, and a sleep's time or function", () => {
    expect(plan.byId.get("approval")).toMatchObject({ payload, timeoutMs: 259_200_000 });
    expect(plan.byId.get("nap")).toMatchObject({ duration: { ms: 300_000 } });
    expect(plan.byId.get("night")).toMatchObject({ duration: { decide } });
  });

  it("is every group in the order in which it was added, for any groups", () => {
    const groups = fc
      .uniqueArray(fc.stringMatching(/^[a-z][a-z0-9]{0,4}$/), { minLength: 1, maxLength: 40 })
      .chain((ids) =>
        fc.array(fc.integer({ min: 1, max: 5 })).map((sizes) => {
          const rest = [...ids];
          const cut = sizes.map((size) => rest.splice(0, size)).concat([rest]);
          return cut.filter((group) => group.length > 0);
        }),
      );
    fc.assert(
      fc.property(groups, (ids) => {
        const built = ids
          .reduce(
            (begun, group) => begun.parallel(Object.fromEntries(group.map((id) => [id, one]))),
            chain(),
          )
          .build();
        expect(built.plan.groups.map((group) => group.map(({ id }) => id))).toEqual(ids);
        const all = built.plan.groups.flat();
        expect(all.map(({ number }) => number)).toEqual(all.map((_, index) => index + 1));
        expect([...built.plan.byId.keys()]).toEqual(ids.flat());
      }),
    );
  });
});

describe("a builder", () => {
  it("stays as it was when something is added: two workflows may begin alike", () => {
    const begun = base.stage("a", one);
    const first = begun.stage("b", one).build();
    const second = begun.sleep("b", "1s").stage("c", one).build();
    expect([...begun.build().plan.byId.keys()]).toEqual(["a"]);
    expect([...first.plan.byId.keys()]).toEqual(["a", "b"]);
    expect([...second.plan.byId.keys()]).toEqual(["a", "b", "c"]);
  });

  it("runs nothing that it is given", () => {
    const fail = () => {
      throw new Error("run while the workflow is built");
    };
    const schema = handWritten<null>(fail);
    const careful = stage({ input: schema, config: schema, run: fail, poll: fail });
    expect(() =>
      workflow("w", { input: schema })
        .stage("a", careful)
        .stageIf("b", fail, fail)
        .parallel({ c: fail })
        .sleep("d", fail)
        .waitFor("e", { payload: schema, within: "1s" })
        .build(),
    ).not.toThrow();
  });
});

describe("ids", () => {
  it.each([
    ["", "The id of a stage must not be empty"],
    [".", 'The id of a stage must not be "." or "..", which no path can carry'],
    ["a\0b", "The id of a stage must not hold NUL or a lone surrogate"],
    ["\ud800", "The id of a stage must not hold NUL or a lone surrogate"],
    ["~a", "No stage can have the id"],
    ["__proto__", "No stage can have the id"],
    ["taken", 'There is a stage "taken" already'],
  ])("of stages are refused: %j", async (id, says) => {
    const begun = chain().stage("taken", one);
    const schema = handWritten<null>(() => []);
    for (const add of [
      () => begun.stage(id, one),
      () => begun.stageIf(id, () => true, one),
      () => begun.parallel({ fine: one, [id]: one }),
      () => begun.waitFor(id, { payload: schema, within: 1 }),
      () => begun.sleep(id, 1),
    ]) {
      const error = await refusalOf(add);
      expect(error.code).toBe("INVALID_ARGUMENT");
      expect(error.message).toContain(says);
      expect(error.details).toMatchObject({ field: "id" });
    }
  });

  it("of stages are at most 512 bytes of UTF-8, as the contract's are", async () => {
    expect(() => chain().stage("ä".repeat(256), one)).not.toThrow();
    const error = await refusalOf(() => chain().stage(`${"ä".repeat(256)}a`, one));
    expect(error.details).toEqual({ field: "id", limit: 512, size: 513 });
    expect(error.message).toMatch(
      /^The id of a stage must be at most 512 bytes of UTF-8, got 513; got "ä{59}\.\.\.$/,
    );
  });

  it("of workflows are as limited", async () => {
    const error = await refusalOf(() => workflow("", { input }));
    expect(error.message).toBe('The id of a workflow must not be empty; got ""');
    const number = await refusalOf(() => workflow(5 as unknown as string, { input }));
    expect(number.message).toBe("The id of a workflow must be a string; got 5");
  });

  it("may be any other text that the contract stores", () => {
    const unit = fc.integer({ min: 0, max: 0x10ffff }).map((code) => String.fromCodePoint(code));
    const ids = fc.string({ unit, minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(
        ids.filter((id) => id.isWellFormed() && !/\0|^~|^\.\.?$|^__proto__$/.test(id)),
        (id) => {
          const built = chain()
            .stage("taken!", one)
            .parallel({ [id]: one })
            .build();
          expect([...built.plan.byId.keys()]).toEqual(["taken!", id]);
        },
      ),
    );
  });
});

describe("the size of a workflow", () => {
  const group = (prefix: string, size: number) =>
    Object.fromEntries(Array.from({ length: size }, (_, index) => [`${prefix}${index}`, one]));

  it(`is ${STAGES_MAX} stages at most`, async () => {
    const full = Array.from({ length: STAGES_MAX }, (_, index) => `s${index}`).reduce(
      (begun, id) => begun.stage(id, one),
      chain(),
    );
    expect(full.build().plan.byId.size).toBe(STAGES_MAX);
    const error = await refusalOf(() => full.sleep("one more", 1));
    expect(error.message).toBe("A workflow must have at most 600 stages, got 601");
    expect(error.details).toEqual({ field: "stages", size: 601, limit: 600 });
  });

  it(`is ${GROUP_MAX} stages at most in a group`, async () => {
    expect(chain().parallel(group("a", GROUP_MAX)).build().plan.groups[0]).toHaveLength(GROUP_MAX);
    const error = await refusalOf(() => chain().parallel(group("a", GROUP_MAX + 1)));
    expect(error.message).toBe("A parallel group must have at most 500 stages, got 501");
  });

  it("is at least one stage, in each group too", async () => {
    // @ts-expect-error it has none
    expect((await refusalOf(() => base.build())).message).toBe("A workflow must have a stage");
    // @ts-expect-error it has none
    expect((await refusalOf(() => base.parallel({}))).message).toBe(
      "A parallel group must have a stage",
    );
  });
});

describe("an option that is out of range is refused, with the stage, the field and the limit", () => {
  it.each<[string, object, string, object]>([
    [
      "no attempts",
      { retry: { attempts: 0 } },
      "retry.attempts must be a whole number of at least 1; got 0",
      { field: "retry.attempts", limit: 1 },
    ],
    [
      "too many attempts",
      { retry: { attempts: 1_001 } },
      "retry.attempts must be a whole number of at most 1000; got 1001",
      { field: "retry.attempts", limit: 1_000 },
    ],
    [
      "half an attempt",
      { retry: { attempts: 1.5 } },
      "retry.attempts must be a whole number; got 1.5",
      { field: "retry.attempts" },
    ],
    [
      "a cap below the backoff",
      { retry: { backoff: "10s", cap: "5s" } },
      'retry.cap must be at least 10s; got "5s"',
      { field: "retry.cap", limit: 10_000 },
    ],
    [
      "an endless backoff",
      { retry: { backoff: "32d" } },
      'retry.backoff must be at most 31d; got "32d"',
      { field: "retry.backoff", limit: 2_678_400_000 },
    ],
    [
      "an endless cap",
      { retry: { cap: "32d" } },
      'retry.cap must be at most 31d; got "32d"',
      { field: "retry.cap", limit: 2_678_400_000 },
    ],
    [
      "a timeout beyond a consumer's time",
      { timeout: "15m" },
      'timeout must be at most 14m; got "15m"',
      { field: "timeout", limit: 840_000 },
    ],
    [
      "no time",
      { timeout: 0 },
      "timeout must be at least 1ms; got 0",
      { field: "timeout", limit: 1 },
    ],
    [
      "no concurrency",
      { concurrency: { key: "k", limit: 0 } },
      "concurrency.limit must be a whole number of at least 1; got 0",
      { field: "concurrency.limit", limit: 1 },
    ],
    [
      "a key that is no text",
      { concurrency: { key: 5, limit: 1 } },
      "concurrency.key must be a string; got 5",
      { field: "concurrency.key" },
    ],
    ["a name that is no text", { name: 5 }, "name must be a string; got 5", { field: "name" }],
  ])("%s", async (_what, options, says, details) => {
    const own = stage({ run: one, ...options });
    for (const add of [
      () => chain().stage("slow", one, options),
      () => chain().stageIf("slow", () => true, one, options),
      () => chain().stage("slow", own),
      () => chain().parallel({ slow: own }),
    ]) {
      const error = await refusalOf(add);
      expect(error.message).toBe(`Stage "slow": ${says}`);
      expect(error.details).toEqual({ ...details, stage: "slow" });
    }
  });

  it("a wait or sleep that never ends", async () => {
    const wait = await refusalOf(() => base.waitFor("w", { payload, within: "9999d" }));
    expect(wait.message).toBe('Stage "w": within must be at most 3650d; got "9999d"');
    const now = await refusalOf(() => base.waitFor("w", { payload, within: 0 }));
    expect(now.message).toBe('Stage "w": within must be at least 1ms; got 0');
    const sleep = await refusalOf(() => base.sleep("s", "9999d"));
    expect(sleep.message).toBe('Stage "s": sleep must be at most 3650d; got "9999d"');
  });

  it("a long backoff has a cap as long", () => {
    const { plan } = base.stage("a", one, { retry: { backoff: "2h" } }).build();
    expect(plan.byId.get("a")).toMatchObject({ retry: { backoffMs: 7_200_000, capMs: 7_200_000 } });
  });
});

describe("what is no stage and no schema is refused", () => {
  const notASchema = {} as StandardSchema;
  it.each<[string, () => unknown, string]>([
    ["run", () => stage({ run: 5 as never }), "run must be a function"],
    ["poll", () => stage({ run: one, poll: 5 as never }), "poll must be a function"],
    [
      "input",
      () => stage({ input: notASchema, run: one }),
      "input must be a schema that speaks Standard Schema 1, such as one of zod, valibot or arktype",
    ],
    ["output", () => stage({ output: notASchema, run: one }), "output must be a schema"],
    ["config", () => stage({ config: notASchema, run: one }), "config must be a schema"],
    ["input", () => workflow("w", { input: notASchema }), "input must be a schema"],
    [
      "payload",
      () => base.waitFor("x", { payload: notASchema, within: 1 }),
      'Stage "x": payload must be a schema',
    ],
    ["when", () => chain().stageIf("x", 5 as never, one), 'Stage "x": when must be a function'],
    [
      "step",
      () => chain().stage("x", {} as never),
      'Stage "x": step must be a function, or be made by stage()',
    ],
    [
      "step",
      () => chain().parallel({ x: null as never }),
      'Stage "x": step must be a function, or be made by stage()',
    ],
  ])("%s", async (field, make, says) => {
    const error = await refusalOf(make);
    expect(error.message).toContain(says);
    expect(error.details).toMatchObject({ field });
  });

  it("a schema may be a function with members, as arktype's are", () => {
    const schema = Object.assign(
      () => 1,
      handWritten<null>(() => []),
    );
    expect(() => workflow("w", { input: schema })).not.toThrow();
  });

  it.each([[null], [5], [{ version: 2, validate: one }], [{ version: 1 }]])(
    "a schema whose standard is %j is none",
    async (standard) => {
      const schema = { "~standard": standard } as never;
      const error = await refusalOf(() => workflow("w", { input: schema }));
      expect(error.message).toContain("input must be a schema");
    },
  );
});
