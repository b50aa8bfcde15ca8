/** One call of every method, on the live rows. */
import type { Backend } from "../../src/contract/index.ts";
import {
  aiCall,
  annotation,
  artifact,
  BATCH,
  event,
  job,
  MINUTE,
  newRun,
  NOW,
  PENDING_RUNS,
  RUN,
  stage,
  TOPIC,
  type World,
} from "./live.ts";

export interface Call {
  /** The method, and in parentheses what distinguishes this call of it. */
  readonly name: string;
  /** What has to be there before; not measured. */
  readonly before?: (world: World) => Promise<unknown>;
  readonly call: (world: World) => Promise<unknown>;
}

type Persistence = Backend["persistence"];
type Jobs = Backend["jobs"];
type AiCalls = Backend["aiCalls"];

const on = (
  name: string,
  call: (persistence: Persistence, world: World) => Promise<unknown>,
): Call => ({
  name,
  call: (world) => call(world.backend.persistence, world),
});
const queued = (name: string, call: (jobs: Jobs, world: World) => Promise<unknown>): Call => ({
  name: `jobs.${name}`,
  call: (world) => call(world.backend.jobs, world),
});
const logged = (name: string, call: (aiCalls: AiCalls) => Promise<unknown>): Call => ({
  name: `aiCalls.${name}`,
  call: (world) => call(world.backend.aiCalls),
});

const RUNS: readonly Call[] = [
  on("createRun", (p) => p.createRun(newRun("live-new"))),
  on("updateRun (cost)", (p) => p.updateRun(RUN, { totalCost: 2 })),
  on("updateRun (status)", (p) =>
    p.updateRun(RUN, { status: "COMPLETED", completedAt: new Date(NOW), expectedVersion: 2 }),
  ),
  on("getRun", (p) => p.getRun(RUN)),
  on("getRunStatus", (p) => p.getRunStatus(RUN)),
  on("getRunsByStatus", (p) => p.getRunsByStatus("PENDING")),
  on("getStuckRuns", (p) => p.getStuckRuns(new Date(NOW - 30 * MINUTE))),
  on("claimPendingRun", (p) => p.claimPendingRun(PENDING_RUNS[0] ?? "")),
  on("claimNextPendingRun", (p) => p.claimNextPendingRun()),
];

const STAGES: readonly Call[] = [
  on("createStage", (p) => p.createStage(stage("new", 6))),
  on("upsertStage (new)", (p) =>
    p.upsertStage({ workflowRunId: RUN, stageId: "new", create: stage("new", 6), update: {} }),
  ),
  on("upsertStage (again)", (p) =>
    p.upsertStage({
      workflowRunId: RUN,
      stageId: "analyse",
      create: stage("analyse", 2),
      update: { status: "RUNNING" },
    }),
  ),
  on("updateStage", (p, { stages }) =>
    p.updateStage(stages.analyse, { status: "COMPLETED", outputData: { pages: 9 } }),
  ),
  on("updateStage (version)", (p, { stages }) =>
    p.updateStage(stages.analyse, { status: "COMPLETED", expectedVersion: 2 }),
  ),
  on("updateStage (suspends)", (p, { stages }) =>
    p.updateStage(stages.analyse, { status: "SUSPENDED", nextPollAt: new Date(NOW + MINUTE) }),
  ),
  on("updateStage (resumes)", (p, { stages }) =>
    p.updateStage(stages.poll, { status: "RUNNING", nextPollAt: null }),
  ),
  on("updateStageByRunAndStageId", (p) =>
    p.updateStageByRunAndStageId(RUN, "analyse", { status: "COMPLETED" }),
  ),
  on("getStage", (p) => p.getStage(RUN, "analyse")),
  on("getStageById", (p, { stages }) => p.getStageById(stages.analyse)),
  on("getStagesByRun", (p) => p.getStagesByRun(RUN)),
  on("getSuspendedStages", (p) => p.getSuspendedStages(new Date(NOW))),
  on("getFirstSuspendedStageReadyToResume", (p) => p.getFirstSuspendedStageReadyToResume(RUN)),
  on("getFirstFailedStage", (p) => p.getFirstFailedStage(RUN)),
  on("getLastCompletedStage", (p) => p.getLastCompletedStage(RUN)),
  on("getLastCompletedStageBefore", (p) => p.getLastCompletedStageBefore(RUN, 3)),
  on("deleteStage", (_, { later, stages }) => later.persistence.deleteStage(stages.poll)),
  on("deleteStage (just written)", (p, { stages }) => p.deleteStage(stages.poll)),
  on("deleteStage (with log, artifact, annotation)", (_, { later, stages }) =>
    later.persistence.deleteStage(stages.analyse),
  ),
];

const RECORDS: readonly Call[] = [
  on("createLog", (p) => p.createLog({ workflowRunId: RUN, level: "INFO", message: "Three" })),
  on("createLog (stage)", (p, { stages }) =>
    p.createLog({
      workflowRunId: RUN,
      workflowStageId: stages.analyse,
      level: "INFO",
      message: "Three",
    }),
  ),
  on("saveArtifact (new)", (p) => p.saveArtifact(artifact("new"))),
  on("saveArtifact (again)", (p) => p.saveArtifact(artifact("output"))),
  on("loadArtifact", (p) => p.loadArtifact(RUN, "output")),
  on("hasArtifact", (p) => p.hasArtifact(RUN, "output")),
  on("deleteArtifact", (_, { later }) => later.persistence.deleteArtifact(RUN, "output")),
  on("deleteArtifact (just written)", (p) => p.deleteArtifact(RUN, "output")),
  on("listArtifacts", (p) => p.listArtifacts(RUN)),
  on("getStageIdForArtifact", (p) => p.getStageIdForArtifact(RUN, "analyse")),
  on("saveStageOutput", (p) => p.saveStageOutput(RUN, "report", "analyse", { pages: 9 })),
  on("appendAnnotations (1)", (p) => p.appendAnnotations([annotation("more")])),
  on("appendAnnotations (1, idempotent)", (p) =>
    p.appendAnnotations([{ ...annotation("more"), value: 2, idempotencyKey: "more" }]),
  ),
  on("appendAnnotations (10)", (p) =>
    p.appendAnnotations(Array.from({ length: 10 }, (_, n) => ({ ...annotation("ten"), value: n }))),
  ),
  on("appendAnnotations (1, as before)", (p) => p.appendAnnotations([annotation("note")])),
  on("listAnnotations", (p) => p.listAnnotations(RUN)),
];

