/** Leases that travel to another connection, and results that come after their lease. */
import { describe, expect, it } from "vitest";
import type { Backend } from "../../src/contract/index.ts";
import {
  faultOf,
  forced,
  JOB,
  jobsOf,
  MINUTE,
  pass,
  type Place,
  present,
  RUN,
  START,
  statuses,
  takeOver,
  usingTheClock,
  ways,
} from "./support.ts";

usingTheClock();

/** A job that one connection was given, and then another. */
async function takenOver(place: Place, run: string = JOB.workflowRunId) {
  const late = place.connect({ workerId: "late" });
  const owner = place.connect({ workerId: "owner" });
  await late.jobs.enqueue({ ...JOB, workflowRunId: run });
  const { jobId } = present(await late.jobs.dequeue());
  expect(await takeOver(owner)).toBe(2);
  return { late, owner, jobId };
}

function notesOf({ persistence }: Backend, run = "run") {
  return persistence.listAnnotations(run, { key: "job.late-result" });
}

describe.each(ways)("adopt, $name", ({ open }) => {
  it("lets another connection settle and renew the delivery, and no later one", async () => {
    const place = open();
    const { jobs } = place.connect();
    await jobs.enqueue(JOB);
    const delivery = present(await jobs.dequeue());
    const handler = place.connect({ workerId: "handler" });
    handler.jobs.adopt(delivery);
    pass(4 * MINUTE);
    await handler.jobs.touchJob(delivery.jobId);
    expect(await jobsOf(handler)).toMatchObject([{ lockedAt: new Date(START + 4 * MINUTE) }]);

    expect(await takeOver(jobs === handler.jobs ? handler : place.connect())).toBe(2);
    const before = await jobsOf(handler);
    expect(await faultOf(() => handler.jobs.touchJob(delivery.jobId))).toBe("LEASE_LOST");
    expect(await faultOf(() => handler.jobs.complete(delivery.jobId))).toBe("LEASE_LOST");
    expect(await faultOf(() => handler.jobs.fail(delivery.jobId, "no"))).toBe("LEASE_LOST");
    expect(await faultOf(() => handler.jobs.suspend(delivery.jobId, new Date()))).toBe(
      "LEASE_LOST",
    );
    expect(await jobsOf(handler)).toEqual(before);
  });

  it("can be made again, for a later attempt", async () => {
    const place = open();
    const { late, jobId } = await takenOver(place);
    expect(await faultOf(() => late.jobs.complete(jobId))).toBe("LEASE_LOST");
    late.jobs.adopt({ jobId, attempt: 2 });
    await late.jobs.complete(jobId);
    expect(await statuses(late)).toEqual(["COMPLETED"]);
  });

  it("goes for an attempt that is still to come as little as for one that is over", async () => {
    const place = open();
    const { owner, jobId } = await takenOver(place);
    for (const attempt of [0, 1, 3]) {
      const other = place.connect();
      other.jobs.adopt({ jobId, attempt });
      expect(await faultOf(() => other.jobs.complete(jobId))).toBe("LEASE_LOST");
    }
    expect(await statuses(owner)).toEqual(["RUNNING"]);
  });

  it("is not needed where nobody was given the job: any connection may settle it", async () => {
    const place = open();
    const { owner, jobId } = await takenOver(place);
    await place.connect().jobs.complete(jobId);
    expect(await statuses(owner)).toEqual(["COMPLETED"]);
  });

  it("holds in a transaction of the connection", async () => {
    const place = open();
    const { late, jobId } = await takenOver(place);
    const handler = place.connect();
    handler.jobs.adopt({ jobId, attempt: 2 });
    await handler.persistence.withTransaction(async (tx) => {
      await tx.createRun(RUN);
      await handler.jobs.complete(jobId);
    });
    expect(await statuses(late)).toEqual(["COMPLETED"]);
  });

  it("writes nothing, and refuses what is no delivery", async () => {
    const { jobs } = open().connect();
    jobs.adopt({ jobId: "run/1", attempt: 1 });
    expect(await jobs.getJobsByWorkflowRun("run")).toEqual([]);
    for (const attempt of [-1, 0.5, forced<number>("1"), forced<number>(undefined)]) {
      const call = () => jobs.adopt({ jobId: "run/1", attempt });
      expect(await faultOf(call)).toBe("INVALID_ARGUMENT attempt");
    }
    expect(await faultOf(() => jobs.adopt({ jobId: "nobody", attempt: 1 }))).toBe("NOT_FOUND");
    for (const nothing of [null, undefined, "run/1"]) {
      const call = () => jobs.adopt(forced<{ jobId: string; attempt: number }>(nothing));
      expect(await faultOf(call)).toMatch(/^INVALID_ARGUMENT/);
    }
  });
});

