/** Writes of rows that the transaction has not read: they cost nothing, and what is wrong with them shows at their call all the same. */
import { beforeEach, describe, expect, it } from "vitest";
import {
  type Backend,
  isServiceError,
  type WorkflowPersistence,
} from "../../src/contract/index.ts";
import { recordedConnection } from "../ledger/live.ts";
import { Recorder } from "../ledger/recorder.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import {
  createRun,
  event,
  jobInput,
  newId,
  outcomeOf,
  present,
  runInput,
  stageInput,
  ways,
} from "./ways.ts";

describe.each(ways)("a write that is refused, $name", ({ open }) => {
  it("throws at its call, where it can be caught, and the transaction goes on", async () => {
    const { a } = open();
    const run = await createRun(a);
    await a.persistence.createStage(stageInput(run, "s"));
    const caught: string[] = [];
    await a.persistence.withTransaction(async (tx) => {
      caught.length = 0;
      for (const stageId of ["s", "t"]) {
        try {
          await tx.createStage(stageInput(run, stageId));
        } catch (error) {
          if (!isServiceError(error)) throw error;
          caught.push(`${stageId} ${error.code}`);
        }
      }
      await tx.updateRun(run, { status: "RUNNING" });
    });
    expect(caught).toEqual(["s ALREADY_EXISTS"]);
    const stages = await a.persistence.getStagesByRun(run);
    expect(stages.map(({ stageId }) => stageId)).toEqual(["s", "t"]);
    expect(await a.persistence.getRunStatus(run)).toBe("RUNNING");
  });

  it.each<[string, string, (tx: WorkflowPersistence, run: string) => Promise<unknown>]>([
    ["a run that exists", "ALREADY_EXISTS", (tx, run) => tx.createRun(runInput(run))],
    ["a run that is missing", "NOT_FOUND", (tx) => tx.updateRun("missing", { status: "FAILED" })],
    [
      "another version",
      "StaleVersionError",
      (tx, run) => tx.updateRun(run, { expectedVersion: 7 }),
    ],
    ["a stage of a missing run", "NOT_FOUND", (tx) => tx.createStage(stageInput("missing", "s"))],
    [
      "a stage that is missing",
      "NOT_FOUND",
      (tx, run) => tx.updateStageByRunAndStageId(run, "missing", { status: "FAILED" }),
    ],
  ])("says what is wrong: %s", async (_, code, write) => {
    const { a } = open();
    const run = await createRun(a);
    const outcome = await outcomeOf(
      a.persistence.withTransaction(async (tx) => {
        await tx.appendOutboxEvents([event(run)]);
        await write(tx, run);
      }),
    );
    expect(outcome).toMatch(code);
    expect(await a.persistence.getUnpublishedOutboxEvents()).not.toContainEqual(
      expect.objectContaining({ workflowRunId: run }),
    );
  });

  it("says LEASE_LOST of a job that a later attempt owns", async () => {
    const { a, b } = open();
    const run = await createRun(a);
    const jobId = await a.jobs.enqueue(jobInput(run));
    a.jobs.adopt({ jobId, attempt: 0 });
    b.jobs.adopt({ jobId, attempt: 0 });
    while ((await b.jobs.dequeue())?.jobId !== jobId);
    const complete = () => a.persistence.withTransaction(async () => a.jobs.complete(jobId));
    expect(await outcomeOf(complete())).toBe("LEASE_LOST");
  });

  it("says that the version is another one of a row that the transaction itself has written unread", async () => {
    const { a } = open();
    const run = await createRun(a);
    const caught: string[] = [];
    await a.persistence.withTransaction(async (tx) => {
      caught.length = 0;
      await tx.updateRun(run, { status: "RUNNING", expectedVersion: 1 });
      for (const expectedVersion of [1, 2]) {
        caught.push(await outcomeOf(tx.updateRun(run, { totalTokens: 5, expectedVersion })));
      }
    });
    expect(caught).toEqual([expect.stringMatching("StaleVersionError"), "done"]);
    expect(await a.persistence.getRun(run)).toMatchObject({ version: 3, totalTokens: 5 });
  });

  it("is what a callback is told that had been misled by it", async () => {
    const { a } = open();
    const run = await createRun(a);
    const outcome = await outcomeOf(
      a.persistence.withTransaction(async (tx) => {
        await tx.updateStageByRunAndStageId(run, "missing", { status: "RUNNING" });
        if ((await tx.getStage(run, "missing")) === null) throw new Error("This cannot be");
      }),
    );
    expect(outcome).toBe("NOT_FOUND");
  });

  it("of a row that would grow too large, throws at its call", async () => {
    const { a } = open();
    const run = await createRun(a);
    const half = "x".repeat(1_000_000);
    await a.persistence.createStage({ ...stageInput(run, "s"), inputData: half });
    let caught = "";
    await a.persistence.withTransaction(async (tx) => {
      try {
        await tx.updateStageByRunAndStageId(run, "s", { outputData: half });
      } catch (error) {
        if (isServiceError(error)) caught = error.code;
      }
    });
    expect(caught).toBe("PAYLOAD_TOO_LARGE");
  });
});

