/** Writes the history of what goes through stores: what was asked of the queue, when, and what came of it. */
import {
  type Change,
  type Commit,
  type CommitOutcome,
  servedKind,
  type Settlement,
  type Store,
} from "../../src/changes/index.ts";
import {
  joinId,
  type JobRow,
  type JobState,
  type StaleJob,
  wasWrittenBy,
} from "../../src/model/index.ts";
import { type Query, type ResultsOf } from "../../src/queries/index.ts";
import { isServiceError } from "../../src/contract/index.ts";
import type { Claimed, Enqueued, HistoryEvent, Released, Settled } from "./checker.ts";

type Draft<E> = { -readonly [K in keyof E]: E[K] };
type Recorded = Draft<Enqueued> | Draft<Claimed> | Draft<Settled> | Draft<Released>;

/** One history, of any number of stores. */
export class Log {
  #events: Recorded[] = [];
  #sequence = 0;
  /** Commits whose answer was lost. */
  lost = 0;
  /** Results that came too late: a later attempt was leased to somebody. */
  fenced = 0;

  next(): number {
    this.#sequence += 1;
    return this.#sequence;
  }

  add(events: readonly Recorded[]): void {
    this.#events.push(...events);
  }

  /** It is known that they have not happened, and never will. */
  remove(events: readonly Recorded[]): void {
    this.#events = this.#events.filter((event) => !events.includes(event));
  }

  get events(): readonly HistoryEvent[] {
    return this.#events;
  }
}

/** Asks, with every commit, for the states of the jobs that it settles. */
export class RecordingStore implements Store {
  readonly #store: Store;
  readonly #log: Log;
  readonly #worker: string;
  readonly #drafts = new Map<string, Recorded[]>();
  /** The attempts of the leases that this store has found expired. */
  readonly #stale = new Map<string, number>();

  constructor(store: Store, log: Log, worker: string) {
    this.#store = store;
    this.#log = log;
    this.#worker = worker;
  }

  async now(): Promise<number> {
    return this.#store.now();
  }

