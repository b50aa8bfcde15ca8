/** The rows that every scenario finds: some of each kind, in each state. */
import { embed, type EmbedOptions } from "../../../src/embed.ts";
import type { WorkflowPersistence } from "../../../src/contract/index.ts";
import { emptyDatabase } from "../../support/database.ts";
import { env } from "../../support/env.ts";
import { type Database, readDatabase } from "./database.ts";
import { HOUR_MS, MINUTE_MS, NOW } from "./time.ts";

export const WORKFLOW = { workflowId: "report", workflowName: "Report", workflowType: "report" };

/** Record ids that a scenario needs. */
export interface World {
  readonly database: Database;
  readonly stages: Readonly<
    Record<"extract" | "classify" | "approve" | "score" | "deliver", string>
  >;
  /** Of run `active`, by what has become of them. */
  readonly jobs: Readonly<
    Record<"completed" | "stale" | "suspended" | "leased" | "ready" | "waiting", string>
  >;
  readonly events: Readonly<Record<"published" | "waiting" | "next" | "dead", string>>;
}

export const AI_CALL = {
  topic: "report.active",
  callType: "text",
  modelKey: "small",
  modelId: "small-1",
  prompt: "Summarise",
  response: "Done",
  inputTokens: 10,
  outputTokens: 5,
  cost: 0.25,
};

/** Makes them, in an empty database. */
export async function createWorld(): Promise<World> {
  await emptyDatabase();
  const clock = { now: NOW - HOUR_MS };
  const options: EmbedOptions = { workerId: "seed", now: () => clock.now };
  const { persistence, jobs, aiCalls } = embed(env, options);
  await createRuns(persistence);
  const stages = await createStages(persistence);
  await createRecords(persistence, stages.extract);

  const job = { workflowRunId: "active", workflowId: "report", stageId: "extract" };
  const ids = await jobs.enqueueParallel(
    [9, 8, 7, 6, 5, 5].map((priority, n) => ({ ...job, priority, payload: { n } })),
  );
  const [completed, stale, suspended, leased, ready, waiting] = ids.map((id) => id ?? "") as [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  await jobs.dequeue();
  await jobs.complete(completed);
  await jobs.dequeue();
  await jobs.dequeue();
  await jobs.suspend(suspended, new Date(NOW - MINUTE_MS));
  clock.now = NOW - MINUTE_MS;
  await jobs.dequeue();

  await aiCalls.logBatchResults("known", [AI_CALL]);
  return {
    database: await readDatabase(),
    stages,
    jobs: { completed, stale, suspended, leased, ready, waiting },
    events: { published: "active/1", waiting: "active/2", next: "active/3", dead: "active/4" },
  };
}

async function createRuns(persistence: WorkflowPersistence): Promise<void> {
  for (const [id, priority] of [
    ["active", 5],
    ["first", 9],
    ["second", 5],
    ["idle", 5],
  ] as const) {
    await persistence.createRun({ ...WORKFLOW, id, priority, input: { document: id } });
  }
  await persistence.claimPendingRun("active");
  await persistence.claimPendingRun("idle");
}

async function createStages(persistence: WorkflowPersistence): Promise<World["stages"]> {
  const create = async (stageId: string, group: number) => {
    const input = { workflowRunId: "active", stageId, stageName: stageId, stageNumber: group };
    return (await persistence.createStage({ ...input, executionGroup: group })).id;
  };
  const stages = {
    extract: await create("extract", 1),
    classify: await create("classify", 2),
    approve: await create("approve", 2),
    score: await create("score", 3),
    deliver: await create("deliver", 4),
  };
  await persistence.updateStage(stages.extract, { status: "COMPLETED", outputData: { pages: 3 } });
  await persistence.updateStage(stages.classify, {
    status: "SUSPENDED",
    nextPollAt: new Date(NOW - MINUTE_MS),
  });
  await persistence.updateStage(stages.approve, { status: "SUSPENDED" });
  await persistence.updateStage(stages.score, { status: "FAILED", errorMessage: "No model" });
  return stages;
}

async function createRecords(persistence: WorkflowPersistence, extract: string): Promise<void> {
  const run = { workflowRunId: "active" };
  await persistence.createLog({ ...run, workflowStageId: extract, level: "INFO", message: "3" });
  await persistence.saveArtifact({
    ...run,
    workflowStageId: extract,
    key: "draft.json",
    type: "ARTIFACT",
    data: { pages: 3 },
    size: 11,
    metadata: { by: "seed" },
  });
  await persistence.appendAnnotations([
    { ...run, scope: "run", key: "verdict", value: "fine", idempotencyKey: "once" },
    { ...run, scope: "stage", workflowStageRecordId: extract, key: "note", value: 1 },
  ]);
  const event = { ...run, payload: { pages: 3 }, causationId: "seed", occurredAt: new Date(NOW) };
  await persistence.appendOutboxEvents(
    ["a", "b", "c", "d"].map((eventType) => ({ ...event, eventType })),
  );
  await persistence.appendOutboxEvents([{ ...event, workflowRunId: "first", eventType: "a" }]);
  await persistence.markOutboxEventsPublished(["active/1"]);
  await persistence.incrementOutboxRetryCount("active/4");
  await persistence.moveOutboxEventToDLQ("active/4");
  await persistence.acquireIdempotencyKey("held", "start");
  await persistence.completeIdempotencyKey("done", "start", { runId: "active" });
}
