/** Random workflows, and what happens to their runs at random instants, against a plain model. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { Chain } from "../../src/engine/chain.ts";
import { Fatal, RetryAfter, stage } from "../../src/engine/index.ts";
import { fnv1a64 } from "../../src/engine/shape.ts";
import type { Run } from "../../src/engine/runs.ts";
import type { Workflow } from "../../src/engine/workflow.ts";
import { isServiceError } from "../../src/contract/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { Engine, NOW } from "./support/engine.ts";
import {
  type Act,
  BACKOFF_MS,
  type During,
  type Element,
  type Groups,
  holdsAt,
  LATER_MS,
  Model,
  POLL_MS,
  WITHIN_MS,
  type Working,
} from "./support/model.ts";

/** Set both to what a failure reports to see it again; null: the seed below, and a new one. */
const FAST_CHECK_SEED: number | null = null;
const FAST_CHECK_PATH: string | null = null;
const TIME_LIMIT_MS = 60_000;

const INPUT = { text: "in" };

/** Tells its input, in few characters. */
const valueOf = (id: string, call: number, input: unknown) =>
  `${id}.${call} ${fnv1a64(JSON.stringify(input))}`;

/* What is played. */

const during: fc.Arbitrary<During> = fc.constantFrom(
  "pause",
  "pause and resume",
  "pause and rerun",
  "cancel",
  "signal",
);
const working = (kind: fc.Arbitrary<Working["kind"]>): fc.Arbitrary<Omit<Working, "id">> =>
  fc.record({
    kind,
    holds: fc.boolean(),
    turns: fc.boolean(),
    calls: fc.array(
      fc.oneof(
        { weight: 4, arbitrary: fc.constant("ok" as const) },
        { weight: 3, arbitrary: fc.constantFrom("fails" as const, "later" as const) },
        { weight: 1, arbitrary: fc.constant("fatal" as const) },
      ),
      { maxLength: 4 },
    ),
    attempts: fc.integer({ min: 1, max: 4 }),
    polls: fc.option(fc.integer({ min: 0, max: 3 }), { freq: 2 }),
    throwsAt: fc.option(fc.integer({ min: 1, max: 2 }), { freq: 2 }),
    keyed: fc.boolean(),
    during: fc.option(fc.record({ call: fc.integer({ min: 1, max: 3 }), act: during }), {
      freq: 2,
    }),
  });
const waiting = fc.record({
  kind: fc.constantFrom("wait" as const, "sleep" as const),
  ms: fc.integer({ min: 1, max: 60_000 }),
});
const group = fc.oneof(
  { weight: 3, arbitrary: fc.tuple(working(fc.constant("stage"))) },
  { weight: 2, arbitrary: fc.tuple(working(fc.constant("if"))) },
  {
    weight: 2,
    arbitrary: fc.array(working(fc.constant("stage")), { minLength: 2, maxLength: 4 }),
  },
  { weight: 3, arbitrary: fc.tuple(waiting) },
);
const groups: fc.Arbitrary<Groups> = fc.array(group, { minLength: 1, maxLength: 5 }).map((all) => {
  let count = 0;
  return all.map((members) =>
    members.map((member): Element => {
      count += 1;
      return { ...member, id: `${member.kind}${count}` };
    }),
  );
});

const act = (ids: readonly string[], waits: readonly string[]): fc.Arbitrary<Act> =>
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ act: fc.constantFrom("pause" as const, "resume" as const) }),
    },
    { weight: 1, arbitrary: fc.record({ act: fc.constant("cancel" as const) }) },
    {
      weight: 4,
      arbitrary: fc.record({
        act: fc.constant("signal" as const),
        name: fc.constantFrom(...(waits.length === 0 ? ["none"] : waits)),
        key: fc.constantFrom("a", "b"),
        payload: fc.nat(9),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ act: fc.constant("rerun" as const), from: fc.constantFrom(...ids) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        act: fc.constant("deploy" as const),
        to: fc.constantFrom("same" as const, "previous" as const, "unknown" as const),
      }),
    },
  );

const plays = groups.chain((shape) => {
  const all = shape.flat();
  const waits = all.filter(({ kind }) => kind === "wait").map(({ id }) => id);
  const instant = fc.oneof(
    fc.constantFrom(0, BACKOFF_MS, POLL_MS, LATER_MS, WITHIN_MS),
    fc.nat(60_000),
  );
  const acts = fc.array(
    fc.record({
      at: instant,
      act: act(
        all.map(({ id }) => id),
        waits,
      ),
    }),
    { maxLength: 7 },
  );
  return fc.record({ groups: fc.constant(shape), acts });
});

