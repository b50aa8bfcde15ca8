/** The answer to a commit is lost, and before its caller finds out, others write the same rows. */
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { Backend } from "../../src/contract/index.ts";
import { embed } from "../../src/embed.ts";
import { D1_FAULTS } from "../../src/testing/faulty-d1.ts";
import { env } from "../support/env.ts";
import { writeDatabase } from "./support/database.ts";
import { embedded } from "./support/line.ts";
import { NOW, withoutPauses } from "./support/time.ts";
import { createWorld, WORKFLOW, type World } from "./support/world.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
  withoutPauses();
});
beforeEach(() => writeDatabase(world.database));

const STAGE = {
  workflowRunId: "active",
  stageId: "publish",
  stageName: "Publish",
  stageNumber: 5,
  executionGroup: 5,
};
const ARTIFACT = { workflowRunId: "active", type: "ARTIFACT" as const, data: "theirs", size: 8 };

/** Others, a few seconds later: the job that is to be retried is due then. */
const others = embed(env, { workerId: "other", now: () => NOW + 5_000 });

/**
 * Makes the call, loses the answer to its commit (its first call to D1, unless told otherwise), lets others act,
 * and then lets it find out.
 */
async function interrupted<T>(
  call: (backend: Backend) => Promise<T>,
  act: () => Promise<unknown>,
  commitAt = 0,
): Promise<T> {
  const { backend, d1 } = embedded();
  d1.restart(({ index }) => {
    if (index === commitAt) return D1_FAULTS.lost;
    return index === commitAt + 1 ? D1_FAULTS.stall : null;
  });
  const answer = call(backend);
  const [outcome] = await Promise.all([
    Promise.allSettled([answer]),
    (async () => {
      await vi.waitFor(() => {
        expect(d1.calls.length).toBe(commitAt + 2);
      });
      await act();
      await d1.release();
    })(),
  ]);
  expect(d1.calls[commitAt]).toMatchObject({ fault: D1_FAULTS.lost, ran: true });
  if (outcome[0].status === "rejected") throw outcome[0].reason;
  return outcome[0].value;
}

