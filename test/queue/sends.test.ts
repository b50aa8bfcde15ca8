import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { newCommitId } from "../../src/model/index.ts";
import { AutoCommit } from "../../src/persistence/auto-commit.ts";
import { Connection } from "../../src/persistence/connection.ts";
import type { BoundJobHandler } from "../../src/contract/index.ts";
import { suspendAsAnswered } from "../schedule/support.ts";
import { embed } from "../../src/embed.ts";
import { ConsumerJobs } from "../../src/queue/consumer-jobs.ts";
import { createWaker, type DispatchVars, type WakeUpQueue } from "../../src/queue/index.ts";
import { openStore } from "../../src/worker/index.ts";
import { D1_FAULTS } from "../../src/testing/faulty-d1.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { RecordingQueue, type Sent } from "./support/queue.ts";
import { DAY_MS, MINUTE_MS, NOW, type Part, World } from "./support/world.ts";

const JOB = { workflowRunId: "r", workflowId: "w", stageId: "s" };

beforeAll(() => {
  withoutPauses();
});
beforeEach(async () => {
  await emptyDatabase();
});

function jobs(count: number, more: object = {}) {
  return Array.from({ length: count }, (_, index) => ({
    ...JOB,
    stageId: String(index),
    ...more,
  }));
}

/** The delays of the permits among them, in seconds. */
function delaysOf(sent: readonly Sent[]): number[] {
  return sent
    .filter(({ body }) => body.kind === "jobs")
    .map(({ delaySeconds }) => delaySeconds ?? Number.NaN);
}

function kindsOf(sent: readonly Sent[]): string[] {
  return sent.map(({ body }) => body.kind);
}

/** A connection with these jobs; what their enqueueing sent is forgotten. */
async function holding(count: number, more: object = {}, vars: DispatchVars = {}) {
  const world = new World(vars);
  const part = world.part();
  const ids = await part.backend.jobs.enqueueParallel(jobs(count, more));
  part.queue.take();
  return { world, part, ids };
}

async function claimed(part: Part, count: number): Promise<string[]> {
  const taken = await part.backend.jobs.dequeueMany(count);
  expect(taken).toHaveLength(count);
  expect(part.queue.take()).toEqual([]);
  return taken.map(({ jobId }) => jobId);
}

