/** Rows for the sweep to find. */
import { commitIdAt, newCommitId } from "../../src/model/index.ts";
import { AutoCommit } from "../../src/persistence/auto-commit.ts";
import { ConsumerJobs } from "../../src/queue/consumer-jobs.ts";
import { NOW, type Part } from "../queue/support/world.ts";
import { env } from "../support/env.ts";

export const RUN = { workflowId: "w", workflowName: "W", workflowType: "t", input: {} };

/** So many jobs of the run, each of a stage of its own. */
export async function addJobs(part: Part, run: string, count: number): Promise<string[]> {
  const ids: string[] = [];
  for (let start = 0; start < count; start += 500) {
    const jobs = Array.from({ length: Math.min(500, count - start) }, (_, index) => ({
      workflowRunId: run,
      workflowId: RUN.workflowId,
      stageId: String(start + index),
    }));
    ids.push(...(await part.backend.jobs.enqueueParallel(jobs)));
  }
  return ids;
}

export interface StagesOptions {
  /** Null: RUNNING. */
  readonly suspendedUntil: number | null;
  /** The last one is due first. */
  readonly descending?: boolean;
}

/** A RUNNING run with this many stages, due one second after the other. */
export async function addStages(
  part: Part,
  run: string,
  count: number,
  { suspendedUntil, descending = false }: StagesOptions,
): Promise<void> {
  const { persistence } = part.backend;
  await persistence.withTransaction(async (tx) => {
    await tx.createRun({ ...RUN, id: run });
    await tx.updateRun(run, { status: "RUNNING", startedAt: new Date(NOW) });
    for (let index = 0; index < count; index += 1) {
      const stageId = String(index);
      const names = { workflowRunId: run, stageId, stageName: stageId, stageNumber: index };
      await tx.createStage({ ...names, executionGroup: 0, status: "RUNNING" });
      if (suspendedUntil === null) continue;
      const due = suspendedUntil + (descending ? count - index : index) * 1_000;
      const nextPollAt = new Date(due);
      await tx.updateStageByRunAndStageId(run, stageId, { status: "SUSPENDED", nextPollAt });
    }
  });
}

/** A RUNNING run whose only job has failed for good. */
export async function addFailure(part: Part, run: string): Promise<void> {
  await addStages(part, run, 1, { suspendedUntil: null });
  const [id = ""] = await addJobs(part, run, 1);
  await part.backend.jobs.fail(id, `of ${run}`);
}

export function eventOf(workflowRunId: string, number: number) {
  return {
    workflowRunId,
    eventType: `event-${number}`,
    payload: {},
    causationId: String(number),
    occurredAt: new Date(NOW),
  };
}

/** What a commit of that instant has noted of itself. */
export async function addCommitRecord(at: number): Promise<void> {
  const id = commitIdAt(at).padEnd(newCommitId(at).length, "0");
  await env.DB.prepare(`INSERT INTO "commits" ("id", "outcome") VALUES (?, 'applied')`)
    .bind(id)
    .run();
}

/** As the consumer suspends a job whose handler answered so. */
export async function suspendAsAnswered(part: Part, jobId: string, until: number): Promise<void> {
  const outcome = { status: "suspended", until } as const;
  const direct = new AutoCommit(part.store);
  await new ConsumerJobs({ direct, workerId: null }).settleMany([{ jobId, outcome }]);
}