/* The app. */

interface App {
  readonly calls: Map<string, number>;
  readonly polls: Map<string, number>;
  readonly meanwhile: (act: During, id: string) => Promise<void>;
  readonly now: () => number;
}

const schema = z.object({ text: z.string() });

function built(shape: Groups, app: App, to: Extract<Act, { act: "deploy" }>["to"]): Workflow {
  const current = (version: number, previous: Workflow[]) =>
    Chain.of("random", { input: schema, version, previous });
  const same = chained(current(1, []), shape, app).build();
  if (to === "same") return same;
  const other = current(2, to === "previous" ? [same] : []).stage("added", () => 0);
  return chained(other, shape, app).build();
}

function chained(empty: Chain, shape: Groups, app: App): Chain {
  return shape.reduce((chain, members) => {
    const [only] = members;
    if (only === undefined) return chain;
    if ("ms" in only) {
      return only.kind === "wait"
        ? chain.waitFor(only.id, { payload: z.number(), within: only.ms })
        : chain.sleep(only.id, only.ms);
    }
    if (members.length === 1) {
      return only.kind === "if"
        ? chain.stageIf(only.id, () => holdsAt(only, app.now()), stepOf(only, app))
        : chain.stage(only.id, stepOf(only, app));
    }
    return chain.parallel(
      Object.fromEntries(
        members.flatMap((member) =>
          "calls" in member ? [[member.id, stepOf(member, app)] as const] : [],
        ),
      ),
    );
  }, empty);
}

function stepOf(element: Working, app: App) {
  const { id, calls, attempts, polls, throwsAt, keyed, during: meanwhile } = element;
  return stage({
    retry: { attempts, backoff: BACKOFF_MS },
    ...(keyed ? { concurrency: { key: "model", limit: 1 } } : {}),
    async run({ input, suspend }) {
      const call = (app.calls.get(id) ?? 0) + 1;
      app.calls.set(id, call);
      if (meanwhile?.call === call) await app.meanwhile(meanwhile.act, id);
      switch (calls[call - 1] ?? "ok") {
        case "fails":
          throw new Error("failed");
        case "fatal":
          throw new Fatal("fatal");
        case "later":
          throw new RetryAfter(LATER_MS);
        case "ok":
          if (polls === null) return valueOf(id, call, input);
          app.polls.set(id, 0);
          return suspend(null, { pollIn: POLL_MS, within: WITHIN_MS });
      }
    },
    poll({ input, notReady }) {
      const poll = (app.polls.get(id) ?? 0) + 1;
      app.polls.set(id, poll);
      if (poll === throwsAt) throw new Error("failed");
      return poll <= (polls ?? 0) ? notReady() : valueOf(id, 0, input);
    },
  });
}

/* The play. */

type Play = { readonly groups: Groups; readonly acts: readonly { at: number; act: Act }[] };

/** Counts what has been met. */
const met = new Map<string, number>();
const meet = (what: string) => met.set(what, (met.get(what) ?? 0) + 1);

