/**
 * Two hundred jobs among twenty workers: consumers and pollers, killed at random, with answers that get lost and leases that expire
 * under them. Whether it went well is for the judge of histories to say.
 */
import { beforeEach, describe, expect, it } from "vitest";
import {
  type Commit,
  type CommitOutcome,
  joinId,
  type JobState,
  type Query,
  type ResultsOf,
  type Store,
  wasWrittenBy,
} from "../../src/changes/index.ts";
import { Connection } from "../../src/client/connection.ts";
import { type EnqueueJobInput, isServiceError } from "../../src/contract/index.ts";
import { D1_FAULTS, type FaultyD1, faultyD1 } from "../../src/testing/faulty-d1.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { complaints, type HistoryEvent, type JobFacts } from "./history.ts";
import { Dispatch } from "./support.ts";

/** Set it to what a failure printed to see nearly the same again: the workers' choices, not their interleaving. */
const SEED: number | null = null;
const JOBS = 200;
const WORKERS = 20;
const LEASE_MS = 3_600_000;

/** mulberry32: small, and the same everywhere. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

class Storm {
  readonly dispatch = new Dispatch({
    vars: { LEASE_MS, HEARTBEAT_MS: LEASE_MS - 1, RETRY_BASE_MS: 0 },
  });
  readonly events: HistoryEvent[] = [];
  readonly #random: () => number;
  readonly #databases: FaultyD1[] = [];
  #tick = 0;
  kills = 0;
  over = false;

  constructor(seed: number) {
    this.#random = random(seed);
  }

  tick(): number {
    this.#tick += 1;
    return this.#tick;
  }

  get lostAnswers(): number {
    return this.#databases.flatMap(({ calls }) => calls).filter(({ fault }) => fault !== null)
      .length;
  }

  count(kind: HistoryEvent["kind"]): number {
    return this.events.filter((event) => event.kind === kind).length;
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  upTo(most: number): number {
    return 1 + Math.floor(this.#random() * most);
  }

  /**
   * A database on which every now and then a call fails, or its answer is lost, with at least `gap` calls in between: nobody tries
   * more than four times, and who does several things at once must not meet that many faults with one of them.
   */
  store(gap: number): Store {
    let last = -gap;
    const faulty = faultyD1(env.DB, ({ index }) => {
      if (index <= last + gap || !this.chance(0.08)) return null;
      last = index;
      return this.chance(0.7) ? D1_FAULTS.lost : D1_FAULTS.before;
    });
    this.#databases.push(faulty);
    return this.dispatch.over(faulty.db);
  }

  note(
    kind: HistoryEvent["kind"],
    worker: string,
    id: string,
    attempt: number,
    from: number,
  ): void {
    this.events.push({ kind, worker, job: id, attempt, from, to: this.tick() });
  }

  /** Settles a delivery, or is killed before it does. */
  async work(worker: string, jobs: Connection["jobs"], id: string, attempt: number): Promise<void> {
    if (this.chance(0.12)) {
      this.kills += 1;
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, this.#random() * 15));
    const retry = this.chance(0.1);
    const from = this.tick();
    try {
      if (retry) await jobs.fail(id, "once more", true);
      else await jobs.complete(id);
      this.note(retry ? "retried" : "completed", worker, id, attempt, from);
    } catch (error) {
      if (!isServiceError(error) || error.code !== "LEASE_LOST") throw error;
      this.note("lost", worker, id, attempt, from);
    }
  }

  async consumer(worker: string): Promise<void> {
    const store = this.store(25);
    while (!this.over) {
      const from = this.tick();
      const handler = {
        handleJob: async (job: { jobId: string; attempt: number }, context?: { jobs: unknown }) => {
          this.note("claimed", worker, job.jobId, job.attempt, from);
          const kills = this.kills;
          const jobs = context?.jobs as Connection["jobs"];
          await this.work(worker, jobs, job.jobId, job.attempt);
          // Whoever is killed does not answer; its batch-mates do.
          if (this.kills > kills) await new Promise(() => {});
          return { status: "settled" as const };
        },
      };
      const batch = this.dispatch.deliver(handler, this.upTo(10), store);
      // A batch with a dead handler in it is left behind, as one whose isolate is gone.
      await Promise.race([batch, new Promise((resolve) => setTimeout(resolve, 120))]);
    }
  }

  async poller(worker: string): Promise<void> {
    const { jobs } = new Connection(this.store(1), { workerId: worker });
    while (!this.over) {
      const from = this.tick();
      const job = await jobs.dequeue();
      if (job === null) await new Promise((resolve) => setTimeout(resolve, 10));
      else {
        this.note("claimed", worker, job.jobId, job.attempt, from);
        await this.work(worker, jobs, job.jobId, job.attempt);
      }
    }
  }

  async batchPoller(worker: string): Promise<void> {
    const { jobs } = new Connection(this.store(1), { workerId: worker });
    while (!this.over) {
      const from = this.tick();
      const taken = await jobs.dequeueMany(this.upTo(8));
      for (const { jobId, attempt } of taken) this.note("claimed", worker, jobId, attempt, from);
      if (taken.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      const kept = taken.filter(() => !this.chance(0.12));
      this.kills += taken.length - kept.length;
      if (kept.length === 0) continue;
      const start = this.tick();
      const settled = await jobs.completeMany(kept.map(({ jobId }) => jobId));
      for (const [index, { outcome, jobId }] of settled.entries()) {
        const kind = outcome === "settled" ? "completed" : "lost";
        this.note(kind, worker, jobId, kept[index]?.attempt ?? 0, start);
      }
    }
  }

  /** Moves time on, so that leases expire, also under those who are at work, and sweeps twice at once. */
  async sweeper(): Promise<void> {
    const store = new NotingStore(
      this.dispatch.store,
      (job, attempt, from) => this.note("expired", "sweep", job, attempt, from),
      () => this.tick(),
    );
    for (let round = 0; round < 400; round += 1) {
      await new Promise((resolve) => setTimeout(resolve, 60));
      this.dispatch.now += LEASE_MS + 1;
      await Promise.all([this.dispatch.sweep(true, store), this.dispatch.sweep(true, store)]);
      expect(await this.dispatch.connect().audit()).toEqual([]);
      const { due, delayed, leased, suspended } = await this.dispatch.connect().jobs.jobStats();
      if (due + delayed + leased + suspended === 0) break;
    }
    this.over = true;
  }

  async rage(jobs: readonly EnqueueJobInput[]): Promise<void> {
    await this.dispatch.connect().jobs.enqueueParallel([...jobs]);
    const workers = Array.from({ length: WORKERS }, (_, n) => {
      const name = `worker-${n}`;
      if (n % 4 === 0) return this.consumer(name);
      return n % 4 === 1 ? this.batchPoller(name) : this.poller(name);
    });
    await Promise.all([...workers, this.sweeper()]);
    // A batch that was left behind may still be trying to claim; it must not reach into what comes next.
    await new Promise((resolve) => setTimeout(resolve, 2_500));
  }

  async facts(): Promise<JobFacts[]> {
    const rows = await this.dispatch.rows("jobs");
    return rows.map((row) => ({
      job: joinId(String(row["workflow_run_id"]), String(row["ordinal"])),
      priority: Number(row["priority"]),
      concurrencyKey: row["concurrency_key"] as string | null,
      concurrencyLimit: Number(row["concurrency_limit"] ?? 1),
      status: String(row["status"]),
      attempt: Number(row["attempt"]),
    }));
  }
}

/** Tells which leases its commits ended. */
class NotingStore implements Store {
  readonly #store: Store;
  readonly #ended: (job: string, attempt: number, from: number) => void;
  readonly #tick: () => number;
  constructor(
    store: Store,
    ended: (job: string, attempt: number, from: number) => void,
    tick: () => number,
  ) {
    this.#store = store;
    this.#ended = ended;
    this.#tick = tick;
  }
  now() {
    return this.#store.now();
  }
  read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    return this.#store.read(queries);
  }
  async attempt(commit: Commit): Promise<CommitOutcome> {
    const from = this.#tick();
    const outcome = await this.#store.attempt(commit);
    if (!outcome.applied || commit.changes[0]?.kind !== "releaseJob") return outcome;
    for (const state of outcome.results[0] as JobState[]) {
      if (!wasWrittenBy(state, commit.id)) continue;
      this.#ended(joinId(state.workflowRunId, state.ordinal), state.attempt, from);
    }
    return outcome;
  }
  settle(commit: Commit) {
    return this.#store.settle(commit);
  }
}

