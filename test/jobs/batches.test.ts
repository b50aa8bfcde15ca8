import { describe, expect, it } from "vitest";
import { CLAIM_JOBS_MAX, TRANSACTION_CHANGES_MAX } from "../../src/model/index.ts";
import {
  faultOf,
  forced,
  JOB,
  jobsOf,
  MINUTE,
  pass,
  present,
  RUN,
  START,
  statuses,
  takeOver,
  times,
  usingTheClock,
  ways,
} from "./support.ts";

usingTheClock();

describe.each(ways)("dequeueMany, $name", ({ open }) => {
  it("takes the best jobs that are due, in the order in which dequeue would", async () => {
    const place = open();
    const { jobs } = place.connect({ workerId: "a" });
    const scheduledFor = new Date(START + MINUTE);
    await jobs.enqueueParallel([
      { ...JOB, stageId: "low", priority: 1 },
      { ...JOB, stageId: "first" },
      { ...JOB, stageId: "high", priority: 9, workflowRunId: "z" },
      { ...JOB, stageId: "later", priority: 10, scheduledFor },
      { ...JOB, stageId: "second", workflowRunId: "a" },
    ]);
    const taken = await jobs.dequeueMany(3);
    expect(taken.map(({ stageId }) => stageId)).toEqual(["high", "first", "second"]);
    expect(taken).toMatchObject(times(3, () => ({ attempt: 1, maxAttempts: 3, payload: {} })));
    expect((await jobs.dequeueMany(3)).map(({ stageId }) => stageId)).toEqual(["low"]);
    expect(await jobs.dequeueMany(3)).toEqual([]);
    pass(MINUTE);
    expect((await jobs.dequeueMany(3)).map(({ stageId }) => stageId)).toEqual(["later"]);
    expect(await jobsOf(place.connect(), "z")).toMatchObject([
      { status: "RUNNING", workerId: "a", lockedAt: new Date(START), startedAt: new Date(START) },
    ]);
  });

  it("makes each a lease of its own", async () => {
    const place = open();
    const a = place.connect({ workerId: "a" });
    await a.jobs.enqueueParallel(times(3, () => JOB));
    const [kept, left, done] = await a.jobs.dequeueMany(3);
    pass(4 * MINUTE);
    await a.jobs.touchJob(present(kept).jobId);
    await a.jobs.complete(present(done).jobId);
    pass(2 * MINUTE);
    expect(await a.jobs.releaseStaleJobs()).toBe(1);
    expect(await statuses(a)).toEqual(["RUNNING", "PENDING", "COMPLETED"]);
    expect(await place.connect().jobs.dequeueMany(9)).toMatchObject([
      { jobId: left?.jobId, attempt: 2 },
    ]);
  });

  it("gives no job to two of many callers, and every job to one", async () => {
    const place = open();
    await place.connect().jobs.enqueueParallel(times(100, () => JOB));
    const taken = await Promise.all(times(10, (n) => place.connect().jobs.dequeueMany(5 + n * 2)));
    const ids = taken.flat().map(({ jobId }) => jobId);
    expect([ids.length, new Set(ids).size]).toEqual([100, 100]);
    expect(taken.flat().every(({ attempt }) => attempt === 1)).toBe(true);
    expect(await place.connect().jobs.dequeueMany(100)).toEqual([]);
  });

  it("gives at most a hundred at once", async () => {
    const { jobs } = open().connect();
    await jobs.enqueueParallel(times(CLAIM_JOBS_MAX + 1, () => JOB));
    expect(await jobs.dequeueMany(CLAIM_JOBS_MAX)).toHaveLength(CLAIM_JOBS_MAX);
    for (const count of [0, -1, 1.5, CLAIM_JOBS_MAX + 1, Number.NaN, forced<number>("1")]) {
      expect(await faultOf(() => jobs.dequeueMany(count))).toBe("INVALID_ARGUMENT count");
    }
    expect(await jobs.dequeueMany(1)).toHaveLength(1);
  });

  it("acts at once in a transaction, as dequeue does, and the transaction may settle what it took", async () => {
    const backend = open().connect();
    const { persistence, jobs } = backend;
    await jobs.enqueueParallel([JOB, JOB]);
    const undone = persistence.withTransaction(async () => {
      await jobs.completeMany((await jobs.dequeueMany(1)).map(({ jobId }) => jobId));
      throw new Error("taken back");
    });
    await expect(undone).rejects.toThrow("taken back");
    expect(await statuses(backend)).toEqual(["RUNNING", "PENDING"]);
    await persistence.withTransaction(async () => {
      await jobs.completeMany((await jobs.dequeueMany(1)).map(({ jobId }) => jobId));
    });
    expect(await statuses(backend)).toEqual(["RUNNING", "COMPLETED"]);
  });
});