describe("one permit is sent", () => {
  it("for each new job, with its id as a hint, in chunks of 100", async () => {
    const part = new World().part();
    const ids = await part.backend.jobs.enqueueParallel(jobs(250));
    expect(part.queue.batches.map((batch) => batch.length)).toEqual([100, 100, 50]);
    expect(part.queue.messages).toEqual(
      ids.map((jobId) => ({
        body: { v: 1, kind: "jobs", jobId },
        delaySeconds: 0,
        contentType: "json",
      })),
    );
  });

  it("delayed to the job's instant, rounded up to whole seconds, and none beyond 24 hours", async () => {
    const part = new World().part();
    const delays = [-5_000, 0, 1, 1_000, 1_001, DAY_MS - 1, DAY_MS, DAY_MS + 1, 30 * DAY_MS];
    for (const delay of delays) {
      await part.backend.jobs.enqueue({ ...JOB, scheduledFor: new Date(NOW + delay) });
    }
    expect(delaysOf(part.queue.messages)).toEqual([0, 0, 1, 1, 2, 86_400, 86_400]);
  });

  it("for a job of a transaction, after its commit; none if it is rolled back, or cancelled in it", async () => {
    const part = new World().part();
    const { persistence, jobs: queue } = part.backend;
    await persistence.withTransaction(async () => {
      await queue.enqueue(JOB);
      expect(part.queue.messages).toEqual([]);
    });
    expect(delaysOf(part.queue.take())).toEqual([0]);
    const rolledBack = persistence.withTransaction(async () => {
      await queue.enqueue(JOB);
      throw new Error("no");
    });
    await expect(rolledBack).rejects.toThrow("no");
    await persistence.withTransaction(async () => {
      await queue.enqueue({ ...JOB, workflowRunId: "other" });
      await queue.cancelByRun("other");
    });
    expect(part.queue.messages).toEqual([]);
  });

  it("for a dedupe key's new job, and none for what adds nothing", async () => {
    const part = new World().part();
    const enqueue = () => part.backend.jobs.enqueue({ ...JOB, dedupeKey: "one" });
    const id = await enqueue();
    expect(part.queue.take().map(({ body }) => body.jobId)).toEqual([id]);
    expect(await enqueue()).toBe(id);
    expect(part.queue.messages).toEqual([]);
  });

  it("for a retry, at its instant, and none for a failure that is final or a job that is complete", async () => {
    const { part } = await holding(3);
    const [retried = "", failed = "", completed = ""] = await claimed(part, 3);
    await part.backend.jobs.fail(retried, "later", true);
    const [sent] = part.queue.take();
    expect(sent).toMatchObject({ body: { jobId: retried }, delaySeconds: 2 });
    await part.backend.jobs.fail(failed, "never", false);
    await part.backend.jobs.complete(completed);
    expect(kindsOf(part.queue.messages)).toEqual(["failures"]);
  });

  it("for a job whose handler answered `suspended`, at its instant; for one that is left to polls, none", async () => {
    const { part } = await holding(2);
    const [answered = "", polled = ""] = await claimed(part, 2);
    await suspendAsAnswered(part, answered, NOW + 90_500);
    await part.backend.jobs.suspend(polled, new Date(NOW + 90_500));
    expect(part.queue.messages).toMatchObject([{ body: { jobId: answered }, delaySeconds: 91 }]);
  });

  it("for each lease that the sweep ends, but for those whose attempts are used up", async () => {
    const { world, part } = await holding(2);
    await part.backend.jobs.enqueue({ ...JOB, priority: 9, maxAttempts: 1 });
    part.queue.take();
    await claimed(part, 3);
    world.pass(6 * MINUTE_MS);
    expect(await part.backend.jobs.releaseStaleJobs()).toBe(3);
    expect(kindsOf(part.queue.messages)).toEqual(["jobs", "jobs", "failures"]);
  });

  it("for a new job whose commit's answer was lost, once it is known", async () => {
    const part = new World().part();
    part.d1.restart(({ index }) => (index === 0 ? D1_FAULTS.lost : null));
    await part.backend.jobs.enqueue(JOB);
    expect(part.d1.calls[0]).toMatchObject({ fault: D1_FAULTS.lost, ran: true });
    expect(delaysOf(part.queue.messages)).toEqual([0]);
  });
});

describe("of the jobs of a concurrency key", () => {
  const keyed = { concurrencyKey: "tenant", concurrencyLimit: 2 };

  it.each([
    ["completed", []],
    ["suspended", [60]],
    ["failed", []],
    ["tried again", [2]],
  ])("one that is %s frees a slot, for which a permit is sent", async (how, own) => {
    const { part } = await holding(3, keyed);
    const [id = ""] = await claimed(part, 2);
    const { jobs: queue } = part.backend;
    if (how === "completed") await queue.complete(id);
    else if (how === "suspended") await suspendAsAnswered(part, id, NOW + MINUTE_MS);
    else await queue.fail(id, "failed", how === "tried again");
    const sent = part.queue.messages.filter(({ body }) => body.kind === "jobs");
    expect(delaysOf(sent).toSorted()).toEqual([0, ...own]);
  });

  it("two that end in one commit free two", async () => {
    const { part } = await holding(4, keyed);
    await part.backend.jobs.completeMany(await claimed(part, 2));
    expect(delaysOf(part.queue.messages)).toEqual([0, 0]);
  });

  it("one that ends while nobody waits sends none", async () => {
    const { part } = await holding(2, keyed);
    const [id = ""] = await claimed(part, 2);
    await part.backend.jobs.complete(id);
    expect(part.queue.messages).toEqual([]);
  });

  it("one that waits for a later instant is nobody that waits", async () => {
    const { part } = await holding(1, keyed);
    await part.backend.jobs.enqueue({ ...JOB, ...keyed, scheduledFor: new Date(NOW + MINUTE_MS) });
    part.queue.take();
    const [id = ""] = await claimed(part, 1);
    await part.backend.jobs.complete(id);
    expect(part.queue.messages).toEqual([]);
  });

  it("a heartbeat frees nothing", async () => {
    const { part } = await holding(3, keyed);
    const ids = await claimed(part, 2);
    const direct = new AutoCommit(part.store);
    const consumer = new ConsumerJobs({ direct, workerId: null });
    expect(await consumer.touchMany(ids)).toEqual([]);
    expect(part.queue.messages).toEqual([]);
  });

  it("a lease that ends gives its job one permit, and not a second one for its slot", async () => {
    const { world, part } = await holding(3, keyed);
    await claimed(part, 2);
    world.pass(6 * MINUTE_MS);
    expect(await part.backend.jobs.releaseStaleJobs()).toBe(2);
    expect(delaysOf(part.queue.messages)).toEqual([0, 0]);
  });

  it("a new one with a dedupe key gets one permit, and frees nothing", async () => {
    const { part } = await holding(3, keyed);
    const more = { ...JOB, ...keyed, dedupeKey: "one" };
    await part.backend.jobs.enqueue(more);
    await part.backend.jobs.enqueue({
      ...more,
      dedupeKey: "two",
      scheduledFor: new Date(NOW + MINUTE_MS),
    });
    expect(delaysOf(part.queue.messages)).toEqual([0, 60]);
  });
});