beforeEach(async () => {
  await emptyDatabase();
});

describe("a storm", () => {
  it.each<[string, (n: number) => Partial<EnqueueJobInput>]>([
    ["of jobs", () => ({})],
    [
      "of jobs with concurrency keys",
      (n) => (n % 2 === 0 ? {} : { concurrencyKey: `key-${n % 3}`, concurrencyLimit: 1 + (n % 3) }),
    ],
  ])(
    "%s is survived by every one of them, once",
    async (_what, more) => {
      const seed = SEED ?? Math.floor(Math.random() * 2 ** 31);
      const storm = new Storm(seed);
      await storm.rage(
        Array.from({ length: JOBS }, (_, n) => ({
          workflowRunId: `run-${n % 10}`,
          workflowId: "w",
          stageId: `${n}`,
          priority: n % 7,
          maxAttempts: 1_000,
          ...more(n),
        })),
      );
      const facts = await storm.facts();
      expect(facts).toHaveLength(JOBS);
      expect(complaints(facts, storm.events), `seed ${seed}`).toEqual([]);
      expect(storm.kills, "workers killed").toBeGreaterThan(0);
      expect(storm.count("expired"), "leases that expired").toBeGreaterThan(0);
      expect(storm.count("lost"), "settles that came too late").toBeGreaterThan(0);
      expect(storm.count("completed")).toBe(JOBS);
      expect(storm.lostAnswers, "answers lost").toBeGreaterThan(0);
      console.log(
        `seed ${seed}: ${storm.kills} kills, ${storm.count("expired")} expired, ${storm.count("lost")} late, ${storm.lostAnswers} faults`,
      );
    },
    120_000,
  );
});
