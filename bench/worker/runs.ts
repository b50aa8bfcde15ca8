/** Runs of each contestant: how long they take, and what they ask of D1. */
import { type D1Call, faultyD1 } from "../../src/testing/faulty-d1.ts";
import type {
  Contestant,
  Cost,
  CountedContestant,
  Load,
  Protocol,
  RunCost,
  Timing,
} from "../protocol.ts";
import type { Drive } from "./contestant.ts";
import type { Env } from "./env.ts";
import { countedEngine, driveEngine, driveEngineBound } from "./engine.ts";
import { driveFloor } from "./floor.ts";
import * as marks from "./marks.ts";
import { countedCoordinators, driveBound, driveEmbedded } from "./ours.ts";
import { driveTanstack } from "./tanstack.ts";
import { driveWorkflows } from "./workflows.ts";

const DRIVES: Record<Contestant, Drive> = {
  floor: driveFloor,
  workflows: driveWorkflows,
  tanstack: driveTanstack,
  engine: driveEngine,
  engineBound: driveEngineBound,
  embedded: driveEmbedded,
  bound: driveBound,
};

const DATABASES = {
  floor: "FLOOR",
  tanstack: "TANSTACK",
  engine: "ENGINE",
  embedded: "DB",
} as const satisfies Record<CountedContestant, keyof Env>;

export async function timeRuns(env: Env, ask: Protocol["/runs"]["ask"]): Promise<Timing> {
  const ids = Array.from({ length: ask.atOnce }, () => crypto.randomUUID());
  const { started, ended, taken } = await driven(DRIVES[ask.contestant], env, ids, ask);
  const begun = taken.map((run) => run.begun.map(({ at }) => at));
  return {
    start: meanOf(begun.map(([first = Number.NaN]) => first - started.at)),
    step: meanOf(begun.map((at) => (Math.max(...at) - Math.min(...at)) / (ask.steps - 1))),
    whole: ended.at - started.at,
  };
}

export async function costOf(env: Env, ask: Protocol["/cost"]["ask"]): Promise<RunCost> {
  const binding = DATABASES[ask.contestant];
  const { db, calls } = faultyD1(env[binding]);
  marks.count(calls);
  const id = crypto.randomUUID();
  const { started, ended, taken } = await countedCoordinators(db, async () =>
    countedEngine(db, async () =>
      driven(DRIVES[ask.contestant], { ...env, [binding]: db }, [id], ask),
    ),
  );
  const between = (from: marks.Mark, to: marks.Mark) => sumOf(calls.slice(from.calls, to.calls));
  const [{ begun, created } = { begun: [], created: null }] = taken;
  const [first = ended] = begun;
  return {
    start: between(started, first),
    ...(created === null ? {} : { created: between(started, created) }),
    steps: begun.slice(1).map((mark, n) => between(begun[n] ?? mark, mark)),
    whole: between(started, ended),
  };
}

export async function sizeOf(env: Env, ask: Protocol["/size"]["ask"]): Promise<number> {
  const { meta } = await env[DATABASES[ask.contestant]].prepare("SELECT 1").run();
  return meta.size_after;
}

async function driven(drive: Drive, env: Env, ids: readonly string[], load: Load) {
  for (const id of ids) marks.open(id);
  const started = marks.mark();
  await drive(env, ids, load);
  const ended = marks.mark();
  return { started, ended, taken: ids.map((id) => marks.take(id, load.steps)) };
}

function sumOf(calls: readonly D1Call[]): Cost {
  const sum = (of: (call: D1Call) => number) => calls.reduce((total, call) => total + of(call), 0);
  return {
    roundTrips: calls.length,
    statements: sum(({ statements }) => statements.length),
    rowsRead: sum(({ rowsRead }) => rowsRead),
    rowsWritten: sum(({ rowsWritten }) => rowsWritten),
  };
}

function meanOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, n) => sum + n, 0) / numbers.length;
}