describe.each(ways)("completeMany, $name", ({ open }) => {
  it("completes each for itself, and answers what became of each in the order of the ids", async () => {
    const place = open();
    const a = place.connect({ workerId: "a" });
    await a.persistence.createRun(RUN);
    await a.jobs.enqueueParallel(times(5, (n) => ({ ...JOB, stageId: `${n}`, priority: 9 - n })));
    const [mine, lost, over, waiting] = await a.jobs.dequeueMany(4);
    const ids = [mine, lost, over, waiting].map((job) => present(job).jobId);
    const [mineId = "", lostId = "", overId = "", failedId = ""] = ids;
    const [unclaimed] = (await jobsOf(a)).slice(-1);
    pass(4 * MINUTE);
    for (const id of [mineId, overId, failedId]) await a.jobs.touchJob(id);
    await a.jobs.complete(overId);
    await a.jobs.fail(failedId, "no");
    pass(2 * MINUTE);
    await a.jobs.releaseStaleJobs();
    const b = place.connect({ workerId: "b" });
    expect(await b.jobs.dequeue()).toMatchObject({ jobId: lostId, attempt: 2 });
    const before = await jobsOf(b);

    const unknown = ["run/0123456789", "nobody", "run/~", "/", ""];
    const openId = present(unclaimed).id;
    const all = [openId, lostId, ...unknown, overId, mineId, failedId];
    expect(await a.jobs.completeMany(all)).toEqual([
      // Never delivered: any connection that knows its id may settle it.
      { jobId: openId, outcome: "settled" },
      { jobId: lostId, outcome: "lease-lost" },
      ...unknown.map((jobId) => ({ jobId, outcome: "not-found" })),
      { jobId: overId, outcome: "over" },
      { jobId: mineId, outcome: "settled" },
      { jobId: failedId, outcome: "over" },
    ]);

    const after = await jobsOf(b);
    const changed = after.filter((job, index) => job.status !== before[index]?.status);
    expect(changed.map(({ id, status }) => [id, status])).toEqual([
      [mineId, "COMPLETED"],
      [openId, "COMPLETED"],
    ]);
    expect(after.find(({ id }) => id === lostId)).toMatchObject({ workerId: "b", attempt: 2 });
    const notes = await a.persistence.listAnnotations("run", { key: "job.late-result" });
    expect(notes).toMatchObject([{ attempt: 1, value: { jobId: lostId, outcome: "completed" } }]);
  });

  it("answers the same for each time that an id is named", async () => {
    const { jobs, persistence } = open().connect();
    await jobs.enqueueParallel([JOB, JOB]);
    const [a, b] = (await jobs.dequeueMany(2)).map(({ jobId }) => jobId);
    const twice = [a, b, a].map((jobId) => present(jobId));
    const settled = twice.map((jobId) => ({ jobId, outcome: "settled" }));
    const over = twice.map((jobId) => ({ jobId, outcome: "over" }));
    expect(await jobs.completeMany(twice)).toEqual(settled);
    expect(await jobs.completeMany(twice)).toEqual(over);
    expect(await persistence.withTransaction(async () => jobs.completeMany(twice))).toEqual(over);
    expect(await jobs.completeMany([])).toEqual([]);
  });

  it("completes a thousand at once, and refuses more", async () => {
    const backend = open().connect();
    const { jobs } = backend;
    const ids = await jobs.enqueueParallel(times(TRANSACTION_CHANGES_MAX, () => JOB));
    const more = [...ids, "run/1"];
    expect(await faultOf(() => jobs.completeMany(more))).toBe("INVALID_ARGUMENT jobIds");
    const settled = await jobs.completeMany(ids);
    expect(settled.map(({ jobId }) => jobId)).toEqual(ids);
    expect(new Set(settled.map(({ outcome }) => outcome))).toEqual(new Set(["settled"]));
    expect(new Set(await statuses(backend))).toEqual(new Set(["COMPLETED"]));
  });

  it("refuses what is no list of ids", async () => {
    const { jobs } = open().connect();
    for (const bad of [null, "run/1", [5], [null]]) {
      const call = () => jobs.completeMany(forced<string[]>(bad));
      expect(await faultOf(call)).toMatch(/^INVALID_ARGUMENT/);
    }
  });

  it("is one of many that settle the same jobs at once: each is settled by one", async () => {
    const place = open();
    const ids = await place.connect().jobs.enqueueParallel(times(20, () => JOB));
    const answers = await Promise.all(times(6, () => place.connect().jobs.completeMany(ids)));
    for (const jobId of ids) {
      const outcomes = answers.flatMap((answer) => answer.filter((job) => job.jobId === jobId));
      expect(outcomes.map(({ outcome }) => outcome).toSorted()).toEqual([
        ...times(5, () => "over"),
        "settled",
      ]);
    }
  });
});