  async read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    const results = await this.#store.read(queries);
    for (const [index, query] of queries.entries()) {
      const answer: unknown = results[index];
      if (query.q === "staleJobs") this.#noteStale(answer as StaleJob[]);
      if (query.q !== "claimedJobs") continue;
      // The answer of a claim that had been lost.
      this.#taken(this.#drafts.get(query.commitId) ?? [], answer as JobRow[]);
    }
    return results;
  }

  async attempt(commit: Commit): Promise<CommitOutcome> {
    const from = this.#log.next();
    const drafts = commit.changes.flatMap((change) => this.#draft(change, commit, from) ?? []);
    this.#log.add(drafts);
    this.#drafts.set(commit.id, drafts);
    try {
      const keys = commit.changes.flatMap((change) => servedKind(change).settles(change) ?? []);
      const states = { q: "jobStates", keys, now: 0 } as const;
      const outcome = await this.#store.attempt({ ...commit, reads: [...commit.reads, states] });
      for (const draft of drafts) draft.to = this.#log.next();
      if (outcome.applied) {
        const results = outcome.results.slice(0, commit.reads.length);
        this.#applied(commit, drafts, results, (outcome.results.at(-1) ?? []) as JobState[]);
        return { applied: true, results };
      }
      const guard = commit.guards[outcome.violation.guard];
      if (guard?.on === "job" && guard.expect.is === "attempt") this.#log.fenced += 1;
      this.#log.remove(drafts);
      return outcome;
    } catch (error) {
      if (!isServiceError(error) || error.code !== "UNAVAILABLE") this.#log.remove(drafts);
      else this.#log.lost += 1;
      throw error;
    }
  }

  async settle(commit: Commit): Promise<Settlement> {
    const settlement = await this.#store.settle(commit);
    const drafts = this.#drafts.get(commit.id) ?? [];
    if (settlement === "fenced") this.#log.remove(drafts);
    else for (const draft of drafts) draft.to = this.#log.next();
    return settlement;
  }

  #noteStale(jobs: readonly StaleJob[]): void {
    for (const { workflowRunId, ordinal, attempt } of jobs) {
      this.#stale.set(joinId(workflowRunId, ordinal), attempt);
    }
  }

  #draft(change: Change, { guards }: Commit, from: number): Recorded | null {
    const interval = { from, to: Number.POSITIVE_INFINITY };
    const base = { ...interval, worker: this.#worker, answer: "unknown" } as const;
    switch (change.kind) {
      case "enqueueJob": {
        const { workflowRunId, ordinal, priority, nextPollAt, concurrencyKey } = change.row;
        return {
          kind: "enqueued",
          ...interval,
          jobId: joinId(workflowRunId, ordinal),
          priority,
          order: ordinal,
          dueAt: nextPollAt ?? 0,
          key: concurrencyKey ?? undefined,
          limit: change.row.concurrencyLimit ?? undefined,
        };
      }
      case "claimJobs": {
        const { at, limit } = change;
        return {
          kind: "claimed",
          ...interval,
          worker: this.#worker,
          at,
          wanted: limit,
          jobs: null,
        };
      }
      case "completeJob":
      case "failJob":
      case "suspendJob":
      case "returnJob":
      case "unclaimJob": {
        const { workflowRunId, ordinal } = change;
        const fence = guards.find((guard) => guard.on === "job" && guard.ordinal === ordinal);
        const expected = fence?.on === "job" && fence.expect.is === "attempt" ? fence.expect : null;
        return {
          kind: "settled",
          ...base,
          jobId: joinId(workflowRunId, ordinal),
          attempt: change.attempt ?? expected?.attempt ?? -1,
          outcome: OUTCOMES[change.kind],
        };
      }
      case "releaseJob": {
        const jobId = joinId(change.workflowRunId, change.ordinal);
        const attempt = this.#stale.get(jobId) ?? -1;
        return { kind: "released", ...base, jobId, attempt, final: false };
      }
      default:
        return null;
    }
  }

  #applied(
    commit: Commit,
    drafts: readonly Recorded[],
    results: readonly unknown[],
    settled: readonly JobState[],
  ): void {
    const claimed = commit.reads.findIndex(({ q }) => q === "claimedJobs");
    if (claimed !== -1) this.#taken(drafts, results[claimed] as JobRow[]);
    const states = new Map(
      settled.map((state) => [joinId(state.workflowRunId, state.ordinal), state]),
    );
    for (const draft of drafts) {
      if (draft.kind !== "settled" && draft.kind !== "released") continue;
      const state = states.get(draft.jobId);
      if (state === undefined) continue;
      draft.answer = wasWrittenBy(state, commit.id) ? "accepted" : "refused";
      if (state.status === "RUNNING" && state.attempt > draft.attempt) this.#log.fenced += 1;
      if (draft.answer === "refused") continue;
      if (draft.kind === "released") draft.final = state.status === "FAILED";
      else if (state.status === "PENDING") {
        draft.outcome = "retried";
        draft.dueAt = state.nextPollAt ?? 0;
      }
    }
  }

  #taken(drafts: readonly Recorded[], rows: readonly JobRow[]): void {
    for (const draft of drafts) {
      if (draft.kind !== "claimed") continue;
      draft.to = this.#log.next();
      draft.jobs = rows.map(({ workflowRunId, ordinal, attempt }) => ({
        jobId: joinId(workflowRunId, ordinal),
        attempt,
      }));
    }
  }
}

/** Whether a failure whose answer was lost was tried again is not known either: it may have been the end. */
const OUTCOMES = {
  completeJob: "completed",
  failJob: "failed",
  suspendJob: "suspended",
  returnJob: "retried",
  unclaimJob: "retried",
} as const;
