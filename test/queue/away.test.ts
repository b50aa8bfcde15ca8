/** A handler behind a binding that is not there. `test/e2e/away.e2e.test.ts` is about one that is really not running, and really killed. */
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { JobHandler } from "../../src/contract/index.ts";
import { HandlerAway, hasMethod, reach } from "../../src/queue/reach.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { emptyDatabase } from "../support/database.ts";
import { service } from "../support/env.ts";
import { addJobs, addStages, eventOf, RUN } from "../schedule/support.ts";
import { Delivery, permits } from "./support/queue.ts";
import { HOUR_MS, MINUTE_MS, SECOND_MS, World } from "./support/world.ts";

const LOST = "Network connection lost.";

/** Like a stub whose Worker is not running: every property read of it rejects. */
const away = new Proxy({} as JobHandler, {
  get: () => Promise.reject(Object.assign(new Error(LOST), { retryable: true, remote: true })),
});
/** A real stub, of a Worker that was deployed without the handler. */
const another = service as unknown as JobHandler;
const bound = { embedded: false };
const JOB = { workflowRunId: "r", workflowId: "w" };

beforeAll(() => {
  withoutPauses();
});
beforeEach(async () => {
  await emptyDatabase();
});
afterEach(() => {
  vi.restoreAllMocks();
});

function warnings() {
  return vi.spyOn(console, "warn").mockImplementation(() => {});
}

/** A handler whose Worker dies of the call: what the caller gets is what it gets from one that is not there. */
function dying(): JobHandler & { readonly entered: number[] } {
  const entered: number[] = [];
  return {
    entered,
    handleJob: async ({ attempt }) => {
      entered.push(attempt);
      throw Object.assign(new Error(LOST), { retryable: true });
    },
  };
}

describe("a call that never reached the handler", () => {
  it("uses no attempt: the job comes back with a growing pause, for a day and more", async () => {
    warnings();
    const world = new World();
    const part = world.part();
    await part.backend.jobs.enqueue({ ...JOB, stageId: "s" });
    const pauses: number[] = [];
    for (let call = 1; call <= 320; call += 1) {
      const consumed = await world.consume(part, away, permits(1), bound);
      expect(consumed).toMatchObject({ claimed: 1, returned: 1, failed: 0 });
      const [job] = await part.backend.jobs.getJobsByWorkflowRun("r");
      expect(job).toMatchObject({ status: "PENDING", attempt: call, maxAttempts: 3 + call });
      pauses.push((job?.nextPollAt?.getTime() ?? 0) - world.now);
      world.pass(pauses.at(-1) ?? 0);
    }
    const expected = [2, 4, 8, 16, 32, 64, 128, 256, 300].map((seconds) => seconds * SECOND_MS);
    expect(pauses.slice(0, 9)).toEqual(expected);
    expect(new Set(pauses.slice(8))).toEqual(new Set([300_000]));
    expect(pauses.reduce((sum, pause) => sum + pause, 0)).toBeGreaterThan(24 * HOUR_MS);
    // All its attempts are left.
    const lost = dying();
    for (let failure = 1; failure <= 4; failure += 1) {
      await world.consume(part, lost, permits(1), bound);
      world.pass(MINUTE_MS);
    }
    expect(lost.entered).toEqual([321, 322, 323]);
    expect(await part.backend.jobs.getJobsByWorkflowRun("r")).toMatchObject([
      { status: "FAILED", lastError: `Error: ${LOST}` },
    ]);
  });

  it("is told in the log once a minute, however many batches meet nobody", async () => {
    const logged = warnings();
    const world = new World();
    const part = world.part();
    const alone = new Proxy(away, {});
    await addJobs(part, "r", 20);
    for (let permit = 0; permit < 20; permit += 1) {
      expect(await world.consume(part, alone, permits(1), bound)).toMatchObject({ returned: 1 });
    }
    expect(logged).toHaveBeenCalledOnce();
    world.pass(MINUTE_MS);
    await world.consume(part, alone, permits(1), bound);
    expect(logged).toHaveBeenCalledTimes(2);
  });

  it("is told in the log, and in jobStats until the handler is back", async () => {
    const logged = warnings();
    const gone = new Proxy(away, {});
    const world = new World();
    const part = world.part();
    await part.backend.jobs.enqueueParallel(
      Array.from({ length: 10 }, (_, index) => ({ ...JOB, stageId: String(index) })),
    );
    const consumed = await world.consume(part, gone, permits(10), bound);
    expect(consumed).toMatchObject({ claimed: 10, returned: 10, lost: 0, unsettled: 0 });
    expect(logged.mock.calls).toEqual([
      ["wfe-handler-away", 10, `The handler could not be reached: ${LOST}`],
    ]);
    expect(await part.backend.jobs.jobStats()).toMatchObject({
      undelivered: 10,
      delayed: 10,
      leased: 0,
      failed: 0,
    });
    const [job] = await part.backend.jobs.getJobsByWorkflowRun("r");
    expect(job?.lastError).toBe(`HandlerAway: The handler could not be reached: ${LOST}`);
    expect(await part.backend.audit()).toEqual([]);
    world.pass(MINUTE_MS);
    const back: JobHandler = { handleJob: async () => ({ status: "completed" }) };
    expect(await world.consume(part, back, permits(10), bound)).toMatchObject({ completed: 10 });
    expect(await part.backend.jobs.jobStats()).toMatchObject({ undelivered: 0, delayed: 0 });
  });

  it("is also one to a Worker that has no handleJob", async () => {
    warnings();
    const world = new World();
    const part = world.part();
    await part.backend.jobs.enqueue({ ...JOB, stageId: "s" });
    expect(await world.consume(part, another, permits(1), bound)).toMatchObject({ returned: 1 });
    const [job] = await part.backend.jobs.getJobsByWorkflowRun("r");
    expect(job?.status).toBe("PENDING");
    expect(job?.lastError).toMatch(/^HandlerAway: .* does not implement .*handleJob/);
  });

  it("sends the job's next permit, at its instant", async () => {
    warnings();
    const world = new World();
    const part = world.part();
    await part.backend.jobs.enqueue({ ...JOB, stageId: "s" });
    part.queue.take();
    await world.consume(part, away, permits(1), bound);
    expect(part.queue.take().map(({ delaySeconds }) => delaySeconds)).toEqual([2]);
  });

  it("does not lengthen the pause after a failure that follows", async () => {
    warnings();
    const world = new World();
    const part = world.part();
    await part.backend.jobs.enqueue({ ...JOB, stageId: "s" });
    for (let call = 0; call < 12; call += 1) {
      await world.consume(part, away, permits(1), bound);
      world.pass(HOUR_MS);
    }
    await world.consume(part, dying(), permits(1), bound);
    const [job] = await part.backend.jobs.getJobsByWorkflowRun("r");
    // The pause after a death is drawn: up to ten times the base.
    const pause = (job?.nextPollAt?.getTime() ?? 0) - world.now;
    expect(pause).toBeGreaterThanOrEqual(2 * SECOND_MS);
    expect(pause).toBeLessThanOrEqual(20 * SECOND_MS);
    expect(await part.backend.jobs.jobStats()).toMatchObject({ undelivered: 0, delayed: 1 });
  });
});

