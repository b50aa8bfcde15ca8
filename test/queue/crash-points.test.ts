import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { JobHandler } from "../../src/contract/index.ts";
import { UNPOLLED_MS } from "../../src/model/index.ts";
import { D1_FAULTS, type D1Fault } from "../../src/testing/faulty-d1.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { emptyDatabase } from "../support/database.ts";
import { planOf } from "./support/engine.ts";
import { type Death, MortalStore, type StoreCall } from "./support/mortal-store.ts";
import { Delivery, permits } from "./support/queue.ts";
import { Recovery } from "./support/recovery.ts";
import type { Part } from "./support/world.ts";

const SETTLED_BY_CONSUMER = planOf("answers", "answers");

beforeAll(() => {
  withoutPauses();
});
beforeEach(async () => {
  await emptyDatabase();
});

async function started(plan = SETTLED_BY_CONSUMER, vars = {}): Promise<Recovery> {
  const recovery = new Recovery([plan], vars);
  await recovery.start();
  return recovery;
}

/** A consumer that dies at the first such call. */
function dying(recovery: Recovery, death: Death, at: (call: StoreCall) => boolean) {
  let mortal: MortalStore | undefined;
  const part = recovery.world.part((store) => {
    mortal = new MortalStore(store, (call) => (at(call) ? death : null));
    return mortal;
  });
  if (mortal === undefined) throw new Error("The part has no store");
  return { part, mortal };
}

const claims = ({ parts }: StoreCall) => parts.includes("claimJobs");
const settles = ({ method, parts }: StoreCall) =>
  method === "attempt" && parts.length === 1 && parts[0] === "completeJob";

/** Every call to D1 from the first such on fails. */
function outage(part: Part, fault: D1Fault, begins: RegExp): void {
  let out = false;
  part.d1.restart(({ statements }) => {
    out ||= statements.some((sql) => begins.test(sql));
    return out ? fault : null;
  });
}

const CLAIM = /SET "status" = 'RUNNING', "worker_id"/;
const COMPLETE = /UPDATE "jobs" SET "status" = 'COMPLETED'/;

