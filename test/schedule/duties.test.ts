/** What a handler is called for besides jobs: runs that wait, failures, and the outbox. */
import { beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { FailedDelivery, JobHandler, OutboxRecord } from "../../src/contract/index.ts";
import { UNPOLLED_MS } from "../../src/model/index.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { Delivery } from "../queue/support/queue.ts";
import { HOUR_MS, MINUTE_MS, NOW, type Part, World } from "../queue/support/world.ts";
import { emptyDatabase } from "../support/database.ts";
import { addJobs, addStages, eventOf, RUN } from "./support.ts";

const handleJob: JobHandler["handleJob"] = async () => ({ status: "completed" });
const woken = (kind: string) => [new Delivery({ v: 1, kind })];

beforeAll(() => {
  withoutPauses();
});
beforeEach(async () => {
  await emptyDatabase();
});

function world(vars: Record<string, number> = {}) {
  const made = new World(vars);
  return { world: made, part: made.part() };
}

describe("claimRuns", () => {
  it("is called when PENDING runs wait, with a connection that claims them", async () => {
    const { world: here, part } = world();
    await part.backend.persistence.createRun({ ...RUN, id: "a" });
    const claimed: (string | undefined)[] = [];
    const handler: JobHandler = {
      handleJob,
      claimRuns: async (context) => {
        claimed.push((await context?.persistence.claimNextPendingRun())?.id);
      },
    };
    const messages = woken("runs");
    await here.consume(part, handler, messages);
    expect(claimed).toEqual(["a"]);
    expect(messages[0]?.acked).toBe(1);
    await here.consume(part, handler, woken("runs"));
    expect(claimed).toEqual(["a"]);
  });

  it("is woken by the sweep for a run that has waited for half a minute, not before", async () => {
    const { world: here, part } = world();
    await part.backend.persistence.createRun({ ...RUN, id: "a" });
    part.queue.take();
    here.pass(29_999);
    expect((await here.sweep(part)).waitingRuns).toBe(0);
    expect(part.queue.messages).toEqual([]);
    here.pass(1);
    expect((await here.sweep(part)).waitingRuns).toBe(1);
    expect(part.queue.messages.map(({ body }) => body.kind)).toEqual(["runs"]);
  });

  it("is woken for a run that waits behind 100 newer ones of a higher priority", async () => {
    const { world: here, part } = world();
    const { persistence } = part.backend;
    await persistence.createRun({ ...RUN, id: "waits", priority: 1 });
    here.pass(MINUTE_MS);
    await persistence.withTransaction(async (tx) => {
      for (let run = 0; run < 100; run += 1) {
        await tx.createRun({ ...RUN, id: `new-${run}`, priority: 9 });
      }
    });
    part.queue.take();
    expect((await here.sweep(part)).waitingRuns).toBe(1);
    expect(part.queue.messages.map(({ body }) => body.kind)).toEqual(["runs"]);
  });

  it("is not asked of a handler that has none, and does not keep messages that it throws at", async () => {
    const { world: here, part } = world();
    await part.backend.persistence.createRun({ ...RUN, id: "a" });
    const claimRuns = vi.fn<() => Promise<void>>(() => Promise.reject(new Error("no")));
    const acked = woken("runs");
    await here.consume(part, { handleJob }, acked);
    expect(acked[0]?.acked).toBe(1);
    here.pass(MINUTE_MS);
    part.queue.take();
    expect((await here.sweep(part, { handler: { handleJob } })).waitingRuns).toBe(1);
    expect(part.queue.messages).toEqual([]);
    const error = vi.spyOn(console, "error").mockImplementation(() => {});
    const { world: other } = world();
    const retried = woken("runs");
    await other.consume(part, { handleJob, claimRuns }, retried);
    expect(claimRuns).toHaveBeenCalledOnce();
    expect(retried[0]).toMatchObject({ acked: 0, retried: 1 });
    error.mockRestore();
  });
});

describe("a handler that never answers", () => {
  const never = () => new Promise<never>(() => {});
  const IMPATIENT = { HANDLER_TIMEOUT_MS: 100 };

  it("jobFailed: the failures behind it are handed over, and it is told by its signal", async () => {
    const error = vi.spyOn(console, "error").mockImplementation(() => {});
    const { world: here, part } = world(IMPATIENT);
    for (const run of ["a", "b", "c"]) {
      await addStages(part, run, 1, { suspendedUntil: null });
      const [id = ""] = await addJobs(part, run, 1);
      await part.backend.jobs.fail(id, "no");
    }
    const given: string[] = [];
    let signal: AbortSignal | undefined;
    const jobFailed: JobHandler["jobFailed"] = async ({ workflowRunId }, context) => {
      given.push(workflowRunId);
      if (workflowRunId !== "a") return;
      signal = context?.signal;
      await never();
    };
    const messages = woken("failures");
    await here.consume(part, { handleJob, jobFailed }, messages);
    expect(given).toEqual(["a", "b", "c"]);
    expect(messages[0]?.acked).toBe(1);
    expect(signal?.aborted).toBe(true);
    expect(error.mock.calls).toEqual([
      [
        "wfe-failure-not-handled",
        expect.stringMatching(/^a\//),
        expect.objectContaining({ message: "jobFailed did not answer within 100 ms" }),
      ],
    ]);
    error.mockRestore();
  });

  it.each([
    ["runs", { claimRuns: never }],
    ["outbox", { publishEvents: never }],
  ])("for %s: the jobs beside it are worked, and its message comes again", async (kind, duty) => {
    const error = vi.spyOn(console, "error").mockImplementation(() => {});
    const { world: here, part } = world(IMPATIENT);
    await part.backend.persistence.createRun({ ...RUN, id: "a" });
    await part.backend.persistence.appendOutboxEvents([eventOf("a", 1)]);
    await addJobs(part, "a", 1);
    const messages = [...woken(kind), ...woken("jobs")];
    const consumed = await here.consume(part, { handleJob, ...duty }, messages);
    expect(consumed).toMatchObject({ completed: 1 });
    expect(messages.map(({ acked, retried }) => [acked, retried])).toEqual([
      [0, 1],
      [1, 0],
    ]);
    expect(error).toHaveBeenCalledOnce();
    error.mockRestore();
  });
});

describe("publishEvents", () => {
  async function events(part: Part): Promise<void> {
    for (const run of ["a", "b"]) {
      await part.backend.persistence.appendOutboxEvents([1, 2, 3].map((n) => eventOf(run, n)));
    }
  }
  const named = ({ workflowRunId, sequence }: OutboxRecord) => `${workflowRunId}${sequence}`;
  async function waiting(part: Part): Promise<string[]> {
    return (await part.backend.persistence.getUnpublishedOutboxEvents()).map(
      (event) => `${named(event)} ${event.retryCount}`,
    );
  }

  it("is given the events of each run in order, and what it answers is published", async () => {
    const { world: here, part } = world();
    await events(part);
    const given: string[][] = [];
    const handler: JobHandler = {
      handleJob,
      publishEvents: async (list) => {
        given.push(list.map(named));
        return list.map(({ id }) => id);
      },
    };
    await here.consume(part, handler, woken("outbox"));
    expect(given).toEqual([["a1", "a2", "a3", "b1", "b2", "b3"]]);
    expect(await waiting(part)).toEqual([]);
  });

  it("counts a failure of the first that is missing, publishes none behind it, and holds up no other run", async () => {
    const { world: here, part } = world();
    await events(part);
    const publishEvents = async (list: OutboxRecord[]) =>
      list.filter((event) => named(event) !== "a2").map(({ id }) => id);
    await here.consume(part, { handleJob, publishEvents }, woken("outbox"));
    expect(await waiting(part)).toEqual(["a2 1", "a3 0"]);
  });

  it("has an event that it cannot publish go to the DLQ after OUTBOX_ATTEMPTS, and those behind it go on", async () => {
    const { world: here, part } = world({ OUTBOX_ATTEMPTS: 3 });
    await events(part);
    const publishEvents = async (list: OutboxRecord[]) =>
      list.filter((event) => named(event) !== "a1").map(({ id }) => id);
    const seen: string[][] = [];
    for (let call = 0; call < 4; call += 1) {
      expect((await here.sweep(part)).waitingEvents).toBeGreaterThan(0);
      await here.consume(part, { handleJob, publishEvents }, woken("outbox"));
      seen.push(await waiting(part));
    }
    expect(seen).toEqual([
      ["a1 1", "a2 0", "a3 0"],
      ["a1 2", "a2 0", "a3 0"],
      ["a2 0", "a3 0"],
      [],
    ]);
    expect(await part.backend.persistence.replayDLQEvents(10)).toBe(1);
    expect(await waiting(part)).toEqual(["a1 0"]);
  });

  it("of a handler that has none leaves the events where they are, for ever", async () => {
    const { world: here, part } = world({ OUTBOX_ATTEMPTS: 1 });
    await events(part);
    for (let call = 0; call < 3; call += 1) {
      await here.consume(part, { handleJob }, woken("outbox"));
    }
    expect(await waiting(part)).toHaveLength(6);
    expect((await waiting(part))[0]).toBe("a1 0");
  });
});

describe("jobFailed", () => {
  async function failing(part: Part, run: string): Promise<string> {
    await addStages(part, run, 1, { suspendedUntil: null });
    const [id = ""] = await addJobs(part, run, 1);
    await part.backend.jobs.fail(id, `of ${run}`);
    return id;
  }

  it("is given each job that failed for good, again and again until its stage or its run is ended", async () => {
    const { world: here, part } = world();
    const ids = [await failing(part, "a"), await failing(part, "b"), await failing(part, "c")];
    const given: FailedDelivery[] = [];
    const handler: JobHandler = {
      handleJob,
      jobFailed: async (job, context) => {
        given.push(job);
        const { workflowRunId: run, stageId } = job;
        const persistence = context?.persistence;
        if (run === "a") await persistence?.updateRun(run, { status: "FAILED" });
        if (run === "b") {
          await persistence?.updateStageByRunAndStageId(run, stageId, { status: "FAILED" });
          await persistence?.updateRun(run, { status: "FAILED" });
        }
      },
    };
    await here.consume(part, handler, woken("failures"));
    expect(given).toEqual(
      ids.map((jobId, index) => {
        const run = ["a", "b", "c"][index] ?? "";
        const names = { workflowRunId: run, workflowId: "w", stageId: "0" };
        return { jobId, ...names, attempt: 0, error: `of ${run}` };
      }),
    );
    await here.consume(part, handler, woken("failures"));
    expect(given).toHaveLength(3);
    here.pass(MINUTE_MS);
    expect((await here.sweep(part)).unhandledFailures).toBe(1);
    await here.consume(part, handler, woken("failures"));
    expect(given.map(({ workflowRunId }) => workflowRunId)).toEqual(["a", "b", "c", "c"]);
    // Another job for the stage is an answer too.
    await addJobs(part, "c", 1);
    here.pass(HOUR_MS);
    expect((await here.sweep(part)).unhandledFailures).toBe(0);
  });

  it("that throws for one is called for the others, and for that one again after pauses that grow to an hour, until it is closed", async () => {
    const error = vi.spyOn(console, "error").mockImplementation(() => {});
    const { world: here, part } = world();
    await failing(part, "a");
    await failing(part, "b");
    const given: string[] = [];
    const handler: JobHandler = {
      handleJob,
      jobFailed: async ({ workflowRunId }, context) => {
        given.push(workflowRunId);
        if (workflowRunId === "a") throw new Error("no");
        await context?.persistence.updateRun(workflowRunId, { status: "FAILED" });
      },
    };
    await here.consume(part, handler, woken("failures"));
    expect(given).toEqual(["a", "b"]);
    const pauses: number[] = [];
    for (let minute = 1; minute < 300; minute += 1) {
      here.pass(MINUTE_MS);
      const before = given.length;
      if ((await here.sweep(part)).unhandledFailures === 0) continue;
      await here.consume(part, handler, woken("failures"));
      expect(given.slice(before)).toEqual(["a"]);
      pauses.push(minute);
    }
    expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 64, 124, 184, 244]);
    expect(await part.backend.audit()).toMatchObject([{ problem: "failure-unhandled" }]);
    await part.backend.persistence.updateRun("a", { status: "FAILED" });
    here.pass(HOUR_MS);
    expect((await here.sweep(part)).unhandledFailures).toBe(0);
    error.mockRestore();
  });
});