describe.each(ways)("completeMany in a transaction, $name", ({ open }) => {
  it("joins it: nothing is completed when the transaction is taken back", async () => {
    const backend = open().connect();
    const { persistence, jobs } = backend;
    await jobs.enqueueParallel([JOB, JOB]);
    const ids = (await jobs.dequeueMany(2)).map(({ jobId }) => jobId);
    const settled = ids.map((jobId) => ({ jobId, outcome: "settled" }));
    const undone = persistence.withTransaction(async () => {
      expect(await jobs.completeMany(ids)).toEqual(settled);
      expect(await statuses(backend)).toEqual(["COMPLETED", "COMPLETED"]);
      throw new Error("taken back");
    });
    await expect(undone).rejects.toThrow("taken back");
    expect(await statuses(backend)).toEqual(["RUNNING", "RUNNING"]);
    await persistence.withTransaction(async (tx) => {
      await tx.createRun(RUN);
      await jobs.completeMany(ids);
    });
    expect(await statuses(backend)).toEqual(["COMPLETED", "COMPLETED"]);
  });

  it("answers what became of each, and goes on without those that are not its own", async () => {
    const place = open();
    const a = place.connect({ workerId: "a" });
    await a.jobs.enqueueParallel([JOB, JOB, { ...JOB, priority: 9 }]);
    const lost = present(await a.jobs.dequeue()).jobId;
    expect(await takeOver(place.connect())).toBe(2);
    const [mine = "", over = ""] = (await a.jobs.dequeueMany(2)).map(({ jobId }) => jobId);
    await a.jobs.complete(over);
    const all = [lost, "nobody", over, mine];
    const answer = await a.persistence.withTransaction(async (tx) => {
      await tx.createRun(RUN);
      return a.jobs.completeMany(all);
    });
    expect(answer.map(({ outcome }) => outcome)).toEqual([
      "lease-lost",
      "not-found",
      "over",
      "settled",
    ]);
    expect(await statuses(a)).toEqual(["COMPLETED", "COMPLETED", "RUNNING"]);
    expect(await a.persistence.getRun("run")).not.toBeNull();
  });

  it("runs again when others settle one of the jobs before the commit", async () => {
    const place = open();
    const { persistence, jobs } = place.connect();
    await jobs.enqueueParallel([JOB, JOB]);
    const ids = (await jobs.dequeueMany(2)).map(({ jobId }) => jobId);
    let runs = 0;
    const answer = await persistence.withTransaction(async () => {
      runs += 1;
      const settled = await jobs.completeMany(ids);
      if (runs === 1) await place.connect().jobs.fail(ids[0] ?? "", "theirs");
      return settled.map(({ outcome }) => outcome);
    });
    expect([runs, answer]).toEqual([2, ["over", "settled"]]);
    expect(await statuses(place.connect())).toEqual(["FAILED", "COMPLETED"]);
  });
});