const OUTBOX: readonly Call[] = [
  on("appendOutboxEvents (1)", (p) => p.appendOutboxEvents([event()])),
  on("appendOutboxEvents (10)", (p) =>
    p.appendOutboxEvents(Array.from({ length: 10 }, () => event())),
  ),
  on("getUnpublishedOutboxEvents", (p) => p.getUnpublishedOutboxEvents()),
  on("markOutboxEventsPublished (1)", (p) => p.markOutboxEventsPublished([`${RUN}/3`])),
  on("markOutboxEventsPublished (3)", (p) =>
    p.markOutboxEventsPublished([`${RUN}/3`, `${RUN}/4`, `${RUN}/5`]),
  ),
  on("incrementOutboxRetryCount", (p) => p.incrementOutboxRetryCount(`${RUN}/3`)),
  on("moveOutboxEventToDLQ", (p) => p.moveOutboxEventToDLQ(`${RUN}/3`)),
  on("replayDLQEvents (1)", (p) => p.replayDLQEvents(10)),
  {
    name: "replayDLQEvents (none)",
    before: ({ backend }) => backend.persistence.replayDLQEvents(10),
    call: ({ backend }) => backend.persistence.replayDLQEvents(10),
  },
];

const KEYS: readonly Call[] = [
  on("acquireIdempotencyKey", (p) => p.acquireIdempotencyKey("live-new", "run.create")),
  on("acquireIdempotencyKey (held)", (p) => p.acquireIdempotencyKey("live-key", "run.create")),
  on("completeIdempotencyKey", (p) => p.completeIdempotencyKey("live-key", "run.create", {})),
  on("releaseIdempotencyKey", (_, { later }) =>
    later.persistence.releaseIdempotencyKey("live-key", "run.create"),
  ),
  on("releaseIdempotencyKey (just acquired)", (p) =>
    p.releaseIdempotencyKey("live-key", "run.create"),
  ),
];

const QUEUE: readonly Call[] = [
  queued("enqueue", (jobs) => jobs.enqueue(job("new"))),
  queued("enqueue (scheduled)", (jobs) =>
    jobs.enqueue({ ...job("new"), scheduledFor: new Date(NOW + MINUTE) }),
  ),
  queued("enqueueParallel (10)", (jobs) =>
    jobs.enqueueParallel(Array.from({ length: 10 }, () => job("new"))),
  ),
  queued("dequeue", (jobs) => jobs.dequeue()),
  {
    name: "jobs.dequeue (one has become due)",
    call: ({ later }) => later.jobs.dequeue(),
  },
  {
    name: "jobs.dequeue (nothing due)",
    before: ({ backend }) => backend.jobs.dequeue(),
    call: ({ backend }) => backend.jobs.dequeue(),
  },
  queued("complete", (jobs, { leased }) => jobs.complete(leased)),
  queued("suspend", (jobs, { leased }) => jobs.suspend(leased, new Date(NOW + MINUTE))),
  queued("fail (retries)", (jobs, { leased }) => jobs.fail(leased, "Timeout", true)),
  queued("fail (for good)", (jobs, { leased }) => jobs.fail(leased, "Timeout")),
  queued("touchJob", (jobs, { leased }) => jobs.touchJob(leased)),
  queued("getJobsByWorkflowRun", (jobs) => jobs.getJobsByWorkflowRun(RUN)),
  queued("getSuspendedJobsReadyToPoll", (jobs) => jobs.getSuspendedJobsReadyToPoll()),
  queued("releaseStaleJobs (1)", (jobs) => jobs.releaseStaleJobs()),
  {
    name: "jobs.releaseStaleJobs (none)",
    before: ({ backend }) => backend.jobs.releaseStaleJobs(),
    call: ({ backend }) => backend.jobs.releaseStaleJobs(),
  },
  queued("cancelByRun", (jobs) => jobs.cancelByRun(RUN)),
];

const AI_CALLS: readonly Call[] = [
  logged("logCall", async (aiCalls) => {
    aiCalls.logCall(aiCall("How?"));
    await aiCalls.flush();
  }),
  logged("logBatchResults (1)", (aiCalls) =>
    aiCalls.logBatchResults("live-other", [aiCall("How?")]),
  ),
  logged("logBatchResults (10)", (aiCalls) =>
    aiCalls.logBatchResults(
      "live-other",
      Array.from({ length: 10 }, (_, n) => aiCall(`How ${n}?`)),
    ),
  ),
  logged("logBatchResults (again)", (aiCalls) => aiCalls.logBatchResults(BATCH, [aiCall("Why?")])),
  logged("getStats", (aiCalls) => aiCalls.getStats(TOPIC)),
  logged("isRecorded", (aiCalls) => aiCalls.isRecorded(BATCH)),
];

export const CALLS: readonly Call[] = [
  ...RUNS,
  ...STAGES,
  ...RECORDS,
  ...OUTBOX,
  ...KEYS,
  ...QUEUE,
  ...AI_CALLS,
];
