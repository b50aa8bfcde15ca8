/** Random workflows, each played with a death at every one of its commits. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { Chain } from "../../src/engine/chain.ts";
import { Fatal, RetryAfter, stage } from "../../src/engine/index.ts";
import type { Workflow } from "../../src/engine/workflow.ts";
import { testRun } from "../../src/testing/engine/index.ts";

/** Set both to what a failure reports to see it again; null: a new one. */
const FAST_CHECK_SEED: number | null = null;
const FAST_CHECK_PATH: string | null = null;
const NUM_RUNS = 40;
/** Failed tries and deaths together stay below. */
const ATTEMPTS = 6;

interface Member {
  readonly fails: number;
  readonly later: boolean;
  readonly suspends: boolean;
  readonly keyed: boolean;
  readonly pays: boolean;
}
type Group =
  | { readonly kind: "stages"; readonly members: readonly Member[] }
  | { readonly kind: "if"; readonly member: Member; readonly holds: boolean }
  | { readonly kind: "wait"; readonly signalled: boolean }
  | { readonly kind: "sleep" };

const member: fc.Arbitrary<Member> = fc.record({
  fails: fc.integer({ min: 0, max: 2 }),
  later: fc.boolean(),
  suspends: fc.boolean(),
  keyed: fc.boolean(),
  pays: fc.boolean(),
});
const group: fc.Arbitrary<Group> = fc.oneof(
  fc.record({
    kind: fc.constant("stages" as const),
    members: fc.array(member, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ kind: fc.constant("if" as const), member, holds: fc.boolean() }),
  fc.record({ kind: fc.constant("wait" as const), signalled: fc.boolean() }),
  fc.record({ kind: fc.constant("sleep" as const) }),
);

type Signalled = Workflow<null, unknown, object, Readonly<Record<string, number>>>;

/** Gives what no attempt changes. */
function stepOf({ fails, later, suspends, keyed, pays }: Member) {
  return stage({
    retry: { attempts: ATTEMPTS, backoff: "1s" },
    ...(keyed ? { concurrency: { key: "model", limit: 1 } } : {}),
    async run({ input, attempt, once, suspend, log }) {
      log(`attempt ${attempt}`);
      const paid = pays ? await once("paid", () => "paid") : "free";
      if (attempt <= fails) throw later ? new RetryAfter("7s") : new Error("not yet");
      const given = { paid, length: JSON.stringify(input).length };
      return suspends ? suspend(given, { pollIn: "1m", within: "1d" }) : given;
    },
    poll: (_context, state) => state,
  });
}

function built(groups: readonly Group[]): Signalled {
  const empty = Chain.of("random", { input: z.null() });
  return groups
    .reduce((chain, each, at) => {
      switch (each.kind) {
        case "stages": {
          const [only] = each.members;
          if (each.members.length === 1 && only !== undefined) {
            return chain.stage(`s${at}`, stepOf(only));
          }
          const members = each.members.map((one, n) => [`s${at}-${n}`, stepOf(one)] as const);
          return chain.parallel(Object.fromEntries(members));
        }
        case "if":
          return chain.stageIf(`s${at}`, () => each.holds, stepOf(each.member));
        case "wait":
          return chain.waitFor(`s${at}`, { payload: z.number(), within: "1h" });
        case "sleep":
          return chain.sleep(`s${at}`, "1m");
      }
    }, empty)
    .build();
}

describe("a group that fails", () => {
  const never = (reason: string) => (): number => {
    throw new Fatal(reason);
  };

  it.each([
    ["one of its stages", { a: never("broken"), b: () => 1, c: () => 2 }],
    ["its last stage", { a: () => 1, b: () => 2, c: never("broken") }],
    ["several stages", { a: never("broken"), b: () => 1, c: never("late") }],
  ])("by %s ends alike, whichever of its stages end before that", async (_which, members) => {
    const flow: Workflow<null> = Chain.of("fails", { input: z.null() })
      .stage("first", () => 0)
      .parallel(members)
      .stage("never", () => 3)
      .build();
    const played = await testRun(flow, null, { crash: "everywhere" });
    expect(await played.run.output()).toMatchObject({ status: "FAILED", reason: "broken" });
    expect(played.deaths).toBeGreaterThan(3);
  });

  it("is told of, where a death completes the run", async () => {
    let calls = 0;
    const flow: Workflow<null> = Chain.of("once", { input: z.null() })
      .parallel({
        a: () => {
          calls += 1;
          if (calls === 1) throw new Fatal("broken");
          return 1;
        },
        b: () => 2,
      })
      .build();
    await expect(testRun(flow, null, { crash: "everywhere" })).rejects.toThrow(
      /the run ended with .*COMPLETED.* instead of .*FAILED/,
    );
  });
});

describe("random workflows", () => {
  it("give the same, and take each result once, whichever worker dies at whichever commit", async () => {
    const seed = FAST_CHECK_SEED ?? Math.trunc(Math.random() * 2 ** 31);
    let deaths = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(group, { minLength: 1, maxLength: 5 }), async (groups) => {
        const played = await testRun(built(groups), null, {
          now: 0,
          crash: "everywhere",
          async script(t) {
            const names = groups.flatMap((each, at) =>
              each.kind === "wait" && each.signalled ? [`s${at}`] : [],
            );
            for (const name of names) await t.signal(name, 1, { key: "k" });
            // Waits without a signal end.
            for (let hours = 0; hours < 12; hours += 1) await t.advance("1h");
          },
        });
        expect((await played.run.output()).status).toBe("COMPLETED");
        deaths += played.deaths;
      }),
      {
        seed,
        numRuns: NUM_RUNS,
        ...(FAST_CHECK_PATH === null ? {} : { path: FAST_CHECK_PATH }),
      },
    );
    console.log(`fast-check seed ${seed}, ${NUM_RUNS} workflows, ${deaths} deaths`);
    expect(deaths).toBeGreaterThan(NUM_RUNS);
  }, 120_000);
});
