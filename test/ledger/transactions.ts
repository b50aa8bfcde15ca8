/** Transactions as an engine makes them, and the whole of what one stage takes. */
import type { Call } from "./calls.ts";
import { aiCall, annotation, event, job, NOW, RUN, stage } from "./live.ts";

const CLAIMS_MAX = 10;

export const TRANSACTIONS: readonly Call[] = [
  {
    name: "withTransaction (status, stage, event)",
    call: ({ backend, stages }) =>
      backend.persistence.withTransaction(async (tx) => {
        if ((await tx.getRunStatus(RUN)) !== "RUNNING") return;
        await tx.updateStage(stages.analyse, { status: "COMPLETED", outputData: { pages: 9 } });
        await tx.appendOutboxEvents([event()]);
      }),
  },
  {
    name: "withTransaction (claims 10 runs)",
    call: ({ backend }) =>
      backend.persistence.withTransaction(async (tx) => {
        const events = [];
        for (let claims = 0; claims < CLAIMS_MAX; claims += 1) {
          const run = await tx.claimNextPendingRun();
          if (run === null) break;
          const first = { ...stage("extract", 1), workflowRunId: run.id };
          await tx.upsertStage({
            workflowRunId: run.id,
            stageId: "extract",
            create: first,
            update: {},
          });
          await backend.jobs.enqueueParallel([{ ...job("extract"), workflowRunId: run.id }]);
          events.push(event(run.id));
        }
        await tx.appendOutboxEvents(events);
      }),
  },
  {
    name: "withTransaction (stage, next stage, jobs, event)",
    call: ({ backend, stages, leased }) =>
      backend.persistence.withTransaction(async (tx) => {
        await tx.updateStage(stages.analyse, { status: "COMPLETED", outputData: { pages: 9 } });
        await tx.createStage(stage("next", 6));
        await backend.jobs.complete(leased);
        await backend.jobs.enqueue(job("next"));
        await tx.appendOutboxEvents([event()]);
      }),
  },
  {
    name: "withTransaction (reads only)",
    call: ({ backend }) =>
      backend.persistence.withTransaction(async (tx) => {
        await tx.getRun(RUN);
        await tx.getStagesByRun(RUN);
      }),
  },
];

/** What an engine does for one stage, from the delivery of its job to that of the next stage's. */
export const WHOLE_STAGE: Call = {
  name: "a whole stage",
  call: async ({ backend, stages }) => {
    const { persistence, jobs, aiCalls } = backend;
    const taken = await jobs.dequeue();
    await persistence.getRun(RUN);
    await persistence.getStagesByRun(RUN, { status: "COMPLETED" });
    await persistence.acquireIdempotencyKey("live-stage", "job.execute");
    await persistence.withTransaction(async (tx) => {
      const create = stage("analyse", 2);
      const update = { status: "RUNNING", startedAt: new Date(NOW) } as const;
      await tx.upsertStage({ workflowRunId: RUN, stageId: "analyse", create, update });
      await tx.appendOutboxEvents([event()]);
    });
    await persistence.createLog({ workflowRunId: RUN, level: "INFO", message: "Analysing" });
    aiCalls.logCall(aiCall("How?"));
    await aiCalls.flush();
    await jobs.touchJob(taken?.jobId ?? "");
    await persistence.saveStageOutput(RUN, "report", "analyse", { pages: 9 });
    await persistence.withTransaction(async (tx) => {
      if ((await tx.getRunStatus(RUN)) !== "RUNNING") return;
      await tx.updateStage(stages.analyse, { status: "COMPLETED", completedAt: new Date(NOW) });
      await tx.appendAnnotations([annotation("pages")]);
      await tx.appendOutboxEvents([event()]);
    });
    await persistence.completeIdempotencyKey("live-stage", "job.execute", {});
    await jobs.complete(taken?.jobId ?? "");
    await persistence.withTransaction(async (tx) => {
      const run = await tx.getRun(RUN);
      await tx.getStagesByRun(RUN);
      await tx.updateRun(RUN, { expectedVersion: run?.version ?? 0 });
      await tx.upsertStage({
        workflowRunId: RUN,
        stageId: "next",
        create: stage("next", 6),
        update: {},
      });
    });
    await jobs.enqueueParallel([job("next")]);
    const events = await persistence.getUnpublishedOutboxEvents();
    await persistence.markOutboxEventsPublished(events.slice(-2).map(({ id }) => id));
  },
};