describe("after a crash, the sweep alone brings every job to its end once, when", () => {
  it("the wake-ups' send throws, and the caller does not notice", async () => {
    const recovery = new Recovery([SETTLED_BY_CONSUMER]);
    const caller = recovery.world.part();
    caller.queue.mode = "throws";
    await recovery.engine.start(caller.backend, SETTLED_BY_CONSUMER);
    expect(caller.queue.refused).toBe(1);
    await recovery.finish();
  });

  it("the caller dies between its commit and the send", async () => {
    const recovery = new Recovery([SETTLED_BY_CONSUMER]);
    const caller = recovery.world.part();
    caller.queue.mode = "hangs";
    void recovery.engine.start(caller.backend, SETTLED_BY_CONSUMER);
    await caller.queue.hung;
    expect(caller.queue.messages).toEqual([]);
    await recovery.finish();
  });

  it("the claim fails before it has run, and the messages are handed back", async () => {
    const recovery = await started();
    const consumer = recovery.world.part();
    outage(consumer, D1_FAULTS.before, CLAIM);
    const messages = permits(2);
    const consumed = await recovery.world.consume(consumer, recovery.engine, messages);
    expect(consumed.claimed).toBe(0);
    expect(messages.map(({ acked, retried }) => [acked, retried])).toEqual([
      [0, 1],
      [0, 1],
    ]);
    expect(consumer.d1.calls.every(({ fault, ran }) => fault !== null && !ran)).toBe(true);
    expect(await jobsOf(recovery)).toEqual(["PENDING 0"]);
    await recovery.finish();
  });

  it("the claim's answer is lost, and whether it was applied cannot be found out either", async () => {
    const recovery = await started();
    const consumer = recovery.world.part();
    outage(consumer, D1_FAULTS.lost, CLAIM);
    const messages = permits(1);
    await recovery.world.consume(consumer, recovery.engine, messages);
    expect(consumer.d1.calls[0]).toMatchObject({ fault: D1_FAULTS.lost, ran: true });
    expect(messages[0]?.retried).toBe(1);
    expect(recovery.engine.given).toEqual([]);
    expect(await jobsOf(recovery)).toEqual(["RUNNING 1"]);
    await recovery.finish();
    expect(recovery.engine.given[0]).toMatch(/#2$/);
  });

  it("the claim's answer is lost and found again, and the same jobs are worked", async () => {
    const recovery = await started();
    const consumer = recovery.world.part();
    consumer.d1.restart(({ index }) => (index === 0 ? D1_FAULTS.lost : null));
    const consumed = await recovery.world.consume(consumer, recovery.engine);
    expect(consumer.d1.calls[0]).toMatchObject({ fault: D1_FAULTS.lost, ran: true });
    expect(consumed).toMatchObject({ claimed: 1, completed: 1 });
    expect(recovery.engine.given[0]).toMatch(/#1$/);
    await recovery.finish();
  });

  it("the consumer dies right after its claim", async () => {
    const recovery = await started();
    const { part, mortal } = dying(recovery, "after", claims);
    void recovery.world.consume(part, recovery.engine);
    await mortal.death;
    expect(await jobsOf(recovery)).toEqual(["RUNNING 1"]);
    expect(recovery.engine.given).toEqual([]);
    await recovery.finish();
  });

  it("the handler throws", async () => {
    const recovery = await started();
    const handleJob = () => Promise.reject(new Error("out of order"));
    const consumed = await recovery.world.consume(recovery.world.part(), { handleJob });
    expect(consumed).toMatchObject({ claimed: 1, failed: 1 });
    await recovery.finish();
    expect(recovery.engine.given[0]).toMatch(/#2$/);
  });

  it("the handler never answers, and its time is up", async () => {
    const recovery = await started(SETTLED_BY_CONSUMER, { HANDLER_TIMEOUT_MS: 1_100 });
    const handleJob = () => new Promise<never>(() => {});
    const consumed = await recovery.world.consume(recovery.world.part(), { handleJob });
    expect(consumed).toMatchObject({ claimed: 1, failed: 1 });
    await recovery.finish();
  });

  it("the handler never answers, and the consumer dies with it", async () => {
    const recovery = await started();
    const { promise: called, resolve } = Promise.withResolvers<void>();
    const handleJob = () => {
      resolve();
      return new Promise<never>(() => {});
    };
    void recovery.world.consume(recovery.world.part(), { handleJob });
    await called;
    expect(await jobsOf(recovery)).toEqual(["RUNNING 1"]);
    await recovery.finish();
  });

  it.each([planOf("completes"), planOf("polls"), planOf("polls", "polls")])(
    "the handler has settled its job, and its answer is lost: %j",
    async (plan) => {
      const recovery = await started(plan);
      const handler: JobHandler = {
        handleJob: async (...given) => {
          expect(await recovery.engine.handleJob(...given)).toEqual({ status: "settled" });
          throw new Error("Network connection lost.");
        },
      };
      const before = await jobsOf(recovery);
      const consumed = await recovery.world.consume(recovery.world.part(), handler);
      expect(consumed).toMatchObject({ claimed: 1, settled: 1, failed: 0 });
      expect(await jobsOf(recovery)).not.toEqual(before);
      await recovery.finish();
    },
  );

  it.each(["before", "lost"] as const)(
    "the settling fails for good: every call to D1 from it on is %s",
    async (kind) => {
      const recovery = await started();
      const consumer = recovery.world.part();
      outage(consumer, D1_FAULTS[kind], COMPLETE);
      const messages = permits(1);
      const consumed = await recovery.world.consume(consumer, recovery.engine, messages);
      expect(consumed).toMatchObject({ claimed: 1, completed: 0, unsettled: 1 });
      const failed = consumer.d1.calls.filter(({ fault }) => fault !== null);
      expect(failed.length).toBeGreaterThan(1);
      expect(failed.every(({ ran }) => ran === (kind === "lost"))).toBe(true);
      // The row tells what is to be done: the message has done its part.
      expect(messages[0]?.acked).toBe(1);
      expect((await jobsOf(recovery))[0]).toBe(kind === "lost" ? "COMPLETED 1" : "RUNNING 1");
      await recovery.finish();
    },
  );

  it("the settling's answer is lost and found again", async () => {
    const recovery = await started();
    const consumer = recovery.world.part();
    let lost = 0;
    consumer.d1.restart(({ statements }) => {
      if (lost > 0 || !statements.some((sql) => COMPLETE.test(sql))) return null;
      lost += 1;
      return D1_FAULTS.lost;
    });
    const consumed = await recovery.world.consume(consumer, recovery.engine);
    expect(lost).toBe(1);
    expect(consumed).toMatchObject({ completed: 1, lost: 0, unsettled: 0 });
    await recovery.finish();
  });

  it.each(["before", "after"] as const)("the consumer dies %s it settles", async (death) => {
    const recovery = await started();
    const { part, mortal } = dying(recovery, death, settles);
    void recovery.world.consume(part, recovery.engine);
    await mortal.death;
    expect((await jobsOf(recovery))[0]).toBe(death === "after" ? "COMPLETED 1" : "RUNNING 1");
    await recovery.finish();
  });

  it("an ack throws", async () => {
    const recovery = await started();
    const message = new Delivery({ v: 1, kind: "jobs" });
    message.ack = () => {
      throw new Error("The invocation is over");
    };
    const messages = [message, ...permits(1)];
    const consumed = await recovery.world.consume(recovery.world.part(), recovery.engine, messages);
    expect(consumed).toMatchObject({ claimed: 1, completed: 1 });
    await recovery.finish();
  });

  it("the consumer dies before its acks, and the batch is delivered again", async () => {
    const recovery = await started();
    const messages = permits(2);
    await recovery.world.consume(recovery.world.part(), recovery.engine, messages);
    const again = await recovery.world.consume(recovery.world.part(), recovery.engine, messages);
    // It finds the second stage's job, and nothing of the first one's.
    expect(again).toMatchObject({ claimed: 1, completed: 1 });
    const third = await recovery.world.consume(recovery.world.part(), recovery.engine, messages);
    expect(third).toMatchObject({ claimed: 0 });
    await recovery.finish();
  });
});

describe("a job that is due in 25 hours", () => {
  it("gets no message, and is found by the sweep when it is due, not before", async () => {
    const plan = planOf("delays", "completes");
    const recovery = await started(plan);
    const consumer = recovery.world.part();
    await recovery.world.consume(consumer, recovery.engine);
    expect(consumer.queue.messages.filter(({ body }) => body.kind === "jobs")).toEqual([]);
    recovery.world.pass(25 * 3_600_000 - 1);
    expect(await recovery.world.tick(recovery.engine)).toMatchObject({
      overdueJobs: 0,
      permits: 0,
    });
    expect(await jobsOf(recovery)).toEqual(["COMPLETED 1", "PENDING 0"]);
    recovery.world.pass(1 + 5_000);
    expect(await recovery.world.tick(recovery.engine)).toMatchObject({
      overdueJobs: 1,
      permits: 1,
    });
    expect(await recovery.isOver()).toBe(true);
    await recovery.expectFinished();
  });
});

describe("two sweeps at once", () => {
  it("give a suspended stage one job, although both have found it without one", async () => {
    const plan = planOf("polls");
    const recovery = await started(plan);
    await recovery.world.consume(recovery.world.part(), recovery.engine);
    recovery.world.pass(3_600_001 + UNPOLLED_MS);
    const [first, second] = [recovery.world.part(), recovery.world.part()];
    let held = 0;
    const { promise: reached, resolve } = Promise.withResolvers<void>();
    first.d1.restart(({ statements }) => {
      if (!statements.some((sql) => sql.includes(`INSERT INTO "jobs"`))) return null;
      held += 1;
      resolve();
      return D1_FAULTS.stall;
    });
    const slow = recovery.world.sweep(first);
    await reached;
    expect(await recovery.world.sweep(second)).toMatchObject({ dispatchedStages: 1, failed: [] });
    await first.d1.release();
    expect(await slow).toMatchObject({ dispatchedStages: 1, failed: [] });
    expect(held).toBe(1);
    expect(await jobsOf(recovery)).toEqual(["COMPLETED 1", "PENDING 0"]);
    await recovery.finish();
  });

  it("resume a suspended job once, although both have found it suspended", async () => {
    const recovery = await started(planOf("suspends"));
    await recovery.world.consume(recovery.world.part(), recovery.engine);
    recovery.world.pass(3_600_001);
    const [first, second] = [recovery.world.part(), recovery.world.part()];
    const { promise: reached, resolve } = Promise.withResolvers<void>();
    first.d1.restart(({ statements }) => {
      if (!statements.some((sql) => sql.includes(`"max_attempts" + 1`))) return null;
      resolve();
      return D1_FAULTS.stall;
    });
    const slow = recovery.world.sweep(first);
    await reached;
    expect(await recovery.world.sweep(second)).toMatchObject({ resumedJobs: 1 });
    await first.d1.release();
    expect(await slow).toMatchObject({ resumedJobs: 1, failed: [] });
    const [job] = await recovery.world.part().backend.jobs.getJobsByWorkflowRun("run-suspends");
    expect(job).toMatchObject({ status: "PENDING", attempt: 1, maxAttempts: 4 });
    await recovery.finish();
  });
});

/** The jobs of the only run, as `status attempt`. */
async function jobsOf({ world, plans }: Recovery): Promise<string[]> {
  const jobs = await world.part().backend.jobs.getJobsByWorkflowRun(plans[0]?.run ?? "");
  return jobs.map(({ status, attempt }) => `${status} ${attempt}`);
}
