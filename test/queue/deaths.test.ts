/** A job, or a failure, whose handler kills its Worker: what it takes along comes to its end all the same. */
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { DequeueResult, FailedDelivery, JobHandler } from "../../src/contract/index.ts";
import { isDeath } from "../../src/queue/reach.ts";
import { addFailure, addJobs } from "../schedule/support.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { emptyDatabase } from "../support/database.ts";
import { Delivery, permits } from "./support/queue.ts";
import { HOUR_MS, MINUTE_MS, SECOND_MS, World } from "./support/world.ts";

const bound = { embedded: false };
const LOST = { message: "Network connection lost.", retryable: true } as const;

beforeAll(() => {
  withoutPauses();
});
beforeEach(async () => {
  await emptyDatabase();
  vi.spyOn(console, "warn").mockImplementation(() => {});
  vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => {
  vi.restoreAllMocks();
});

/**
 * A Worker that dies when it has all calls of the batch and the killer is among them: then all of
 * them fail alike.
 */
class Mortal {
  readonly batches: string[][] = [];
  readonly #isKiller: (id: string) => boolean;
  #inFlight: { id: string; die: (error: Error) => void; live: () => void }[] = [];

  constructor(isKiller: (id: string) => boolean) {
    this.#isKiller = isKiller;
  }

  async call(id: string): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#inFlight.push({ id, die: reject, live: resolve });
    if (this.#inFlight.length === 1) setTimeout(() => this.#end(), 0);
    return promise;
  }

  #end(): void {
    const calls = this.#inFlight;
    this.#inFlight = [];
    this.batches.push(calls.map(({ id }) => id));
    const dies = calls.some(({ id }) => this.#isKiller(id));
    for (const { die, live } of calls) {
      if (dies) die(Object.assign(new Error(LOST.message), LOST));
      else live();
    }
  }
}

describe("a job that kills its Worker", () => {
  it("takes none of its batch along for good: they are worked alone, and only the killer fails", async () => {
    const world = new World();
    const part = world.part();
    const ids = await addJobs(part, "r", 10);
    const [killer] = ids;
    const worker = new Mortal((id) => id === killer);
    const handler: JobHandler = {
      handleJob: async ({ jobId }: DequeueResult) => {
        await worker.call(jobId);
        return { status: "completed" };
      },
    };
    await world.consume(part, handler, permits(10), bound);
    expect(worker.batches).toEqual([ids]);
    for (let minute = 0; minute < 40; minute += 1) {
      world.pass(MINUTE_MS);
      await world.consume(part, handler, permits(10), bound);
    }
    expect(worker.batches.slice(1).every((batch) => batch.length === 1)).toBe(true);
    expect(worker.batches.flat().filter((id) => id === killer)).toHaveLength(3);
    const jobs = await part.backend.jobs.getJobsByWorkflowRun("r");
    expect(jobs.filter(({ status }) => status === "FAILED").map(({ id }) => id)).toEqual([killer]);
    expect(jobs.filter(({ status }) => status === "COMPLETED")).toHaveLength(9);
  });

  it("and its neighbours come back at instants that differ", async () => {
    const world = new World();
    const part = world.part();
    await addJobs(part, "r", 10);
    const worker = new Mortal(() => true);
    const handleJob: JobHandler["handleJob"] = async ({ jobId }) => {
      await worker.call(jobId);
      return { status: "completed" };
    };
    await world.consume(part, { handleJob }, permits(10), bound);
    const jobs = await part.backend.jobs.getJobsByWorkflowRun("r");
    const pauses = jobs.map(({ nextPollAt }) => (nextPollAt?.getTime() ?? 0) - world.now);
    expect(new Set(pauses).size).toBeGreaterThan(1);
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(2 * SECOND_MS);
    expect(Math.max(...pauses)).toBeLessThanOrEqual(20 * SECOND_MS);
  });

  it("leaves those that only throw together in their batches", async () => {
    const world = new World();
    const part = world.part();
    await addJobs(part, "r", 5);
    const counts: number[] = [];
    const handler: JobHandler = {
      handleJob: async () => {
        throw new Error("no");
      },
    };
    for (let round = 0; round < 2; round += 1) {
      counts.push((await world.consume(part, handler, permits(5), bound)).failed);
      world.pass(MINUTE_MS);
    }
    expect(counts).toEqual([5, 5]);
  });

  it("takes the embedded consumer along: the leases expire, and each job is worked alone", async () => {
    const world = new World();
    const part = world.part();
    const ids = await addJobs(part, "r", 4);
    // Never comes to an end, as when its isolate is gone.
    const hangs: JobHandler = { handleJob: () => new Promise<never>(() => {}) };
    void world.consume(part, hangs, permits(4));
    await vi.waitUntil(async () => (await part.backend.jobs.jobStats()).leased === 4);
    await vi.waitUntil(async () => {
      world.pass(HOUR_MS);
      await world.sweep(part);
      return (await part.backend.jobs.jobStats()).leased === 0;
    });
    const given: string[] = [];
    const handler: JobHandler = {
      handleJob: async ({ jobId }) => {
        given.push(jobId);
        return { status: "completed" };
      },
    };
    for (let left = 4; left > 0; left -= 1) {
      part.queue.take();
      const consumed = await world.consume(part, handler, permits(4));
      expect(consumed).toMatchObject({ claimed: left, completed: 1, returned: left - 1 });
      // Each of the others has a permit again.
      expect(part.queue.take()).toHaveLength(left - 1);
    }
    expect(given.toSorted()).toEqual(ids.toSorted());
  });
});

describe("a failure that kills its Worker", () => {
  const dying = (worker: Mortal): JobHandler => ({
    handleJob: async () => ({ status: "completed" }),
    jobFailed: async ({ workflowRunId }: FailedDelivery) => worker.call(workflowRunId),
  });

  it("is called alone from then on, and so are those that it took along", async () => {
    const world = new World();
    const part = world.part();
    for (const run of ["a", "killer", "b"]) await addFailure(part, run);
    const worker = new Mortal((run) => run === "killer");
    const wakeUp = async () =>
      world.consume(part, dying(worker), [new Delivery({ v: 1, kind: "failures" })], bound);
    await wakeUp();
    expect(worker.batches.map((batch) => batch.toSorted())).toEqual([["a", "b", "killer"]]);
    world.pass(HOUR_MS);
    await addFailure(part, "new");
    await wakeUp();
    expect(worker.batches[1]).toEqual(["new"]);
    expect(worker.batches.slice(2).map((batch) => batch.length)).toEqual([1, 1, 1]);
    expect(worker.batches.slice(2).flat().toSorted()).toEqual(["a", "b", "killer"]);
  });
});

describe("isDeath", () => {
  it.each([
    ["a connection that broke", Object.assign(new Error("lost"), { retryable: true }), true],
    ["memory or CPU that ran out", Object.assign(new Error("limit"), { overloaded: true }), true],
    ["an error of the handler", new Error("no"), false],
    ["a mark that is false", Object.assign(new Error("no"), { retryable: false }), false],
    ["no error at all", null, false],
    ["a text", "retryable", false],
  ])("tells %s", (_what, error, expected) => {
    expect(isDeath(error)).toBe(expected);
  });
});
