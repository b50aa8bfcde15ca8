import { describe, expect, it } from "vitest";
import type { Backend, EnqueueJobInput } from "../../src/contract/index.ts";
import {
  faultOf,
  JOB,
  MINUTE,
  pass,
  present,
  statuses,
  times,
  usingTheClock,
  ways,
} from "./support.ts";

usingTheClock();

const keyed = (stageId: string, more: Partial<EnqueueJobInput> = {}): EnqueueJobInput => ({
  ...JOB,
  stageId,
  concurrencyKey: "key",
  ...more,
});

async function claim({ jobs }: Backend, count: number): Promise<string[]> {
  return (await jobs.dequeueMany(count)).map(({ stageId }) => stageId);
}

describe.each(ways)("a concurrency key, $name", ({ open }) => {
  it("lets one job run at a time when nothing is said", async () => {
    const backend = open().connect();
    await backend.jobs.enqueueParallel([keyed("a"), keyed("b")]);
    const first = present(await backend.jobs.dequeue());
    expect(first.stageId).toBe("a");
    expect(await backend.jobs.dequeue()).toBeNull();
    expect(await claim(backend, 10)).toEqual([]);
    await backend.jobs.complete(first.jobId);
    expect(await claim(backend, 10)).toEqual(["b"]);
  });

  it("has room again however its job stops running", async () => {
    const backend = open().connect();
    const { jobs } = backend;
    await jobs.enqueueParallel(times(6, () => keyed("s", { maxAttempts: 1 })));
    const stops: ((jobId: string) => Promise<unknown>)[] = [
      (jobId) => jobs.complete(jobId),
      (jobId) => jobs.fail(jobId, "no"),
      (jobId) => jobs.suspend(jobId, new Date(Date.now() + MINUTE)),
      async () => {
        pass(10 * MINUTE);
        return jobs.releaseStaleJobs();
      },
    ];
    for (const stop of stops) {
      const { jobId } = present(await jobs.dequeue());
      expect(await jobs.dequeue()).toBeNull();
      await stop(jobId);
    }
    expect(await jobs.dequeue()).not.toBeNull();
  });

  it("gives a batch as many of its jobs as there is room for", async () => {
    const backend = open().connect();
    await backend.jobs.enqueueParallel(times(6, (n) => keyed(`${n}`, { concurrencyLimit: 3 })));
    expect(await claim(backend, 1)).toEqual(["0"]);
    expect(await claim(backend, 10)).toEqual(["1", "2"]);
    expect(await claim(backend, 10)).toEqual([]);
  });

  it("holds up no job of another key, nor one without", async () => {
    const backend = open().connect();
    await backend.jobs.enqueueParallel([
      ...times(120, () => keyed("many", { priority: 9 })),
      keyed("other", { concurrencyKey: "other", priority: 1 }),
      { ...JOB, stageId: "free", priority: 0 },
    ]);
    expect(await claim(backend, 1)).toEqual(["many"]);
    expect(await claim(backend, 1)).toEqual(["other"]);
    expect(await claim(backend, 1)).toEqual(["free"]);
    expect(await claim(backend, 1)).toEqual([]);
  });

  it("leaves the order of what can be claimed as it is: by priority, then by age", async () => {
    const backend = open().connect();
    await backend.jobs.enqueueParallel([
      { ...JOB, stageId: "free-5" },
      keyed("key-5"),
      keyed("key-7", { priority: 7 }),
      keyed("other-6", { concurrencyKey: "other", priority: 6, concurrencyLimit: 2 }),
      { ...JOB, stageId: "free-6", priority: 6 },
      keyed("other-5", { concurrencyKey: "other", concurrencyLimit: 2 }),
    ]);
    expect(await claim(backend, 4)).toEqual(["key-7", "other-6", "free-6", "free-5"]);
    expect(await claim(backend, 4)).toEqual(["other-5"]);
  });

  it("passes over its jobs that are not due", async () => {
    const backend = open().connect();
    const scheduledFor = new Date(Date.now() + MINUTE);
    await backend.jobs.enqueueParallel([
      keyed("later", { priority: 9, scheduledFor }),
      keyed("now"),
    ]);
    expect(await claim(backend, 5)).toEqual(["now"]);
    pass(2 * MINUTE);
    expect(await claim(backend, 5)).toEqual([]);
  });

  it("goes by each job's own limit, and keeps them in their order", async () => {
    const place = open();
    const backend = place.connect();
    const limited = (stageId: string, concurrencyLimit: number) =>
      keyed(stageId, { concurrencyLimit });
    await backend.jobs.enqueueParallel([limited("a-3", 3), limited("b-1", 1), limited("c-3", 3)]);
    const first = present(await backend.jobs.dequeue());
    expect(first.stageId).toBe("a-3");
    // The second wants to be alone. The third has room, and waits behind it: the second would never be alone otherwise.
    for (const count of [1, 2, 100]) expect(await claim(backend, count)).toEqual([]);
    await backend.jobs.complete(first.jobId);
    expect(await claim(backend, 1)).toEqual(["b-1"]);
    expect(await claim(backend, 1)).toEqual(["c-3"]);
  });

  it("takes a better job of its own first, and then what still has room", async () => {
    const backend = open().connect();
    await backend.jobs.enqueueParallel([
      keyed("low-2", { concurrencyLimit: 2, priority: 1 }),
      keyed("high-1", { concurrencyLimit: 1, priority: 9 }),
    ]);
    expect(await claim(backend, 10)).toEqual(["high-1", "low-2"]);
  });

  it("is refused where it makes no sense, with the field", async () => {
    const { jobs } = open().connect();
    for (const concurrencyLimit of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      const bad = keyed("s", { concurrencyLimit });
      expect(await faultOf(() => jobs.enqueue(bad))).toBe("INVALID_ARGUMENT concurrencyLimit");
    }
    const alone = { ...JOB, concurrencyLimit: 2 };
    expect(await faultOf(() => jobs.enqueue(alone))).toBe("INVALID_ARGUMENT concurrencyLimit");
    expect(await jobs.getJobsByWorkflowRun("run")).toEqual([]);
  });
});