describe("a commit that itself asks what jobs have come to", () => {
  const key = (jobId: string) => ({ workflowRunId: "r", ordinal: jobId.slice("r/".length) });

  it.each([
    ["of nobody", () => []],
    ["of another job", ([, other = ""]: string[]) => [key(other)]],
    ["of the same job", ([jobId = ""]: string[]) => [key(jobId)]],
  ])("%s sends the permit of what it fails all the same", async (_name, keysOf) => {
    const { part, ids } = await holding(2);
    const [jobId = ""] = ids;
    await claimed(part, 1);
    const own = { q: "jobStates", keys: keysOf(ids), now: NOW } as const;
    const retry = { baseMs: 1_000, capMs: 60_000, jitterPermille: 0 };
    const outcome = await part.store.attempt({
      id: newCommitId(NOW),
      guards: [],
      changes: [{ kind: "failJob", ...key(jobId), error: "no", retry, at: NOW }],
      reads: [own, { q: "pendingRuns", limit: 1 }, own],
    });
    expect(delaysOf(part.queue.messages)).toEqual([2]);
    expect.assert(outcome.applied);
    // What the caller asked is answered as it asked.
    expect(outcome.results).toHaveLength(3);
    expect(outcome.results[0]).toEqual(outcome.results[2]);
    expect(outcome.results[0]).toHaveLength(own.keys.length);
  });

  it("as of an instant when nobody waited sends a permit for the job that it makes room for", async () => {
    const keyed = { concurrencyKey: "k", concurrencyLimit: 1 };
    const { part } = await holding(2, keyed);
    const [jobId = ""] = await claimed(part, 1);
    await part.store.attempt({
      id: newCommitId(NOW),
      guards: [],
      changes: [{ kind: "completeJob", ...key(jobId), at: NOW }],
      reads: [{ q: "jobStates", keys: [key(jobId)], now: NOW - DAY_MS }],
    });
    expect(delaysOf(part.queue.messages)).toEqual([0]);
  });
});

describe("of other kinds", () => {
  const RUN = { id: "r", workflowId: "w", workflowName: "W", workflowType: "t", input: {} };

  it("one wake-up is sent a commit, for runs that are pending, jobs that failed for good, and events", async () => {
    const { part } = await holding(2);
    const ids = await claimed(part, 2);
    const { persistence, jobs: queue } = part.backend;
    await persistence.withTransaction(async (tx) => {
      await tx.createRun(RUN);
      await tx.createRun({ ...RUN, id: "r2" });
    });
    expect(kindsOf(part.queue.take())).toEqual(["runs"]);
    await persistence.updateRun("r", { status: "RUNNING" });
    expect(part.queue.messages).toEqual([]);
    await persistence.updateRun("r", { status: "PENDING" });
    expect(kindsOf(part.queue.take())).toEqual(["runs"]);
    const event = {
      workflowRunId: "r",
      eventType: "e",
      payload: {},
      causationId: "c",
      occurredAt: new Date(NOW),
    };
    await persistence.appendOutboxEvents([event, event]);
    expect(kindsOf(part.queue.take())).toEqual(["outbox"]);
    const [first] = await persistence.getUnpublishedOutboxEvents();
    await persistence.moveOutboxEventToDLQ(first?.id ?? "");
    expect(part.queue.messages).toEqual([]);
    expect(await persistence.replayDLQEvents(1)).toBe(1);
    expect(kindsOf(part.queue.take())).toEqual(["outbox"]);
    await persistence.withTransaction(async () => {
      for (const id of ids) await queue.fail(id, "never");
    });
    expect(kindsOf(part.queue.take())).toEqual(["failures"]);
  });
});

