import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { JobHandler } from "../../src/contract/index.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { emptyDatabase } from "../support/database.ts";
import { planOf } from "./support/engine.ts";
import { Delivery, permits, type Sent } from "./support/queue.ts";
import { Random } from "./support/random.ts";
import { Recovery } from "./support/recovery.ts";
import { MINUTE_MS, World } from "./support/world.ts";

const JOB = { workflowRunId: "r", workflowId: "w" };
const PLANS = [
  planOf("completes", "answers"),
  planOf("retries", "completes"),
  planOf("suspends"),
  planOf("polls", "completes"),
  planOf("delays", "answers"),
  planOf("answers", "suspends", "retries"),
];

/** Bodies that nobody of ours sends. */
const FORGED: readonly [unknown, ...unknown[]] = [
  null,
  undefined,
  "",
  42,
  [],
  {},
  "x".repeat(100_000),
  { v: 2, kind: "jobs", permits: 1_000_000 },
  { v: 1, kind: "nonsense" },
  { v: 1, kind: "jobs", count: Number.MAX_SAFE_INTEGER, jobId: "another/job" },
  { v: 1, kind: "jobs", jobId: 7 },
  { v: 1, kind: "runs" },
  { v: 1, kind: "failures" },
  { v: 1, kind: "outbox" },
  { __proto__: null, kind: "jobs" },
];

beforeAll(() => {
  withoutPauses();
});
beforeEach(async () => {
  await emptyDatabase();
});

type Trouble = "dropped" | "doubled" | "late" | "forged" | "delivered";