describe("a run is not stuck", () => {
  const HOURS = 5 * 60 * MINUTE_MS;

  async function stuck({ world: here, part }: ReturnType<typeof world>): Promise<string[]> {
    const since = new Date(here.now - 10 * MINUTE_MS);
    return (await part.backend.persistence.getStuckRuns(since)).map(({ id }) => id);
  }

  /** A run that is stuck, so that the list is not empty for another reason. */
  async function besideAStuckOne(until: number | null) {
    const made = world();
    await addStages(made.part, "stuck", 1, { suspendedUntil: null });
    await addStages(made.part, "run", 1, { suspendedUntil: until });
    return made;
  }

  it("while its stage is suspended for hours; it is when nobody resumes it", async () => {
    const made = await besideAStuckOne(NOW + HOURS);
    made.world.pass(HOURS - 1);
    expect(await stuck(made)).toEqual(["stuck"]);
    made.world.pass(HOUR_MS + 1);
    expect(await stuck(made)).toEqual(["stuck", "run"]);
    // Nobody polls it: the sweep gives it a job, and a worker takes it.
    made.world.pass(UNPOLLED_MS);
    await made.world.sweep(made.part);
    await made.part.backend.jobs.dequeue();
    expect(await stuck(made)).toEqual(["stuck"]);
  });

  it("while its job is being heartbeated for an hour; it is when that ends", async () => {
    const made = await besideAStuckOne(null);
    await addJobs(made.part, "run", 1);
    const job = await made.part.backend.jobs.dequeue();
    for (let minute = 0; minute < 60; minute += 1) {
      made.world.pass(MINUTE_MS);
      await made.part.backend.jobs.touchJob(job?.jobId ?? "");
    }
    expect(await stuck(made)).toEqual(["stuck"]);
    made.world.pass(11 * MINUTE_MS);
    expect(await stuck(made)).toEqual(["stuck", "run"]);
  });

  it("while its job waits in a backlog and some worker is alive; it is when none is", async () => {
    const made = await besideAStuckOne(null);
    await addJobs(made.part, "other", 1);
    const held = await made.part.backend.jobs.dequeue();
    await addJobs(made.part, "run", 1);
    for (let minute = 0; minute < 60; minute += 5) {
      made.world.pass(5 * MINUTE_MS);
      await made.part.backend.jobs.touchJob(held?.jobId ?? "");
    }
    expect(await stuck(made)).toEqual(["stuck"]);
    made.world.pass(11 * MINUTE_MS);
    expect(await stuck(made)).toEqual(["stuck", "run"]);
  });

  it("while its job is to be tried again later", async () => {
    const made = await besideAStuckOne(null);
    const scheduledFor = new Date(NOW + HOURS);
    const job = { workflowRunId: "run", workflowId: "w", stageId: "0", scheduledFor };
    await made.part.backend.jobs.enqueue(job);
    made.world.pass(HOURS - 1);
    expect(await stuck(made)).toEqual(["stuck"]);
  });
});