describe.each(ways)("the limit of a concurrency key, $name", ({ open }) => {
  it("holds among many connections that claim one job each at once", async () => {
    const place = open();
    const { jobs } = place.connect();
    await jobs.enqueueParallel(times(30, (n) => keyed(`${n}`, { concurrencyLimit: 4 })));
    const claims = await Promise.all(times(24, () => place.connect().jobs.dequeue()));
    const taken = claims.flatMap((job) => (job === null ? [] : [job.stageId]));
    expect(taken.toSorted()).toEqual(["0", "1", "2", "3"]);
  });

  it("holds among many connections that claim several at once, and they get all other jobs", async () => {
    const place = open();
    const { jobs } = place.connect();
    await jobs.enqueueParallel([
      ...times(30, () => keyed("key", { concurrencyLimit: 5, priority: 9 })),
      ...times(30, () => keyed("other", { concurrencyKey: "other", concurrencyLimit: 2 })),
      ...times(20, () => ({ ...JOB, stageId: "free" })),
    ]);
    const claims = await Promise.all(times(12, () => place.connect().jobs.dequeueMany(7)));
    const stages = claims.flat().map(({ stageId }) => stageId);
    const count = (name: string) => stages.filter((stage) => stage === name).length;
    expect([count("key"), count("other"), count("free")]).toEqual([5, 2, 20]);
  });

  it("holds at every instant while workers claim and complete, until all is done", async () => {
    const place = open();
    const LIMIT = 3;
    await place
      .connect()
      .jobs.enqueueParallel([
        ...times(25, () => keyed("key", { concurrencyLimit: LIMIT })),
        ...times(15, () => ({ ...JOB, stageId: "free" })),
      ]);
    let running = 0;
    let most = 0;
    let done = 0;
    const work = async (index: number) => {
      const { jobs } = place.connect();
      while (done < 40) {
        const taken = await jobs.dequeueMany(1 + (index % 3));
        const ours = taken.filter(({ stageId }) => stageId === "key").length;
        running += ours;
        most = Math.max(most, running);
        await new Promise((resolve) => setTimeout(resolve, 1));
        running -= ours;
        await jobs.completeMany(taken.map(({ jobId }) => jobId));
        done += taken.length;
      }
    };
    await Promise.all(times(8, work));
    expect(most).toBe(LIMIT);
    expect(new Set(await statuses(place.connect()))).toEqual(new Set(["COMPLETED"]));
  });
});