describe.each(ways)("a write of an unread row, $name", ({ open }) => {
  it("is seen by every later read of the transaction", async () => {
    const { a } = open();
    const run = await createRun(a);
    const stage = await a.persistence.createStage(stageInput(run, "s"));
    const jobId = await a.jobs.enqueue(jobInput(run));
    await a.persistence.appendOutboxEvents([event(run)]);
    await a.persistence.withTransaction(async (tx) => {
      await tx.updateRun(run, { status: "RUNNING" });
      await tx.updateStage(stage.id, { status: "SUSPENDED", nextPollAt: new Date(5) });
      await tx.updateStage(stage.id, { outputData: "out" });
      await a.jobs.complete(jobId);
      await tx.appendOutboxEvents([event(run), event(run)]);
      expect(await tx.getRunStatus(run)).toBe("RUNNING");
      expect(await tx.getStage(run, "s")).toMatchObject({
        status: "SUSPENDED",
        outputData: "out",
        version: 3,
      });
      const suspended = await tx.getSuspendedStages(new Date(10));
      expect(suspended.map(({ id }) => id)).toContain(stage.id);
      const [job] = await a.jobs.getJobsByWorkflowRun(run);
      expect(job?.status).toBe("COMPLETED");
      const events = await tx.getUnpublishedOutboxEvents(1_000);
      const own = events.filter(({ workflowRunId }) => workflowRunId === run);
      expect(own.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
      await tx.markOutboxEventsPublished(own.slice(0, 2).map(({ id }) => id));
    });
    const events = await a.persistence.getUnpublishedOutboxEvents(1_000);
    const own = events.filter(({ workflowRunId }) => workflowRunId === run);
    expect(own.map(({ sequence }) => sequence)).toEqual([3]);
    expect(await a.persistence.getStage(run, "s")).toMatchObject({ version: 3 });
  });

  it("of an event is published by the id that it will have", async () => {
    const { a } = open();
    const run = await createRun(a);
    await a.persistence.withTransaction(async (tx) => {
      await tx.appendOutboxEvents([event(run), event(run)]);
      await tx.markOutboxEventsPublished([`${run}/1`]);
    });
    const events = await a.persistence.getUnpublishedOutboxEvents(1_000);
    const own = events.filter(({ workflowRunId }) => workflowRunId === run);
    expect(own.map(({ sequence }) => sequence)).toEqual([2]);
  });

  it("does not make a callback run again that throws", async () => {
    const { a } = open();
    const run = await createRun(a);
    let runs = 0;
    const own = new Error("enough");
    const thrown = a.persistence.withTransaction(async (tx) => {
      runs += 1;
      await tx.updateRun(run, { status: "RUNNING" });
      throw own;
    });
    await expect(thrown).rejects.toBe(own);
    expect(runs).toBe(1);
    expect(await a.persistence.getRunStatus(run)).toBe("PENDING");
  });
});

describe("what a transaction costs in D1", () => {
  beforeEach(async () => {
    await emptyDatabase();
  });

  async function measured(prepare: (backend: Backend) => Promise<() => Promise<unknown>>) {
    const recorder = new Recorder(env.DB);
    const act = await prepare(recordedConnection(recorder, Date.now()));
    recorder.reset();
    await act();
    return recorder.figures();
  }

  const stepOf = async (stages: number) =>
    measured(async ({ persistence, jobs }) => {
      const run = newId();
      await persistence.createRun(runInput(run));
      for (let stage = 0; stage < stages; stage += 1) {
        await persistence.createStage(stageInput(run, `stage-${stage}`));
      }
      await jobs.enqueue(jobInput(run));
      const job = present(await jobs.dequeue());
      return async () =>
        persistence.withTransaction(async (tx) => {
          await tx.updateStageByRunAndStageId(run, "stage-0", { status: "COMPLETED" });
          await tx.appendOutboxEvents([event(run), event(run)]);
          await tx.createStage(stageInput(run, "next"));
          await jobs.complete(job.jobId);
          await jobs.enqueue(jobInput(run, "next"));
        });
    });

  it("a step is one round trip, and reads as many rows of a run with 128 stages as of one with 2", async () => {
    const [few, many] = [await stepOf(2), await stepOf(128)];
    expect(many).toEqual(few);
    expect(few.roundTrips).toBe(1);
    expect(few.statements).toBeLessThanOrEqual(10);
  });

  it("a start (run, stage, job, event) is one round trip", async () => {
    const figures = await measured(async ({ persistence, jobs }) => async () => {
      const run = newId();
      await persistence.withTransaction(async (tx) => {
        await tx.createRun(runInput(run));
        await tx.createStage(stageInput(run, "s"));
        await jobs.enqueue(jobInput(run));
        await tx.appendOutboxEvents([event(run)]);
      });
    });
    expect(figures.roundTrips).toBe(1);
  });

  it("one refused write among many costs a commit that is refused, one read of all their rows, and the commit", async () => {
    const refused: string[] = [];
    const figures = await measured(async (backend) => {
      const run = await createRun(backend);
      await backend.persistence.createStage(stageInput(run, "stage-3"));
      return async () =>
        backend.persistence.withTransaction(async (tx) => {
          refused.length = 0;
          for (let stage = 0; stage < 25; stage += 1) {
            const stageId = `stage-${stage}`;
            if ((await outcomeOf(tx.createStage(stageInput(run, stageId)))) !== "done") {
              refused.push(stageId);
            }
          }
        });
    });
    expect(refused).toEqual(["stage-3"]);
    expect(figures.roundTrips).toBe(3);
  });

  it("completeMany is one read of all its jobs, and the commit", async () => {
    const figures = await measured(async ({ persistence, jobs }) => {
      const ids = await jobs.enqueueParallel(Array.from({ length: 25 }, () => jobInput(newId())));
      return async () => persistence.withTransaction(async () => jobs.completeMany(ids));
    });
    expect(figures.roundTrips).toBe(2);
  });

  it("reads that are asked for together are one round trip", async () => {
    const figures = await measured(async (backend) => {
      const run = await createRun(backend);
      return async () =>
        backend.persistence.withTransaction(async (tx) =>
          Promise.all([tx.getRun(run), tx.getStagesByRun(run), tx.getStage(run, "s")]),
        );
    });
    expect(figures.roundTrips).toBe(1);
  });
});
