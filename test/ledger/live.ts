/**
 * The live rows beside the finished ones: few, and the same before every measured call. One run that is under way with
 * everything a run can have, one that is stuck, and twelve that are PENDING.
 */
import { UNPOLLED_MS } from "../../src/model/index.ts";
import { type Backend, toEnvelope } from "../../src/contract/index.ts";
import { embed } from "../../src/embed.ts";
import { type Change, type ChangeOf, type Commit, fromWire } from "../../src/changes/index.ts";
import {
  blank,
  commitIdAt,
  newCommitId,
  newStageRow,
  signalId,
  stageRecordId,
} from "../../src/model/index.ts";
import type { WorkflowEngineEnv } from "../../src/worker/index.ts";
import { D1Store } from "../../src/store/index.ts";
import type { Recorder } from "./recorder.ts";

/** The instant of every call. The finished runs are older. */
export const NOW = 1_800_000_000_000;
export const MINUTE = 60_000;
const DAY = 1_440 * MINUTE;
export const RUN = "live-run";
export const PENDING_RUNS = Array.from({ length: 12 }, (_, n) => `live-waits-${n + 10}`);
export const BATCH = "live-batch";
export const TOPIC = "live.topic";
const STUCK_RUN = "live-stuck";
/** Has rows in every table that come after the live run's, as those of other runs do unless the table is empty otherwise. */
const NEXT_RUN = "live-z";
/** The same, before them. */
const PREVIOUS_RUN = "live-a";

export interface World {
  readonly recorder: Recorder;
  /** The measured connection. */
  readonly backend: Backend;
  /** Another, ten minutes later. */
  readonly later: Backend;
  /** Record ids of the live run's stages, by stage id. */
  readonly stages: Readonly<Record<LiveStage, string>>;
  /** A job that the measured connection has dequeued. */
  readonly leased: string;
}

const STAGES = {
  extract: { status: "COMPLETED" },
  analyse: { status: "RUNNING" },
  poll: { status: "SUSPENDED", nextPollAt: new Date(NOW - UNPOLLED_MS) },
  resume: { status: "SUSPENDED" },
  publish: { status: "FAILED" },
} as const;
type LiveStage = keyof typeof STAGES;

/** A connection whose commits all reach D1 through the recorder, those of a coordinator too. */
export function recordedConnection(recorder: Recorder, now: number): Backend {
  return embed(recordedEnv(recorder), { now: () => now, workerId: "worker" });
}

/** Bindings whose use the recorder notes. */
export function recordedEnv(recorder: Recorder): WorkflowEngineEnv {
  const attempt = async (commit: Commit | ReadableStream) => {
    recorder.noteCoordinator();
    const direct = new D1Store(recorder.database);
    return toEnvelope(async () => direct.attempt(await fromWire(commit)));
  };
  return { DB: recorder.database, RUNS: { getByName: () => ({ attempt }) } };
}

export const newRun = (id: string) => ({
  id,
  workflowId: "report",
  workflowName: "Report",
  workflowType: "report",
  input: { document: 1 },
});

export const stage = (stageId: string, stageNumber: number) => ({
  workflowRunId: RUN,
  stageId,
  stageName: stageId,
  stageNumber,
  executionGroup: stageNumber,
});

export const event = (workflowRunId = RUN) => ({
  workflowRunId,
  eventType: "stage:completed",
  payload: { stage: "analyse" },
  causationId: "cause",
  occurredAt: new Date(NOW),
});

export const job = (stageId: string) => ({ workflowRunId: RUN, workflowId: "report", stageId });

export const artifact = (key: string) =>
  ({ workflowRunId: RUN, key, type: "ARTIFACT", data: { pages: 9 }, size: 11 }) as const;

export const annotation = (key: string) => ({ workflowRunId: RUN, scope: "run", key, value: 1 });

export const aiCall = (prompt: string) => ({
  topic: TOPIC,
  callType: "text",
  modelKey: "small",
  modelId: "small-1",
  prompt,
  response: "Because.",
  inputTokens: 10,
  outputTokens: 20,
  cost: 0.5,
});