describe("a commit whose answer was lost, and others wrote since", () => {
  it("is no stale version of its own making", async () => {
    await interrupted(
      ({ persistence }) => persistence.updateRun("active", { totalTokens: 1, expectedVersion: 2 }),
      () => others.persistence.updateRun("active", { totalTokens: 2, expectedVersion: 3 }),
    );
    const run = await others.persistence.getRun("active");
    expect(run).toMatchObject({ version: 4, totalTokens: 2 });
  });

  it("is told from its outcome although the stage is gone", async () => {
    const id = world.stages.deliver;
    await interrupted(
      ({ persistence }) => persistence.updateStage(id, { status: "RUNNING", expectedVersion: 1 }),
      () => others.persistence.deleteStage(id),
    );
    expect(await others.persistence.getStageById(id)).toBeNull();
  });

  it("answers the run as it created it", async () => {
    const run = await interrupted(
      ({ persistence }) => persistence.createRun({ ...WORKFLOW, id: "new", input: 1 }),
      () => others.persistence.updateRun("new", { status: "FAILED" }),
    );
    expect(run).toMatchObject({ id: "new", version: 1, status: "PENDING" });
  });

  it("does not create a stage again that others have replaced", async () => {
    const stage = await interrupted(
      ({ persistence }) => persistence.createStage(STAGE),
      async () => {
        const theirs = await others.persistence.getStage("active", "publish");
        await others.persistence.deleteStage(theirs?.id ?? "");
        await others.persistence.createStage({ ...STAGE, attempt: 2 });
      },
    );
    const stored = await others.persistence.getStage("active", "publish");
    expect(stored).toMatchObject({ attempt: 2 });
    expect(stored?.id).not.toBe(stage.id);
  });

  it("cannot answer a stage that others have deleted", async () => {
    await expect(
      interrupted(
        ({ persistence }) =>
          persistence.upsertStage({
            workflowRunId: "active",
            stageId: "publish",
            create: STAGE,
            update: {},
          }),
        async () => {
          const theirs = await others.persistence.getStage("active", "publish");
          await others.persistence.deleteStage(theirs?.id ?? "");
        },
      ),
    ).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });

  it("is a claim that was won, whatever became of the run", async () => {
    const finish = () => others.persistence.updateRun("first", { status: "COMPLETED" });
    const claimed = await interrupted(
      ({ persistence }) => persistence.claimPendingRun("first"),
      finish,
    );
    expect(claimed).toBe(true);
    await writeDatabase(world.database);
    const next = await interrupted(
      ({ persistence }) => persistence.claimNextPendingRun(),
      finish,
      1,
    );
    expect(next).toMatchObject({ id: "first" });
    expect(await others.persistence.getRunStatus("second")).toBe("PENDING");
  });

  it("does not delete what others have put in the place", async () => {
    await interrupted(
      ({ persistence }) => persistence.deleteArtifact("active", "draft.json"),
      () => others.persistence.saveArtifact({ ...ARTIFACT, key: "draft.json" }),
    );
    expect(await others.persistence.loadArtifact("active", "draft.json")).toBe("theirs");

    await interrupted(
      ({ persistence }) => persistence.deleteStage(world.stages.extract),
      () => others.persistence.createStage({ ...STAGE, stageId: "extract" }),
    );
    expect(await others.persistence.getStage("active", "extract")).not.toBeNull();

    await interrupted(
      ({ persistence }) => persistence.releaseIdempotencyKey("held", "start"),
      () => others.persistence.acquireIdempotencyKey("held", "start"),
    );
    expect(await others.persistence.acquireIdempotencyKey("held", "start")).toEqual({
      status: "in_progress",
    });
  });

  it("does not save again what others have deleted", async () => {
    await interrupted(
      ({ persistence }) => persistence.saveArtifact({ ...ARTIFACT, key: "new.json" }),
      () => others.persistence.deleteArtifact("active", "new.json"),
    );
    expect(await others.persistence.hasArtifact("active", "new.json")).toBe(false);
  });

  it("does not guess a count that others have raised", async () => {
    const { waiting } = world.events;
    await expect(
      interrupted(
        ({ persistence }) => persistence.incrementOutboxRetryCount(waiting),
        () => others.persistence.incrementOutboxRetryCount(waiting),
      ),
    ).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const [event] = await others.persistence.getUnpublishedOutboxEvents();
    expect(event).toMatchObject({ id: waiting, retryCount: 2 });
  });

  it("does not take an event out of the DLQ that others have put back", async () => {
    const { dead } = world.events;
    const replayed = await interrupted(
      ({ persistence }) => persistence.replayDLQEvents(10),
      () => others.persistence.moveOutboxEventToDLQ(dead),
      1,
    );
    expect(replayed).toBe(1);
    const waiting = await others.persistence.getUnpublishedOutboxEvents();
    expect(waiting.map(({ id }) => id)).not.toContain(dead);
  });

  it("is no acquired key once others hold it", async () => {
    const acquired = await interrupted(
      ({ persistence }) => persistence.acquireIdempotencyKey("new", "start"),
      async () => {
        await others.persistence.releaseIdempotencyKey("new", "start");
        expect(await others.persistence.acquireIdempotencyKey("new", "start")).toEqual({
          status: "acquired",
        });
      },
    );
    expect(acquired).toEqual({ status: "in_progress" });
  });

  it("is no lost lease when a later attempt owns the job", async () => {
    const { jobs } = world;
    await interrupted(
      (backend) => backend.jobs.fail(jobs.leased, "No model", true),
      () => others.jobs.dequeue(),
    );
    const [job] = (await others.jobs.getJobsByWorkflowRun("active")).filter(
      ({ id }) => id === jobs.leased,
    );
    expect(job).toMatchObject({ status: "RUNNING", attempt: 2, lastError: "No model" });
  });

  it("leases a job again whose lease others have ended", async () => {
    const job = await interrupted(
      (backend) => backend.jobs.dequeue(),
      () => others.jobs.releaseStaleJobs(0),
    );
    const [stored] = (await others.jobs.getJobsByWorkflowRun("active")).filter(
      ({ id }) => id === job?.jobId,
    );
    expect(stored).toMatchObject({ status: "RUNNING", attempt: job?.attempt, workerId: "worker" });
  });

  it("cancels no job that came later", async () => {
    const cancelled = await interrupted(
      ({ jobs }) => jobs.cancelByRun("active"),
      () => others.jobs.enqueue({ workflowRunId: "active", workflowId: "w", stageId: "s" }),
    );
    expect(cancelled).toBe(3);
    const left = await others.jobs.getJobsByWorkflowRun("active");
    expect(left.filter(({ status }) => status === "PENDING").length).toBe(1);
  });

  it("counts the leases that it ended, although the first had ended before", async () => {
    const { jobs } = world;
    const released = await interrupted(
      (backend) => backend.jobs.releaseStaleJobs(0),
      () => others.jobs.complete(jobs.stale),
      1,
    );
    expect(released).toBeGreaterThanOrEqual(1);
    const states = await others.jobs.getJobsByWorkflowRun("active");
    expect(states.filter(({ status }) => status === "RUNNING")).toEqual([]);
  });

  it("runs the callback of a transaction once", async () => {
    let runs = 0;
    await interrupted(
      ({ persistence }) =>
        persistence.withTransaction(async (tx) => {
          runs += 1;
          const run = await tx.getRun("active");
          await tx.updateRun("active", { totalTokens: (run?.totalTokens ?? 0) + 1 });
        }),
      async () => {
        const run = await others.persistence.getRun("active");
        await others.persistence.updateRun("active", { totalTokens: (run?.totalTokens ?? 0) + 1 });
      },
      1,
    );
    expect(runs).toBe(1);
    expect(await others.persistence.getRun("active")).toMatchObject({
      totalTokens: 2,
      version: 4,
    });
  });
});
