/** Transactions, above all those that hold a change which writes nothing: their trace is in another row. */
import {
  type Backend,
  StaleVersionError,
  type WorkflowPersistence,
} from "../../../src/contract/index.ts";
import { NOW } from "../support/time.ts";
import { WORKFLOW, type World } from "../support/world.ts";
import type { Scenario } from "./scenario.ts";

const EVENT = { payload: {}, causationId: "test", occurredAt: new Date(NOW) };
const JOB = { workflowId: "report", stageId: "publish" };

interface Inside extends Omit<Backend, "audit"> {
  readonly tx: WorkflowPersistence;
  readonly world: World;
}

function transaction(
  title: string,
  repeat: Scenario["repeat"],
  run: (inside: Inside) => Promise<unknown>,
): Scenario {
  return {
    method: "persistence.withTransaction",
    title,
    call: (backend, world) =>
      backend.persistence.withTransaction((tx) => run({ ...pick(backend), tx, world })),
    repeat,
  };
}

function pick({ persistence, jobs, aiCalls }: Backend): Omit<Backend, "audit"> {
  return { persistence, jobs, aiCalls };
}

/** Whatever else it does, it writes the run: once more when it is repeated. */
function besides(title: string, run: (inside: Inside) => Promise<unknown>): Scenario {
  return transaction(
    title,
    { adds: "a transaction that is repeated is made again" },
    async (inside) => {
      const result = await run(inside);
      const { version } = (await inside.tx.getRun("active")) ?? {};
      await inside.tx.updateRun("active", { totalTokens: (version ?? 0) * 10 });
      return { result, version };
    },
  );
}

