import { describe, expect, it } from "vitest";
import { DEDUPED_JOBS_MAX } from "../../src/model/index.ts";
import type { Backend } from "../../src/contract/index.ts";
import { faultOf, JOB, jobsOf, present, statuses, times, usingTheClock, ways } from "./support.ts";

usingTheClock();

const ONCE = { ...JOB, dedupeKey: "once" };

/** What brings a live job to its end. */
const ENDS: Readonly<Record<string, (backend: Backend, jobId: string) => Promise<unknown>>> = {
  completed: ({ jobs }, jobId) => jobs.complete(jobId),
  failed: ({ jobs }, jobId) => jobs.fail(jobId, "no"),
  cancelled: ({ jobs }) => jobs.cancelByRun("run"),
};

describe.each(ways)("a dedupe key, $name", ({ open }) => {
  it("lets nothing be added while a live job has it, and answers that one", async () => {
    const backend = open().connect();
    const { jobs } = backend;
    const first = await jobs.enqueue(ONCE);
    expect(await jobs.enqueue({ ...ONCE, priority: 9, stageId: "other" })).toBe(first);
    await jobs.dequeue();
    expect(await jobs.enqueue(ONCE)).toBe(first);
    await jobs.suspend(first, new Date());
    expect(await jobs.enqueue(ONCE)).toBe(first);
    await jobs.fail(first, "again", true);
    expect(await jobs.enqueue(ONCE)).toBe(first);
    expect(await jobsOf(backend)).toMatchObject([{ stageId: "s", dedupeKey: "once" }]);
  });

  it("counts across runs, and is one key only where it is the same to the letter", async () => {
    const backend = open().connect();
    const { jobs } = backend;
    const first = await jobs.enqueue(ONCE);
    expect(await jobs.enqueue({ ...ONCE, workflowRunId: "other" })).toBe(first);
    expect(await jobsOf(backend, "other")).toEqual([]);
    for (const dedupeKey of ["Once", "once ", "", "%"]) {
      expect(await jobs.enqueue({ ...ONCE, dedupeKey })).not.toBe(first);
    }
    expect(await jobsOf(backend)).toHaveLength(5);
  });

  it.each(Object.entries(ENDS))("is free again when its job is %s", async (_, end) => {
    const backend = open().connect();
    const first = await backend.jobs.enqueue(ONCE);
    await end(backend, first);
    const second = await backend.jobs.enqueue(ONCE);
    expect(second).not.toBe(first);
    expect(await backend.jobs.enqueue(ONCE)).toBe(second);
    expect(await jobsOf(backend)).toHaveLength(2);
  });

  it("holds among many connections that enqueue at once", async () => {
    const place = open();
    const ids = await Promise.all(times(16, () => place.connect().jobs.enqueue(ONCE)));
    expect(new Set(ids).size).toBe(1);
    expect((await jobsOf(place.connect())).map(({ id }) => id)).toEqual([ids[0]]);
  });

  it("holds within one call, beside jobs with other keys and with none", async () => {
    const backend = open().connect();
    const [a, b, c, d, e] = await backend.jobs.enqueueParallel([
      ONCE,
      JOB,
      { ...ONCE, dedupeKey: "twice" },
      ONCE,
      JOB,
    ]);
    expect(d).toBe(a);
    expect(new Set([a, b, c, e]).size).toBe(4);
    expect((await jobsOf(backend)).map(({ id }) => id)).toEqual([a, b, c, e]);
  });

  it("is refused where it is no key, or one of too many", async () => {
    const { jobs } = open().connect();
    expect(await faultOf(() => jobs.enqueue({ ...JOB, dedupeKey: "nul\0" }))).toMatch(/^INVALID_/);
    expect(await faultOf(() => jobs.enqueue({ ...JOB, dedupeKey: "x".repeat(2_049) }))).toMatch(
      /^INVALID_/,
    );
    const many = times(DEDUPED_JOBS_MAX + 1, (n) => ({ ...JOB, dedupeKey: `${n}` }));
    expect(await faultOf(() => jobs.enqueueParallel(many))).toBe("INVALID_ARGUMENT dedupeKey");
    expect(await jobs.getJobsByWorkflowRun("run")).toEqual([]);
    expect(await jobs.enqueueParallel(many.slice(1))).toHaveLength(DEDUPED_JOBS_MAX);
  });
});