describe("a call that was entered", () => {
  it("counts, with any error of the runtime: a job that kills its Worker ends at the ceiling", async () => {
    const world = new World();
    const part = world.part();
    await part.backend.jobs.enqueue({ ...JOB, stageId: "s" });
    const handler = dying();
    for (let tick = 0; tick < 5; tick += 1) {
      await world.consume(part, handler, permits(1), bound);
      world.pass(MINUTE_MS);
    }
    expect(handler.entered).toEqual([1, 2, 3]);
    expect(await part.backend.jobs.jobStats()).toMatchObject({ failed: 1, undelivered: 0 });
  });
});

describe("while the handler is away", () => {
  it.each(["runs", "failures", "outbox"])("%s are kept, and no event is counted", async (kind) => {
    const logged = vi.spyOn(console, "error").mockImplementation(() => {});
    const world = new World();
    const part = world.part();
    const { persistence, jobs } = part.backend;
    await persistence.createRun({ ...RUN, id: "waits" });
    await addStages(part, "r", 1, { suspendedUntil: null });
    const [jobId = ""] = await addJobs(part, "r", 1);
    await jobs.fail(jobId, "no");
    await persistence.appendOutboxEvents([eventOf("r", 1)]);
    const message = new Delivery({ v: 1, kind });
    await world.consume(part, away, [message], bound);
    expect(message).toMatchObject({ acked: 0, retried: 1 });
    expect(logged.mock.calls).toEqual([["wfe-wake-up-failed", kind, expect.any(HandlerAway)]]);
    const [event] = await persistence.getUnpublishedOutboxEvents();
    expect(event?.retryCount).toBe(0);
  });
});

describe("reach", () => {
  it("gives up a Worker that does not answer", async () => {
    const hanging = { handleJob: new Promise<never>(() => {}) };
    await expect(reach(hanging, "handleJob", 20)).rejects.toThrow(HandlerAway);
  });

  it("gives back what it has read", async () => {
    let disposed = 0;
    const stub = Object.assign(async () => ({ status: "completed" }) as const, {
      [Symbol.dispose]: () => void (disposed += 1),
    });
    await reach({ handleJob: stub });
    expect(disposed).toBe(1);
  });
});

describe("what a handler in another Worker is called for", () => {
  it("follows from what its entrypoint has", async () => {
    const own = service as unknown as Record<keyof JobHandler | "open", unknown>;
    for (const method of ["handleJob", "claimRuns", "jobFailed", "publishEvents"] as const) {
      expect(await hasMethod(own, method, false).catch(() => "away"), method).toBe(false);
    }
    // One that this entrypoint does have.
    expect(await reach({ ...methods, handleJob: own.open })).toBeDefined();
  });
});

describe("what an embedded handler is called for", () => {
  it("follows from its functions: one that is null is none", async () => {
    const handler = { ...methods, handleJob: async () => ({ status: "completed" }) };
    expect(await hasMethod(handler, "handleJob", true)).toBe(true);
    expect(await hasMethod(handler, "jobFailed", true)).toBe(false);
  });
});

const methods = { claimRuns: null, jobFailed: null, publishEvents: null };
