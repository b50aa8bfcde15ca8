/** A handler in another Worker may be called so often by one invocation of the consumer, whatever its batch holds. */
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import * as fc from "fast-check";
import type { WakeUpKind } from "../../src/changes/index.ts";
import type { JobHandler } from "../../src/contract/index.ts";
import { type Asked, sharesOf } from "../../src/queue/shares.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { addFailure, addJobs, eventOf, RUN } from "../schedule/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { Delivery, permits } from "./support/queue.ts";
import { World } from "./support/world.ts";

/** https://developers.cloudflare.com/workers/runtime-apis/bindings/service-bindings/#limits */
const INVOCATIONS_MAX = 32;
/** A handler that is called, its connection to the service, and the run's coordinator. */
const PER_CALL = 3;

beforeAll(() => {
  withoutPauses();
});
beforeEach(async () => {
  await emptyDatabase();
});
afterEach(() => {
  vi.restoreAllMocks();
});

describe("the shares of a batch", () => {
  const count = fc.integer({ min: 0, max: 100 });
  const attempts = fc.integer({ min: 1, max: 4 });
  const asked = fc.record({ count, attempts });
  const batch = fc.record({ jobs: asked, runs: asked, failures: asked, outbox: asked });

  it("stay within what one invocation may cause, and leave every kind something", () => {
    fc.assert(
      fc.property(batch, (kinds) => {
        const present = Object.entries(kinds).filter(([, of]) => of.count > 0);
        const shares = sharesOf(new Map(present as [WakeUpKind, Asked][]), false);
        const { jobs, runs, failures, outbox } = kinds;
        const calls = shares.jobs + Math.min(runs.count, 1) + shares.failures + shares.outbox;
        const used = present.length + calls * PER_CALL;
        expect(used).toBeLessThanOrEqual(INVOCATIONS_MAX);
        if (jobs.count > 0) expect(shares.jobs).toBeGreaterThanOrEqual(1);
        if (failures.count > 0) expect(shares.failures).toBeGreaterThanOrEqual(1);
        if (outbox.count > 0) expect(shares.outbox).toBeGreaterThanOrEqual(1);
        expect(shares.pageMax).toBeGreaterThanOrEqual(1);
      }),
      { numRuns: 2_000 },
    );
  });

  it("are ten calls of a batch with one kind of message", () => {
    const ten = { count: 10, attempts: 1 };
    expect(sharesOf(new Map([["jobs", ten]]), false)).toMatchObject({ jobs: 10 });
    expect(sharesOf(new Map([["failures", ten]]), false)).toMatchObject({ failures: 10 });
    expect(sharesOf(new Map([["outbox", ten]]), false)).toMatchObject({ outbox: 10 });
  });
});

describe("a handler in another Worker", () => {
  const bound = { embedded: false };

  /** A handler whose calls beyond the limit fail, as the runtime has them fail. */
  class Limited {
    used = 0;
    readonly given: string[] = [];

    spend(invocations: number): void {
      this.used += invocations;
      if (this.used <= INVOCATIONS_MAX) return;
      throw new Error("Too many Worker invocations");
    }

    handler(): JobHandler {
      const call = async (kind: string) => {
        this.spend(PER_CALL);
        this.given.push(kind);
      };
      const handler: JobHandler = {
        handleJob: async () => {
          await call("jobs");
          return { status: "completed" };
        },
        claimRuns: async () => call("runs"),
        jobFailed: async () => call("failures"),
        publishEvents: async (events) => {
          await call("outbox");
          if (events.some(({ workflowRunId }) => workflowRunId === "poison")) throw new Error("no");
          return events.map(({ id }) => id);
        },
      };
      const calls = new WeakSet<object>();
      return new Proxy(handler, {
        get: (target, name: keyof JobHandler) => {
          const method = target[name];
          // What is read and not called is an invocation, too.
          if (method !== undefined && !calls.has(method)) this.spend(1);
          if (method !== undefined) calls.add(method);
          return method;
        },
      });
    }
  }

  it("loses no attempt of a job to the other work of its batch", async () => {
    vi.spyOn(console, "error").mockImplementation(() => {});
    vi.spyOn(console, "warn").mockImplementation(() => {});
    const world = new World();
    const part = world.part();
    const { persistence, jobs } = part.backend;
    for (let run = 0; run < 20; run += 1) await addFailure(part, `failed-${run}`);
    await persistence.createRun({ ...RUN, id: "waits" });
    await persistence.appendOutboxEvents([eventOf("a", 1), eventOf("poison", 1), eventOf("b", 1)]);
    await addJobs(part, "r", 7);
    const batch = [
      ...permits(7),
      ...["runs", "failures", "outbox"].map((kind) => new Delivery({ v: 1, kind })),
    ];
    const limited = new Limited();
    await world.consume(part, limited.handler(), batch, bound);
    expect(limited.used).toBeLessThanOrEqual(INVOCATIONS_MAX);
    const states = await jobs.getJobsByWorkflowRun("r");
    expect(states.map(({ lastError }) => lastError)).toEqual(Array.from({ length: 7 }, () => null));
    // Whoever had no room comes again at once.
    const left = states.filter(({ status }) => status === "PENDING").length;
    expect(batch.slice(0, 7).filter(({ retried }) => retried === 1)).toHaveLength(left);
    expect(new Set(limited.given)).toEqual(new Set(["jobs", "runs", "failures", "outbox"]));
  });

  it("is given ten jobs of a larger batch, and the other messages come again", async () => {
    const world = new World();
    const part = world.part();
    await addJobs(part, "r", 40);
    const batch = permits(40);
    const limited = new Limited();
    const consumed = await world.consume(part, limited.handler(), batch, bound);
    expect(consumed).toMatchObject({ claimed: 10, completed: 10 });
    expect(batch.filter(({ retried }) => retried === 1)).toHaveLength(30);
    expect(batch.filter(({ acked }) => acked === 1)).toHaveLength(10);
  });

  it("has its messages acked when there are fewer jobs than permits", async () => {
    const world = new World();
    const part = world.part();
    await addJobs(part, "r", 3);
    const batch = permits(40);
    await world.consume(part, new Limited().handler(), batch, bound);
    expect(batch.every(({ acked }) => acked === 1)).toBe(true);
  });
});