/** A queue that loses, doubles, delays, shuffles and forges messages. */
class Unreliable {
  readonly counts: Record<Trouble, number> = {
    dropped: 0,
    doubled: 0,
    late: 0,
    forged: 0,
    delivered: 0,
  };
  #waiting: { readonly at: number; readonly body: unknown }[] = [];
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  take(sent: readonly Sent[], now: number): void {
    for (const { body, delaySeconds = 0 } of sent) {
      const at = now + delaySeconds * 1_000;
      if (this.#happens("dropped", 0.4)) continue;
      const late = this.#happens("late", 0.3) ? this.#random.between(1, 600) * 1_000 : 0;
      this.#waiting.push({ at: at + late, body });
      if (this.#happens("doubled", 0.3)) this.#waiting.push({ at: at + 5_000, body });
      if (this.#happens("forged", 0.3)) this.#waiting.push({ at, body: this.#random.of(FORGED) });
    }
  }

  #happens(trouble: Trouble, probability: number): boolean {
    if (!this.#random.chance(probability)) return false;
    this.counts[trouble] += 1;
    return true;
  }

  /** A batch of what is due by now, in any order. */
  batch(now: number): Delivery[] {
    const due = this.#random.shuffled(this.#waiting.filter(({ at }) => at <= now));
    const taken = due.slice(0, this.#random.between(1, 10));
    this.#waiting = this.#waiting.filter((message) => !taken.includes(message));
    this.counts.delivered += taken.length;
    return taken.map(({ body }) => new Delivery(body));
  }
}

describe("messages that are lost, doubled, late, out of order and forged", () => {
  // To repeat one, leave its seed alone in the list.
  it.each([1, 2, 3, 4])("come to the same end (seed %i)", async (seed) => {
    const random = new Random(seed);
    const queue = new Unreliable(random);
    const recovery = new Recovery(PLANS);
    const { world, engine } = recovery;
    const starter = world.part();
    for (const plan of PLANS) await engine.start(starter.backend, plan);
    queue.take(starter.queue.take(), world.now);
    for (let tick = 0; !(await recovery.isOver()); tick += 1) {
      expect(tick, `seed ${seed}`).toBeLessThan(200);
      for (;;) {
        const batch = queue.batch(world.now);
        if (batch.length === 0) break;
        const consumer = world.part();
        await world.consume(consumer, engine, batch);
        expect(batch.every(({ acked }) => acked === 1)).toBe(true);
        queue.take(consumer.queue.take(), world.now);
      }
      world.pass(tick < 40 ? MINUTE_MS : 60 * MINUTE_MS);
      const sweeper = world.part();
      await world.sweep(sweeper);
      queue.take(sweeper.queue.take(), world.now);
      await recovery.expectSound(`seed ${seed}`);
    }
    await recovery.expectFinished();
    for (const count of Object.values(queue.counts)) expect(count).toBeGreaterThan(0);
  });
});

describe("a message is a permit for one job, whatever it says:", () => {
  const handler: JobHandler = { handleJob: async () => ({ status: "completed" }) };

  async function threeJobs() {
    const world = new World();
    const part = world.part();
    const ids = await part.backend.jobs.enqueueParallel([
      { ...JOB, stageId: "low", priority: 1 },
      { ...JOB, stageId: "high", priority: 9 },
      { ...JOB, stageId: "middle" },
    ]);
    return { world, part, ids };
  }

  it.each(FORGED.map((body) => [JSON.stringify(body)?.slice(0, 60), body]))(
    "%s",
    async (_, body) => {
      const { world, part } = await threeJobs();
      const message = new Delivery(body);
      const consumed = await world.consume(part, handler, [message]);
      const kind = (body as { kind?: string } | null | undefined)?.kind ?? "jobs";
      const isJob = !["runs", "failures", "outbox"].includes(kind);
      expect(consumed).toMatchObject({ claimed: isJob ? 1 : 0, completed: isJob ? 1 : 0 });
      expect(message).toMatchObject({ acked: 1, retried: 0 });
      const jobs = await part.backend.jobs.getJobsByWorkflowRun("r");
      const completed = jobs.filter(({ status }) => status === "COMPLETED");
      expect(completed.map(({ stageId }) => stageId)).toEqual(isJob ? ["high"] : []);
    },
  );

  it("a job that it names is not claimed before a better one", async () => {
    const { world, part, ids } = await threeJobs();
    const [low, high] = ids;
    await world.consume(part, handler, [new Delivery({ v: 1, kind: "jobs", jobId: low })]);
    const jobs = await part.backend.jobs.getJobsByWorkflowRun("r");
    const completed = jobs.filter(({ status }) => status === "COMPLETED");
    expect(completed.map(({ id }) => id)).toEqual([high]);
  });

  it("more than 100 of them claim 100 jobs, and are all acked", async () => {
    const world = new World();
    const part = world.part();
    await part.backend.jobs.enqueueParallel(
      Array.from({ length: 120 }, (_, index) => ({ ...JOB, stageId: String(index) })),
    );
    const messages = permits(130);
    const consumed = await world.consume(part, handler, messages);
    expect(consumed).toMatchObject({ permits: 130, claimed: 100, completed: 100 });
    expect(messages.every(({ acked }) => acked === 1)).toBe(true);
  });

  it("a forged batch without functions to ack or to retry works jobs, and rejects nothing", async () => {
    const { world, part } = await threeJobs();
    const forged = [{ body: { v: 1, kind: "jobs" } }, { body: null }] as unknown as Delivery[];
    expect(await world.consume(part, handler, forged)).toMatchObject({ claimed: 2, completed: 2 });
    part.d1.restart(() => ({ kind: "before" }));
    expect(await world.consume(part, handler, forged)).toMatchObject({ claimed: 0 });
    part.d1.restart();
    expect(await part.backend.jobs.jobStats()).toMatchObject({ due: 1, leased: 0 });
  });

  it("without a handler all are acked, and the jobs wait to be polled", async () => {
    const { world, part } = await threeJobs();
    const messages = permits(3);
    expect(await world.consume(part, null, messages)).toMatchObject({ permits: 3, claimed: 0 });
    expect(messages.every(({ acked }) => acked === 1)).toBe(true);
    expect(await part.backend.jobs.jobStats()).toMatchObject({ due: 3 });
  });
});