describe("whether anything is sent", () => {
  const handler: BoundJobHandler = { handleJob: async () => ({ status: "completed" }) };

  it.each([
    ["nothing without a HANDLER, and without WAKE_UPS", {}, 0],
    ["nothing when WAKE_UPS is auto", { WAKE_UPS: "auto" }, 0],
    ["a permit when a HANDLER is bound", { HANDLER: handler }, 1],
    ["a permit when WAKE_UPS is on", { WAKE_UPS: "on" }, 1],
  ])("%s", async (_, vars, count) => {
    const queue = new RecordingQueue();
    const { jobs: enqueuer } = embed({ DB: env.DB, RUNS: env.RUNS, JOBS: queue, ...vars });
    await enqueuer.enqueue(JOB);
    expect(queue.messages).toHaveLength(count);
  });

  it("nothing without a queue", async () => {
    const { jobs: enqueuer } = embed({ DB: env.DB, RUNS: env.RUNS, HANDLER: handler });
    await enqueuer.enqueue(JOB);
    expect(await enqueuer.jobStats()).toMatchObject({ due: 1 });
  });
});

describe("a send that fails", () => {
  it("changes nothing for the caller: the job is there, and the call answers its id", async () => {
    const part = new World().part();
    part.queue.mode = "throws";
    const ids = await part.backend.jobs.enqueueParallel(jobs(150));
    expect(part.queue.refused).toBe(2);
    const rows = await part.backend.jobs.getJobsByWorkflowRun("r");
    expect(rows.map(({ id }) => id)).toEqual(ids);
  });

  it("does not keep the next chunk from being sent", async () => {
    let calls = 0;
    const failing: WakeUpQueue = {
      sendBatch: async () => {
        calls += 1;
        if (calls === 1) throw new Error("Queue sendBatch failed: Bad Gateway");
      },
    };
    const waker = createWaker(failing);
    const wakeUps = Array.from({ length: 150 }, () => ({ kind: "jobs", at: null }) as const);
    expect(await waker.wake(wakeUps, NOW)).toBe(50);
    expect(calls).toBe(2);
  });

  it("is given up when the queue does not answer, with the chunks behind it", async () => {
    const queue = new RecordingQueue();
    queue.mode = "hangs";
    const waker = createWaker(queue, 20);
    const wakeUps = Array.from({ length: 250 }, () => ({ kind: "jobs", at: null }) as const);
    expect(await waker.wake(wakeUps, NOW)).toBe(0);
    expect(queue.refused).toBe(1);
  });

  it("keeps no caller waiting that has given waitUntil", async () => {
    const queue = new RecordingQueue();
    queue.mode = "hangs";
    const kept: Promise<unknown>[] = [];
    const options = { waitUntil: (promise: Promise<unknown>) => void kept.push(promise) };
    const bindings = { DB: env.DB, RUNS: env.RUNS, JOBS: queue, WAKE_UPS: "on" };
    const { jobs: enqueuer } = new Connection(openStore(bindings, options));
    await enqueuer.enqueue(JOB);
    expect(queue.refused).toBe(1);
    expect(kept).toHaveLength(1);
  });
});

describe("the real queue", () => {
  it("takes 250 permits in three sends, the longest delay included", async () => {
    const { JOBS } = env as unknown as { JOBS: Queue };
    const waker = createWaker(JOBS);
    const wakeUps = Array.from(
      { length: 250 },
      (_, index) => ({ kind: "jobs", jobId: `r/${index}`, at: NOW + DAY_MS }) as const,
    );
    expect(await waker.wake(wakeUps, NOW)).toBe(250);
  });

  it("is woken by a connection of the Worker that binds it", async () => {
    const { JOBS } = env as unknown as { JOBS: Queue };
    const sizes: number[] = [];
    const counted: WakeUpQueue = {
      sendBatch: async (messages) => {
        const list = [...messages];
        await JOBS.sendBatch(list);
        sizes.push(list.length);
      },
    };
    const bindings = { DB: env.DB, RUNS: env.RUNS, JOBS: counted, WAKE_UPS: "on" };
    await embed(bindings).jobs.enqueueParallel(jobs(120));
    expect(sizes).toEqual([100, 20]);
  });
});