describe.each(ways)("a dedupe key in a transaction, $name", ({ open }) => {
  it("answers the live job, its own included, and goes with the transaction", async () => {
    const backend = open().connect();
    const { persistence, jobs } = backend;
    const undone = persistence.withTransaction(async () => {
      const id = await jobs.enqueue(ONCE);
      expect(await jobs.enqueue(ONCE)).toBe(id);
      throw new Error("taken back");
    });
    await expect(undone).rejects.toThrow("taken back");
    expect(await jobsOf(backend)).toEqual([]);

    const [first, again] = await persistence.withTransaction(async () => [
      await jobs.enqueue(ONCE),
      await jobs.enqueue(ONCE),
    ]);
    expect(again).toBe(first);
    expect(await persistence.withTransaction(async () => jobs.enqueue(ONCE))).toBe(first);
    expect((await jobsOf(backend)).map(({ id }) => id)).toEqual([first]);
  });

  it("that others take before the commit makes the callback run again, and is answered as theirs", async () => {
    const place = open();
    const { persistence, jobs } = place.connect();
    let runs = 0;
    let theirs = "";
    const answered = await persistence.withTransaction(async () => {
      runs += 1;
      const id = await jobs.enqueue(ONCE);
      if (runs === 1) theirs = await place.connect().jobs.enqueue(ONCE);
      return id;
    });
    expect([runs, answered]).toEqual([2, theirs]);
    expect((await jobsOf(place.connect())).map(({ id }) => id)).toEqual([theirs]);
  });

  it("that others give back before the commit makes the callback run again, and add a job", async () => {
    const place = open();
    const { persistence, jobs } = place.connect();
    const theirs = await jobs.enqueue(ONCE);
    let runs = 0;
    const answered = await persistence.withTransaction(async () => {
      runs += 1;
      const id = await jobs.enqueue(ONCE);
      if (runs === 1) await place.connect().jobs.complete(theirs);
      await jobs.enqueue({ ...JOB, workflowRunId: "other" });
      return id;
    });
    expect(runs).toBe(2);
    expect(answered).not.toBe(theirs);
    expect(await statuses(place.connect())).toEqual(["COMPLETED", "PENDING"]);
  });

  it("is free for a job that is added after the run's jobs were cancelled", async () => {
    const backend = open().connect();
    const { persistence, jobs } = backend;
    const first = await jobs.enqueue(ONCE);
    const second = await persistence.withTransaction(async () => {
      expect(await jobs.cancelByRun("run")).toBe(1);
      return jobs.enqueue(ONCE);
    });
    expect(await jobsOf(backend)).toMatchObject([
      { id: first, status: "CANCELLED" },
      { id: second, status: "PENDING" },
    ]);
  });

  it("is free for the next job when the one before it is completed", async () => {
    const backend = open().connect();
    const { persistence, jobs } = backend;
    await jobs.enqueue(ONCE);
    const { jobId } = present(await jobs.dequeue());
    await persistence.withTransaction(async () => {
      await jobs.complete(jobId);
      await jobs.enqueue({ ...ONCE, workflowRunId: "other" });
    });
    expect(await statuses(backend)).toEqual(["COMPLETED"]);
    expect(await statuses(backend, "other")).toEqual(["PENDING"]);
  });

  it("may be used and given back, again and again", async () => {
    const backend = open().connect();
    const { persistence, jobs } = backend;
    await jobs.enqueue(ONCE);
    await persistence.withTransaction(async () => {
      for (let time = 0; time < 3; time += 1) {
        await jobs.cancelByRun("run");
        await jobs.enqueue(ONCE);
      }
    });
    expect(await statuses(backend)).toEqual(["CANCELLED", "CANCELLED", "CANCELLED", "PENDING"]);
  });

  it("is one job's among transactions at once", async () => {
    const place = open();
    const ids = await Promise.all(
      times(6, (n) => {
        const { persistence, jobs } = place.connect();
        return persistence.withTransaction(async () => {
          await jobs.enqueue({ ...JOB, workflowRunId: `own-${n}` });
          return jobs.enqueue(ONCE);
        });
      }),
    );
    expect(new Set(ids).size).toBe(1);
    expect(await jobsOf(place.connect())).toHaveLength(1);
    for (const n of times(6, (index) => index)) {
      expect(await jobsOf(place.connect(), `own-${n}`)).toHaveLength(1);
    }
  });
});
