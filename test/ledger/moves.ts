/**
 * What takes a run through its stages: a commit of one change each, to be told what it costs alone,
 * and the commits that an engine makes of them. The live run has five stages, four jobs and two signals.
 */
import type { Change, ChangeOf, Commit, Guard } from "../../src/changes/index.ts";
import { blank, newCommitId, newStageRow, splitId, stageRecordId } from "../../src/model/index.ts";
import type { Query } from "../../src/queries/index.ts";
import { D1Store } from "../../src/store/index.ts";
import type { Call } from "./calls.ts";
import { NOW, RUN, SIGNAL, signal, stage, type World, write } from "./live.ts";

const run = { workflowRunId: RUN };

function leaseOf({ leased }: World) {
  const key = splitId(leased);
  if (key === null) throw new Error("A leased job has an id");
  return { ...key, attempt: 1 };
}

async function commit({ recorder }: World, parts: Partial<Commit>): Promise<void> {
  const store = new D1Store(recorder.database);
  const whole = { id: newCommitId(NOW), guards: [], changes: [], reads: [], ...parts };
  const outcome = await store.attempt(whole);
  if (!outcome.applied) throw new Error("The live rows meet every guard");
}

type To = ChangeOf<"moveJob">["to"];
const RUNNING: To = { state: "running" };

function move(world: World, to: To): Change {
  const moved = {
    stageId: "next",
    tries: 3,
    concurrencyKey: null,
    concurrencyLimit: null,
    frees: null,
  };
  return { kind: "moveJob", ...leaseOf(world), ...moved, to, at: NOW };
}

function leave(world: World, siblings: string[]): Change {
  return { kind: "leaveGroup", ...leaseOf(world), siblings, at: NOW };
}

const waits: To = { state: "suspended", until: NOW, unlessSignal: SIGNAL };
const send: Change = signal("new");
const take: Change = { kind: "takeSignal", ...run, id: signal("new").row.id, at: NOW };
const due: Change = { kind: "dueJobs", ...run, stageId: "poll", wakes: 1, at: NOW };
const archive: Change = { kind: "archiveStages", ...run, stageId: "poll", group: 3, at: NOW };
const charge: Change = { kind: "chargeRun", id: RUN, cost: 0.5, tokens: 30, at: NOW };

function next(from: string): Change {
  const row = {
    ...blank(newStageRow),
    ...stage("next", 6),
    id: stageRecordId(RUN, "next", "0"),
    createdAt: NOW,
    updatedAt: NOW,
    version: 1,
    attempt: 0,
    status: "RUNNING" as const,
    startedAt: NOW,
    inputData: JSON.stringify({ from: [from] }),
  };
  return { kind: "createStage", row };
}

function complete(stageId: string, outputData: string): Change {
  const set = { status: "COMPLETED", completedAt: NOW, outputData } as const;
  return { kind: "updateStage", ...run, stageId, set, at: NOW, bump: 1 };
}

/** The run goes on, and the job is this attempt's. */
function guards(world: World): Guard[] {
  const { attempt, ...key } = leaseOf(world);
  return [
    { on: "run", id: RUN, expect: { is: "status", status: "RUNNING" } },
    { on: "job", ...key, expect: { is: "leased", attempt, stageId: "extract" } },
    { on: "stage", ...run, stageId: "next", expect: { is: "absent" } },
  ];
}

function alone(name: string, change: Change | ((world: World) => Change)): Call {
  return {
    name,
    call: (world) =>
      commit(world, { changes: [typeof change === "function" ? change(world) : change] }),
  };
}

function asked(name: string, query: Query): Call {
  return { name, call: (world) => commit(world, { reads: [query] }) };
}

const sent = ({ recorder }: World) => write(recorder, [send]);

export const MOVES: readonly Call[] = [
  alone("moveJob (running)", (world) => move(world, RUNNING)),
  alone("moveJob (pending)", (world) => move(world, { state: "pending" })),
  alone("moveJob (suspended)", (world) =>
    move(world, { state: "suspended", until: NOW, unlessSignal: null }),
  ),
  alone("moveJob (suspended, no signal)", (world) => move(world, waits)),
  { ...alone("moveJob (suspended, a signal)", (world) => move(world, waits)), before: sent },
  alone("leaveGroup (an open sibling)", (world) => leave(world, ["extract", "analyse", "publish"])),
  alone("leaveGroup (the last)", (world) => leave(world, ["extract", "publish"])),
  alone("dueJobs", due),
  alone("cancelJobs (leased)", { kind: "cancelJobs", ...run, leased: true, at: NOW }),
  alone("sendSignal", send),
  { ...alone("sendSignal (again)", send), before: sent },
  { ...alone("takeSignal", take), before: sent },
  alone("cancelStages", { kind: "cancelStages", ...run, at: NOW }),
  alone("archiveStages", archive),
  alone("chargeRun", charge),
  { ...asked("nextSignal", { q: "nextSignal", ...run, name: SIGNAL }), before: sent },
  {
    ...asked("stageInputs", { q: "stageInputs", ...run, stageId: "next" }),
    before: ({ recorder }) => write(recorder, [next("extract")]),
  },
  asked("stageAttempts", { q: "stageAttempts", ...run, after: "", limit: 100 }),
  {
    name: "a step (stage, next stage, the job goes on)",
    call: (world) =>
      commit(world, {
        guards: guards(world),
        changes: [complete("analyse", '{"pages":9}'), next("analyse"), move(world, RUNNING)],
        reads: [{ q: "stageInputs", ...run, stageId: "next" }],
      }),
  },
  {
    name: "a join (a sibling is open)",
    call: (world) =>
      commit(world, {
        guards: guards(world).slice(0, 2),
        changes: [complete("extract", "1"), leave(world, ["extract", "analyse"])],
      }),
  },
  {
    name: "a signal (a job waits)",
    call: (world) => commit(world, { changes: [send, due] }),
  },
];