async function play({ groups: shape, acts }: Play, over: "D1" | "maps"): Promise<void> {
  const firstWait = shape.flat().find(({ kind }) => kind === "wait")?.id;
  const app: App = {
    calls: new Map(),
    polls: new Map(),
    now: () => engine.now - NOW,
    async meanwhile(doing, id) {
      meet(`meanwhile ${doing}`);
      if (doing === "signal" && firstWait !== undefined) {
        await performed({ act: "signal", name: firstWait, key: "during", payload: 7 });
      }
      if (doing === "cancel") await performed({ act: "cancel" });
      if (doing.startsWith("pause")) await performed({ act: "pause" });
      if (doing === "pause and resume") await performed({ act: "resume" });
      if (doing === "pause and rerun") await performed({ act: "rerun", from: id });
    },
  };
  const engine: Engine = new Engine({ workflows: [], over });
  engine.workflows = [built(shape, app, "same")];
  const { id } = await engine.runs.start(engine.workflows[0] as Workflow, INPUT);
  const handle = (): Run<Workflow> => engine.runs.get(engine.workflows[0] as Workflow, id);
  const performed = async (doing: Act): Promise<boolean> => {
    try {
      await perform(doing, handle() as Run<Workflow<unknown, unknown, Outs, Outs>>);
    } catch (error) {
      if (!isServiceError(error) || error.code !== "INVALID_ARGUMENT") throw error;
      return false;
    }
    return true;
  };
  async function perform(doing: Act, run: Run<Workflow<unknown, unknown, Outs, Outs>>) {
    switch (doing.act) {
      case "pause":
        return run.pause();
      case "resume":
        return run.resume();
      case "cancel":
        return run.cancel();
      case "signal":
        return run.signal(doing.name, doing.payload, { key: doing.key });
      case "rerun":
        return run.rerun({ from: doing.from });
      case "deploy":
        engine.workflows = [built(shape, app, doing.to)];
        return undefined;
    }
  }
  const model = new Model(shape, INPUT, valueOf);
  const workUntil = async (at: number, included: boolean) => {
    for (let due = model.nextDue; due !== null; due = model.nextDue) {
      if (due > at || (due === at && !included)) break;
      model.now = due;
      engine.now = NOW + due;
      model.work();
      while ((await engine.consume(1)).claimed > 0);
    }
    model.now = Math.max(at, model.now);
    engine.now = NOW + model.now;
  };
  for (const { at, act: doing } of acts.toSorted((a, b) => a.at - b.at)) {
    await workUntil(at, false);
    const expected = model.perform(doing);
    meet(`${doing.act} ${expected ? "done" : "refused"}`);
    expect(await performed(doing), JSON.stringify(doing)).toBe(expected);
    await workUntil(at, true);
  }
  await workUntil(10_000_000, true);
  // Nothing is left that the model does not know of.
  while ((await engine.consume(1)).claimed > 0);

  const output = await handle().output();
  expect(await happened(engine, id)).toEqual(model.events.map((what, at) => `${at + 1} ${what}`));
  expect(output.status).toBe(model.status);
  if ("value" in output) expect(output.value).toEqual(model.output);
  const stages = await engine.stages(id);
  expect(
    new Map(stages.map(({ stageId, status, attempt }) => [stageId, { status, attempt }])),
  ).toEqual(model.stages);
  const [archived] = await engine.store.read([
    { q: "stageAttempts", workflowRunId: id, after: "", limit: 100 },
  ]);
  expect(archived.length).toBe(model.archived);
  expect(await engine.connection.audit()).toEqual([]);
  meet(`ends as ${output.status}`);
  const [before, last] = model.events.slice(-2);
  if (last === "workflow:completed" && before?.startsWith("stage:skipped") === true) {
    meet("ends behind a skipped stage");
  }
  if (model.output === INPUT && !model.events.some((told) => told.startsWith("stage:started"))) {
    meet("skips all at its start");
  }
  for (const event of model.events) meet(event.split(" ")[0] ?? "");
}

type Outs = Readonly<Record<string, unknown>>;

/** The run's events, with their sequences. */
async function happened(engine: Engine, id: string): Promise<string[]> {
  return (await engine.rows(id)).map(({ sequence, eventType, stageId, attempt }) =>
    [sequence, eventType, stageId, attempt].filter((part) => part !== undefined).join(" "),
  );
}

const EXPECTED = [
  ...["pause", "resume", "signal", "rerun"].flatMap((what) => [`${what} done`, `${what} refused`]),
  "cancel done",
  "deploy done",
  ...["pause", "pause and resume", "pause and rerun", "cancel", "signal"].map(
    (what) => `meanwhile ${what}`,
  ),
  ...["COMPLETED", "FAILED", "CANCELLED", "SUSPENDED"].map((status) => `ends as ${status}`),
  "ends behind a skipped stage",
  "skips all at its start",
  ...["started", "completed", "skipped", "suspended", "retrying", "failed"].map(
    (what) => `stage:${what}`,
  ),
];

describe.each([
  ["the maps", "maps", 800],
  ["D1", "D1", 30],
] as const)("Random runs over %s", (_name, over, numRuns) => {
  it(
    "do what the plain model says, event for event, and leave nothing that is stuck",
    async () => {
      met.clear();
      const own = Math.trunc(Math.random() * 2 ** 31);
      for (const seed of FAST_CHECK_SEED === null ? [1, own] : [FAST_CHECK_SEED]) {
        console.log(`fast-check seed ${seed}, ${numRuns} runs over ${over}`);
        await fc.assert(
          fc.asyncProperty(plays, async (played) => {
            if (over === "D1") await emptyDatabase();
            await play(played, over);
          }),
          {
            seed,
            numRuns,
            interruptAfterTimeLimit: TIME_LIMIT_MS,
            ...(FAST_CHECK_PATH === null ? {} : { path: FAST_CHECK_PATH }),
          },
        );
      }
      console.log(JSON.stringify(Object.fromEntries(met)));
      // Seen again, one failure need not show all the rest.
      if (FAST_CHECK_SEED === null && over === "maps") {
        expect(EXPECTED.filter((what) => !met.has(what))).toEqual([]);
      }
    },
    3 * TIME_LIMIT_MS,
  );
});
