import { beforeEach, describe, expect, it } from "vitest";
import { embed } from "../../src/embed.ts";
import { consume, dispatchSettings } from "../../src/queue/index.ts";
import { openStore } from "../../src/worker/index.ts";
import { faultyD1 } from "../../src/testing/faulty-d1.ts";
import type { DequeueResult, JobHandler, JobOutcome } from "../../src/contract/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";

const JOB = { workflowRunId: "r", workflowId: "w" };

function permits(count: number) {
  const acked: number[] = [];
  const retried: number[] = [];
  const messages = Array.from({ length: count }, (_, index) => ({
    body: { v: 1, kind: "jobs" },
    ack: () => void acked.push(index),
    retry: () => void retried.push(index),
  }));
  return { messages, acked, retried };
}

function working(handleJob: (job: DequeueResult) => Promise<JobOutcome>, db = env.DB) {
  const handler: JobHandler = { handleJob };
  const store = openStore({ ...env, DB: db }, { wakes: false });
  return async (messages: Parameters<typeof consume>[0]) =>
    consume(messages, {
      store,
      handler: { embedded: true, handler },
      settings: dispatchSettings({}),
      workerId: "w",
      waitUntil: () => {},
    });
}

beforeEach(async () => {
  await emptyDatabase();
});

describe("the consumer", () => {
  it("claims as many of the best due jobs as there are messages", async () => {
    const { jobs } = embed(env);
    await jobs.enqueueParallel([
      { ...JOB, stageId: "low", priority: 1 },
      { ...JOB, stageId: "high", priority: 9 },
      { ...JOB, stageId: "middle" },
    ]);
    const worked: string[] = [];
    const { messages, acked } = permits(2);
    const consumed = await working(async (job) => {
      worked.push(job.stageId);
      return { status: "completed" };
    })(messages);
    expect(worked).toEqual(["high", "middle"]);
    expect(acked).toEqual([0, 1]);
    expect(consumed).toMatchObject({ permits: 2, claimed: 2, completed: 2 });
    expect(await jobs.jobStats()).toMatchObject({ due: 1, leased: 0 });
  });

  it("takes two round trips for ten jobs that do nothing: a claim, and all completions", async () => {
    const { jobs } = embed(env);
    const stages = Array.from({ length: 10 }, (_, index) => ({ ...JOB, stageId: `s${index}` }));
    await jobs.enqueueParallel(stages);
    const { db, calls } = faultyD1(env.DB);
    const { messages, acked } = permits(10);
    await working(async () => ({ status: "completed" }), db)(messages);
    expect(acked).toHaveLength(10);
    expect(await jobs.jobStats()).toMatchObject({ due: 0, leased: 0 });
    expect(calls).toHaveLength(2);
  });

  it("settles each job as its handler says", async () => {
    const { jobs } = embed(env);
    await jobs.enqueueParallel(
      ["completed", "suspended", "failed", "retried", "thrown", "nonsense"].map((stageId) => ({
        ...JOB,
        stageId,
      })),
    );
    const until = new Date(Date.now() + 60_000);
    const consumed = await working(async ({ stageId }) => {
      switch (stageId) {
        case "suspended":
          return { status: "suspended", until };
        case "failed":
          return { status: "failed", error: "for good", retry: false };
        case "retried":
          return { status: "failed", error: "for now" };
        case "thrown":
          throw new RangeError("out of range");
        case "nonsense":
          return { status: "done" } as unknown as JobOutcome;
        default:
          return { status: "completed" };
      }
    })(permits(6).messages);
    expect(consumed).toMatchObject({ completed: 1, suspended: 1, failed: 4, lost: 0 });
    const byStage = new Map(
      (await jobs.getJobsByWorkflowRun("r")).map((job) => [job.stageId, job]),
    );
    expect(byStage.get("completed")).toMatchObject({ status: "COMPLETED" });
    expect(byStage.get("suspended")).toMatchObject({ status: "SUSPENDED", nextPollAt: until });
    expect(byStage.get("failed")).toMatchObject({ status: "FAILED", lastError: "for good" });
    expect(byStage.get("retried")).toMatchObject({ status: "PENDING", lastError: "for now" });
    expect(byStage.get("thrown")?.lastError).toBe("RangeError: out of range");
    expect(byStage.get("nonsense")?.lastError).toContain("is no outcome");
  });
});