/** Puts the live rows there and opens the measured connection. */
export async function populate(recorder: Recorder): Promise<World> {
  await addStuckRun(recorder);
  const backend = recordedConnection(recorder, NOW);
  await addNextRun(backend, PREVIOUS_RUN);
  await addNextRun(backend, NEXT_RUN);
  const { persistence, jobs, aiCalls } = backend;
  const stages = await persistence.withTransaction(async (tx) => {
    for (const id of PENDING_RUNS) await tx.createRun(newRun(id));
    await tx.createRun(newRun(RUN));
    await tx.updateRun(RUN, { status: "RUNNING", startedAt: new Date(NOW) });
    const ids: Record<string, string> = {};
    for (const [index, [stageId, data]] of Object.entries(STAGES).entries()) {
      const { id } = await tx.createStage(stage(stageId, index + 1));
      await tx.updateStage(id, data);
      ids[stageId] = id;
    }
    const analyse = ids["analyse"] ?? "";
    await tx.createLog({ workflowRunId: RUN, level: "INFO", message: "One" });
    await tx.createLog({ workflowStageId: analyse, level: "INFO", message: "Two" });
    await tx.saveArtifact(artifact("input"));
    await tx.saveArtifact({ ...artifact("output"), workflowStageId: analyse });
    await tx.appendAnnotations([
      annotation("note"),
      { ...annotation("stage"), workflowStageRecordId: analyse },
      { ...annotation("once"), idempotencyKey: "once" },
    ]);
    await tx.appendOutboxEvents(Array.from({ length: 5 }, () => event()));
    await tx.markOutboxEventsPublished([`${RUN}/1`]);
    await jobs.enqueueParallel([
      { ...job("extract"), priority: 9 },
      { ...job("poll"), priority: 8 },
      job("analyse"),
      { ...job("later"), scheduledFor: new Date(NOW + MINUTE) },
    ]);
    return ids as World["stages"];
  });
  await addSignals(recorder);
  await archiveStage(recorder);
  await persistence.moveOutboxEventToDLQ(`${RUN}/2`);
  await persistence.acquireIdempotencyKey("live-key", "run.create");
  await aiCalls.logBatchResults(BATCH, [aiCall("Why?")]);
  const leased = (await jobs.dequeue())?.jobId ?? "";
  const polling = (await jobs.dequeue())?.jobId ?? "";
  await jobs.suspend(polling, new Date(NOW - UNPOLLED_MS));
  const later = recordedConnection(recorder, NOW + 10 * MINUTE);
  return { recorder, backend, later, stages, leased };
}

export const SIGNAL = "approval";

export function signal(key: string, workflowRunId = RUN): ChangeOf<"sendSignal"> {
  return {
    kind: "sendSignal",
    row: {
      workflowRunId,
      id: signalId(SIGNAL, key),
      name: SIGNAL,
      ordinal: "0",
      receivedAt: NOW,
      payload: '{"ok":true}',
      takenAt: null,
    },
  };
}

/** Commits changes that no method of the contract makes. */
export async function write(recorder: Recorder, changes: readonly Change[]): Promise<void> {
  const store = new D1Store(recorder.database);
  const outcome = await store.attempt({ id: newCommitId(NOW), guards: [], changes, reads: [] });
  if (!outcome.applied) throw new Error("No guard can refuse it");
}

/** Signals of the live run and of its neighbours: one that is taken, and one of another name. */
async function addSignals(recorder: Recorder): Promise<void> {
  const { row } = signal("taken");
  const other = { ...row, id: signalId("other", "once"), name: "other" };
  await write(recorder, [
    { kind: "sendSignal", row: { ...row, takenAt: NOW } },
    { kind: "sendSignal", row: other },
    signal("once", PREVIOUS_RUN),
    signal("once", NEXT_RUN),
  ]);
}

/** Stages that the live run and its neighbours have archived. */
async function archiveStage(recorder: Recorder): Promise<void> {
  for (const workflowRunId of [PREVIOUS_RUN, RUN, NEXT_RUN]) {
    const row = {
      ...blank(newStageRow),
      ...stage("archived", 7),
      workflowRunId,
      id: stageRecordId(workflowRunId, "archived", "0"),
      createdAt: NOW,
      updatedAt: NOW,
      version: 1,
      attempt: 0,
      status: "FAILED" as const,
    };
    await write(recorder, [
      { kind: "createStage", row },
      { kind: "archiveStages", workflowRunId, stageId: "archived", group: 7, at: NOW },
    ]);
  }
}