describe.each(ways)("a late result, $name", ({ open }) => {
  it("is kept as an annotation of the run, with all that was to be recorded", async () => {
    const place = open();
    await place.connect().persistence.createRun(RUN);
    const { late, owner, jobId } = await takenOver(place);
    const until = new Date(START + MINUTE);
    expect(await faultOf(() => late.jobs.complete(jobId))).toBe("LEASE_LOST");
    expect(await faultOf(() => late.jobs.suspend(jobId, until))).toBe("LEASE_LOST");
    expect(await faultOf(() => late.jobs.fail(jobId, "too late", true))).toBe("LEASE_LOST");
    const told = { jobId, attempt: 1, ownedByAttempt: 2 };
    const notes = await notesOf(owner);
    expect(notes.map(({ value }) => value)).toEqual([
      { ...told, outcome: "completed" },
      { ...told, outcome: "suspended", until: until.toISOString() },
      { ...told, outcome: "failed", error: "too late", retry: true },
    ]);
    for (const note of notes) {
      expect(note).toMatchObject({
        scope: "job",
        scopeId: jobId,
        attempt: 1,
        actorKind: "worker",
        actorId: "late",
      });
    }
    expect(await statuses(owner)).toEqual(["RUNNING"]);
    expect(await place.logs()).toEqual([]);
  });

  it("is kept once, however often it is reported", async () => {
    const place = open();
    await place.connect().persistence.createRun(RUN);
    const { late, owner, jobId } = await takenOver(place);
    for (let time = 0; time < 3; time += 1) {
      expect(await faultOf(() => late.jobs.complete(jobId))).toBe("LEASE_LOST");
      await late.jobs.completeMany([jobId, jobId]);
    }
    expect(await notesOf(owner)).toHaveLength(1);
  });

  it("is kept for every attempt that was late", async () => {
    const place = open();
    await place.connect().persistence.createRun(RUN);
    const { late, owner, jobId } = await takenOver(place);
    expect(await takeOver(place.connect())).toBe(3);
    for (const { jobs } of [late, owner]) {
      expect(await faultOf(() => jobs.complete(jobId))).toBe("LEASE_LOST");
    }
    const notes = await notesOf(owner);
    expect(notes.map(({ attempt, actorId }) => [attempt, actorId])).toEqual([
      [1, "late"],
      [2, "owner"],
    ]);
  });

  it("is kept as a log, once, where there is no such run", async () => {
    const place = open();
    const { late, jobId } = await takenOver(place);
    for (let time = 0; time < 3; time += 1) {
      expect(await faultOf(() => late.jobs.fail(jobId, "too late"))).toBe("LEASE_LOST");
    }
    const logs = await place.logs();
    expect(logs).toMatchObject([
      {
        workflowRunId: "run",
        level: "WARN",
        message: `A late result of attempt 1 of job ${jobId} was not taken`,
      },
    ]);
    expect(JSON.parse(String(logs[0]?.["metadata"]))).toEqual({
      jobId,
      attempt: 1,
      ownedByAttempt: 2,
      outcome: "failed",
      error: "too late",
      retry: false,
    });
    await late.jobs.completeMany([jobId]);
    expect(await place.logs()).toHaveLength(2);
  });

  it("is no heartbeat, and nothing of a job that is over", async () => {
    const place = open();
    await place.connect().persistence.createRun(RUN);
    const { late, owner, jobId } = await takenOver(place);
    expect(await faultOf(() => late.jobs.touchJob(jobId))).toBe("LEASE_LOST");
    await owner.jobs.complete(jobId);
    await owner.jobs.complete(jobId);
    await owner.jobs.completeMany([jobId]);
    expect(await notesOf(owner)).toEqual([]);
  });

  it("is kept although the transaction that brings it is taken back", async () => {
    const place = open();
    await place.connect().persistence.createRun(RUN);
    const { late, owner, jobId } = await takenOver(place);
    const transaction = () =>
      late.persistence.withTransaction(async (tx) => {
        await tx.updateRun("run", { output: "late" });
        await late.jobs.complete(jobId);
      });
    expect(await faultOf(transaction)).toBe("LEASE_LOST");
    expect(await notesOf(owner)).toMatchObject([{ value: { jobId, outcome: "completed" } }]);
    expect(await owner.persistence.getRun("run")).toMatchObject({ output: null });
    expect(await statuses(owner)).toEqual(["RUNNING"]);
  });

  it("lets a transaction go on that catches the fault", async () => {
    const place = open();
    await place.connect().persistence.createRun(RUN);
    const { late, owner, jobId } = await takenOver(place);
    await late.persistence.withTransaction(async (tx) => {
      expect(await faultOf(() => late.jobs.complete(jobId))).toBe("LEASE_LOST");
      await tx.updateRun("run", { output: "without the job" });
    });
    expect(await notesOf(owner)).toHaveLength(1);
    expect(await owner.persistence.getRun("run")).toMatchObject({ output: "without the job" });
  });

  it("is that of the attempt that was late, although the connection is given the job again meanwhile", async () => {
    for (const many of [false, true]) {
      const place = open();
      const run = `run-${many}`;
      await place.connect().persistence.createRun({ ...RUN, id: run });
      const { late, owner, jobId } = await takenOver(place, run);
      pass(10 * MINUTE);
      await owner.jobs.releaseStaleJobs();
      const again = late.jobs.dequeue();
      const outcome = many
        ? (await late.jobs.completeMany([jobId]))[0]?.outcome
        : await faultOf(() => late.jobs.complete(jobId));
      expect(await again).toMatchObject({ jobId, attempt: 3 });
      expect(outcome).toBe(many ? "lease-lost" : "LEASE_LOST");
      expect(await notesOf(owner, run)).toMatchObject([
        { attempt: 1, value: { attempt: 1, ownedByAttempt: 3 } },
      ]);
      await late.jobs.complete(jobId);
    }
  });

  it("is kept for runs with the longest ids, of whatever letters", async () => {
    for (const run of ["x".repeat(512), `${"x".repeat(255)}\u{1f600}`, "\u{1f600}".repeat(128)]) {
      const place = open();
      await place.connect().persistence.createRun({ ...RUN, id: run });
      const { late, owner, jobId } = await takenOver(place, run);
      expect(await faultOf(() => late.jobs.complete(jobId))).toBe("LEASE_LOST");
      expect(await notesOf(owner, run)).toMatchObject([{ value: { jobId } }]);
      await owner.jobs.complete(jobId);
    }
  });
});