export const transactionScenarios: readonly Scenario[] = [
  transaction("of many new rows", { fails: "ALREADY_EXISTS" }, async ({ tx, jobs }) => {
    const run = await tx.createRun({ ...WORKFLOW, id: "new", input: {} });
    const workflowRunId = run.id;
    const stage = await tx.createStage({
      workflowRunId,
      stageId: "publish",
      stageName: "Publish",
      stageNumber: 1,
      executionGroup: 1,
    });
    await tx.updateStage(stage.id, { status: "RUNNING", expectedVersion: 1 });
    await tx.createLog({ workflowStageId: stage.id, level: "INFO", message: "started" });
    await tx.saveStageOutput(workflowRunId, "report", "publish", { pages: 3 });
    await tx.appendAnnotations([{ workflowRunId, scope: "run", key: "k", value: 1 }]);
    await tx.appendOutboxEvents([{ ...EVENT, workflowRunId, eventType: "started" }]);
    await tx.completeIdempotencyKey("held", "start", { workflowRunId });
    const ids = await jobs.enqueueParallel([JOB, JOB].map((job) => ({ ...job, workflowRunId })));
    return { run, stage, ids, jobs: await jobs.getJobsByWorkflowRun(workflowRunId) };
  }),
  transaction(
    "of many known rows",
    { fails: "NOT_FOUND" },
    async ({ tx, jobs, world: { stages, jobs: ids, events } }) => {
      await tx.deleteStage(stages.extract);
      await tx.updateRun("active", { status: "COMPLETED", expectedVersion: 2 });
      await tx.updateStageByRunAndStageId("active", "deliver", { status: "SKIPPED" });
      await tx.deleteArtifact("active", "draft.json");
      await tx.markOutboxEventsPublished([events.waiting]);
      await tx.releaseIdempotencyKey("held", "start");
      await jobs.complete(ids.leased);
      await tx.appendOutboxEvents([
        { ...EVENT, workflowRunId: "active", eventType: "e" },
        { ...EVENT, workflowRunId: "second", eventType: "e" },
      ]);
      return jobs.cancelByRun("active");
    },
  ),
  transaction("that only reads", "the same", async ({ tx, jobs }) => ({
    runs: [await tx.getRun("active"), await tx.getRunStatus("idle")],
    stages: await tx.getStagesByRun("active"),
    artifacts: await tx.listArtifacts("active"),
    annotations: await tx.listAnnotations("active"),
    jobs: await jobs.getJobsByWorkflowRun("active"),
  })),
  transaction(
    "that claims the next run",
    { adds: "it claims the run after that" },
    async ({ tx, jobs }) => {
      const run = await tx.claimNextPendingRun();
      if (run === null) return null;
      return jobs.enqueue({ ...JOB, workflowRunId: run.id });
    },
  ),
  // One that has read nothing throws its own error whatever happens: own-errors.test.ts.
  transaction("that reads, and throws", "the same", async ({ tx }) => {
    await tx.getRun("active");
    await tx.updateRun("active", { status: "FAILED" });
    throw new Error("changed its mind");
  }),
  besides("of a run with no job to cancel", ({ jobs }) => jobs.cancelByRun("idle")),
  besides("of a job that is completed already", ({ jobs, world }) =>
    jobs.complete(world.jobs.completed),
  ),
  besides("of a heartbeat for a job that does not run", ({ jobs, world }) =>
    jobs.touchJob(world.jobs.ready),
  ),
  besides("of an annotation that is known by its key", ({ tx }) =>
    tx.appendAnnotations([
      {
        workflowRunId: "active",
        scope: "run",
        key: "verdict",
        value: "other",
        idempotencyKey: "once",
      },
    ]),
  ),
  besides("of a key that others hold", ({ tx }) => tx.acquireIdempotencyKey("held", "start")),
  besides("of a completed key", ({ tx }) => tx.releaseIdempotencyKey("done", "start")),
  besides("of a published event that goes to the DLQ", ({ tx, world }) =>
    tx.moveOutboxEventToDLQ(world.events.published),
  ),
  besides("of a stale version that it gets over", async ({ tx }) => {
    try {
      return await tx.updateRun("idle", { totalCost: 1, expectedVersion: 9 });
    } catch (error) {
      if (error instanceof StaleVersionError) return error.actual;
      throw error;
    }
  }),
  transaction("of rows that it creates and deletes", { adds: "one more event" }, async ({ tx }) => {
    const stage = await tx.createStage({
      workflowRunId: "active",
      stageId: "passing",
      stageName: "Passing",
      stageNumber: 9,
      executionGroup: 9,
    });
    await tx.createLog({ workflowStageId: stage.id, level: "INFO", message: "passing" });
    await tx.deleteStage(stage.id);
    const artifact = { workflowRunId: "active", key: "passing" };
    await tx.saveArtifact({ ...artifact, type: "ARTIFACT", data: 1, size: 1 });
    await tx.deleteArtifact("active", "passing");
    await tx.acquireIdempotencyKey("passing", "start");
    await tx.releaseIdempotencyKey("passing", "start");
    await tx.appendOutboxEvents([{ ...EVENT, workflowRunId: "active", eventType: "passed" }]);
  }),
  transaction(
    "of a retry that it counts, besides what writes nothing",
    { adds: "it counts once more" },
    async ({ tx, jobs, world: { events, jobs: ids } }) => {
      await tx.moveOutboxEventToDLQ(events.published);
      await tx.acquireIdempotencyKey("held", "start");
      await jobs.complete(ids.completed);
      return tx.incrementOutboxRetryCount(events.waiting);
    },
  ),
  transaction(
    "of a key that it completes, besides what writes nothing",
    { adds: "one more version, of the same values" },
    async ({ tx }) => {
      const held = await tx.acquireIdempotencyKey("held", "start");
      const fresh = await tx.acquireIdempotencyKey("fresh", "start");
      await tx.completeIdempotencyKey("fresh", "start", { held });
      const stage = await tx.getStage("active", "deliver");
      await tx.updateStageByRunAndStageId("active", "deliver", { metrics: { fresh, stage } });
      return [held, fresh];
    },
  ),
  transaction("of an artifact alone, saved and deleted", "the same", async ({ tx }) => {
    const artifact = { workflowRunId: "active", key: "passing" };
    await tx.saveArtifact({ ...artifact, type: "ARTIFACT", data: 1, size: 1 });
    await tx.deleteArtifact("active", "passing");
    return tx.hasArtifact("active", "passing");
  }),
  transaction("of nothing but what may write nothing", "the same", async ({ tx, jobs, world }) => {
    await tx.appendAnnotations([
      { workflowRunId: "active", scope: "run", key: "verdict", value: 1, idempotencyKey: "once" },
    ]);
    await jobs.complete(world.jobs.completed);
    await jobs.complete(world.jobs.leased);
    return jobs.cancelByRun("idle");
  }),
];