/** A run that nobody has touched for an hour, with a lease that has run out. */
async function addStuckRun(recorder: Recorder): Promise<void> {
  const { persistence, jobs } = recordedConnection(recorder, NOW - 60 * MINUTE);
  await persistence.createRun(newRun(STUCK_RUN));
  await persistence.claimPendingRun(STUCK_RUN);
  await persistence.createStage({ ...stage("extract", 1), workflowRunId: STUCK_RUN });
  await jobs.enqueue({ ...job("extract"), workflowRunId: STUCK_RUN });
  await jobs.dequeue();
}

async function addNextRun(
  { persistence, jobs, aiCalls }: Backend,
  workflowRunId: string,
): Promise<void> {
  await persistence.withTransaction(async (tx) => {
    await tx.createRun(newRun(workflowRunId));
    await tx.updateRun(workflowRunId, { status: "COMPLETED" });
    await tx.createStage({ ...stage("extract", 1), workflowRunId });
    await tx.createLog({ workflowRunId, level: "INFO", message: "Done" });
    await tx.saveArtifact({ ...artifact("output"), workflowRunId });
    await tx.appendAnnotations([{ ...annotation("note"), workflowRunId }]);
    await tx.appendOutboxEvents([event(workflowRunId)]);
    await tx.markOutboxEventsPublished([`${workflowRunId}/1`]);
    await jobs.enqueue({ ...job("extract"), workflowRunId });
    await jobs.cancelByRun(workflowRunId);
  });
  await aiCalls.logBatchResults(workflowRunId, [
    { ...aiCall("Why?"), topic: workflowRunId.replace("-", ".") },
  ]);
}

/** Tables and the column that tells whose a row is; parents last. */
const TABLES: readonly (readonly [table: string, owner: string])[] = [
  ["ai_calls", "batch_id"],
  ["ai_call_totals", "topic"],
  ["idempotency_keys", "key"],
  ["jobs", "workflow_run_id"],
  ["outbox_events", "workflow_run_id"],
  ["annotated_runs", "workflow_run_id"],
  ["annotations", "workflow_run_id"],
  ["artifacts", "workflow_run_id"],
  ["logs", "workflow_run_id"],
  ["signals", "workflow_run_id"],
  ["stage_attempts", "workflow_run_id"],
  ["stages", "workflow_run_id"],
  ["runs", "id"],
];
const isLive = (owner: string) => `"${owner}" >= 'live' AND "${owner}" < 'livf'`;

/** They are in the order of the runs' age behind each key and value: the live ones come last. */
const deleteAnnotated =
  `DELETE FROM "annotated_runs" WHERE "key" IN ('note', 'stage', 'once', 'more', 'ten', 'pages') ` +
  `AND "value" IN ('0', '1', '2', '3', '4', '5', '6', '7', '8', '9') AND "created_at" >= ${NOW}`;

const deletions = [
  ...TABLES.map(([table, owner]) =>
    table === "annotated_runs" ? deleteAnnotated : `DELETE FROM "${table}" WHERE ${isLive(owner)}`,
  ),
  `DELETE FROM "ai_calls" WHERE "batch_id" = ''`,
  `DELETE FROM "commits"`,
];

async function runAll(db: D1Database, statements: readonly string[]): Promise<void> {
  await db.batch(statements.map((sql) => db.prepare(sql)));
}

/** Takes every live row away. The finished ones stay. */
export async function clearLive(db: D1Database): Promise<void> {
  await runAll(db, deletions);
}

/** Keeps a copy of the live rows as they are now. */
export async function keepLive(db: D1Database): Promise<void> {
  await runAll(
    db,
    TABLES.flatMap(([table, owner]) => [
      `DROP TABLE IF EXISTS "kept_${table}"`,
      `CREATE TABLE "kept_${table}" AS SELECT * FROM "${table}" WHERE ${isLive(owner)}`,
    ]),
  );
}

/** Puts the live rows back as they were kept, with two records of commits that the sweep would delete. */
export async function restoreLive(db: D1Database): Promise<void> {
  await runAll(db, [
    ...deletions,
    ...TABLES.toReversed().map(([table]) => `INSERT INTO "${table}" SELECT * FROM "kept_${table}"`),
    `INSERT INTO "commits" ("id", "outcome") VALUES ('${commitIdAt(NOW - 2 * DAY)}', 'applied'), ('${commitIdAt(NOW - 3 * DAY)}', 'applied')`,
  ]);
}

export async function dropKept(db: D1Database): Promise<void> {
  await runAll(
    db,
    TABLES.map(([table]) => `DROP TABLE "kept_${table}"`),
  );
}
