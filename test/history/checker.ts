/**
 * Judges a history of the job queue: what workers and sweeps did to jobs, as intervals within which each thing took effect. Pure.
 * It says nothing that it cannot prove: where two intervals overlap, the order that is in favour of the queue is assumed.
 */

/** Sequence numbers: invoked at `from`, answered at `to` (Infinity: never), and in effect somewhere between. */
export interface Interval {
  readonly from: number;
  readonly to: number;
}

export interface Enqueued extends Interval {
  readonly kind: "enqueued";
  readonly jobId: string;
  readonly priority: number;
  /** Among jobs of one priority the lower one is served first. */
  readonly order: string;
  /** By the clock, in milliseconds. */
  readonly dueAt: number;
  readonly key?: string | undefined;
  readonly limit?: number | undefined;
}

export interface Claimed extends Interval {
  readonly kind: "claimed";
  readonly worker: string;
  /** The clock that it went by. */
  readonly at: number;
  readonly wanted: number;
  /** Null: what it took, if anything, nobody knows. */
  readonly jobs: readonly { readonly jobId: string; readonly attempt: number }[] | null;
}

/** `accepted`: it changed the job. `refused`: it did not. `unknown`: nobody knows. */
export type Answer = "accepted" | "refused" | "unknown";

export interface Settled extends Interval {
  readonly kind: "settled";
  readonly worker: string;
  readonly jobId: string;
  readonly attempt: number;
  readonly answer: Answer;
  /** What the job came to. */
  readonly outcome: "completed" | "failed" | "retried" | "suspended";
  /** When it is due again, if it was `retried`. */
  readonly dueAt?: number | undefined;
}

/** A lease that was ended for it had expired. */
export interface Released extends Interval {
  readonly kind: "released";
  readonly worker: string;
  readonly jobId: string;
  readonly attempt: number;
  readonly answer: Answer;
  /** Whether the job is over: it had no attempts left. */
  readonly final: boolean;
}

export type HistoryEvent = Enqueued | Claimed | Settled | Released;

export type Rule =
  /** A further attempt was given out while the one before still held the lease. */
  | "leased-twice"
  /** A later claim of a job has a higher attempt. */
  | "attempt-order"
  /** Only the attempt that was given out last may settle. */
  | "settled-without-lease"
  /** A claim takes the best of what is due. */
  | "priority"
  /** A claim that takes fewer than it wants has left nothing that is due. */
  | "left-behind"
  /** Every job comes to an end ... */
  | "lost"
  /** ... and to one only. */
  | "ended-twice"
  /** No more jobs of a key are leased at one time than its limit. */
  | "concurrency";

export interface Violation {
  readonly rule: Rule;
  readonly jobId: string;
  readonly told: string;
}

/** What goes against a rule. A history that nothing is wrong with has none. */
export function check(events: readonly HistoryEvent[]): Violation[] {
  const history = new History(events);
  return [
    ...leases(history),
    ...settles(history),
    ...ends(history),
    ...choices(history),
    ...concurrency(history),
  ];
}

interface Lease {
  readonly jobId: string;
  readonly attempt: number;
  readonly claim: Claimed;
}

type Ending = Settled | Released;

class History {
  readonly jobs: readonly Enqueued[];
  readonly claims: readonly Claimed[];
  /** Whether there was a claim whose jobs are unknown. */
  readonly hasUnknownClaims: boolean;
  readonly #leases: ReadonlyMap<string, readonly Lease[]>;
  readonly #endings: ReadonlyMap<string, readonly Ending[]>;

  constructor(events: readonly HistoryEvent[]) {
    this.jobs = events.filter((event) => event.kind === "enqueued");
    this.claims = events.filter((event) => event.kind === "claimed");
    this.hasUnknownClaims = this.claims.some(({ jobs }) => jobs === null);
    const given = this.claims.flatMap((claim) =>
      (claim.jobs ?? []).map((job) => ({ ...job, claim })),
    );
    this.#leases = Map.groupBy(given, ({ jobId }) => jobId);
    const endings = events.filter(
      (event): event is Ending => event.kind === "settled" || event.kind === "released",
    );
    this.#endings = Map.groupBy(
      endings.filter(({ answer }) => answer !== "refused"),
      ({ jobId }) => jobId,
    );
  }

  /** By attempt, and those of one attempt by time. */
  leasesOf(jobId: string): Lease[] {
    return [...(this.#leases.get(jobId) ?? [])].toSorted(
      (a, b) => a.attempt - b.attempt || a.claim.from - b.claim.from,
    );
  }

  /** What has, or may have, ended a lease of the job. */
  endingsOf(jobId: string): readonly Ending[] {
    return this.#endings.get(jobId) ?? [];
  }

  /** From when on the lease may be over. */
  endOf({ jobId, attempt }: Lease): number {
    const endings = this.endingsOf(jobId).filter((ending) => ending.attempt === attempt);
    return Math.min(Number.POSITIVE_INFINITY, ...endings.map(({ from }) => from));
  }
}

function leases(history: History): Violation[] {
  const found: Violation[] = [];
  for (const { jobId } of history.jobs) {
    let before: Lease | undefined;
    for (const lease of history.leasesOf(jobId)) {
      if (before !== undefined) {
        const repeated = lease.attempt === before.attempt;
        if (repeated || lease.claim.to < before.claim.from) {
          const told = `attempt ${lease.attempt} of ${lease.claim.worker} and attempt ${before.attempt} of ${before.claim.worker}`;
          found.push({ rule: "attempt-order", jobId, told });
        } else if (history.endOf(before) >= lease.claim.to) {
          const told = `${lease.claim.worker} got attempt ${lease.attempt} while ${before.claim.worker} held attempt ${before.attempt}`;
          found.push({ rule: "leased-twice", jobId, told });
        }
      }
      before = lease;
    }
  }
  return found;
}

function settles(history: History): Violation[] {
  const found: Violation[] = [];
  for (const { jobId } of history.jobs) {
    const given = history.leasesOf(jobId);
    for (const settle of history.endingsOf(jobId)) {
      if (settle.kind !== "settled" || settle.answer !== "accepted") continue;
      const { attempt, worker, from, to } = settle;
      const own = given.some((lease) => lease.attempt === attempt && lease.claim.from < to);
      const later = given.find((lease) => lease.attempt > attempt && lease.claim.to < from);
      if (own && later === undefined) continue;
      const why = own ? `attempt ${later?.attempt} had been given out` : "it was never given out";
      const told = `attempt ${attempt} of ${worker} was accepted, although ${why}`;
      found.push({ rule: "settled-without-lease", jobId, told });
    }
  }
  return found;
}

function isEnd(ending: Ending): boolean {
  return ending.kind === "released"
    ? ending.final
    : ending.outcome === "completed" || ending.outcome === "failed";
}

function ends(history: History): Violation[] {
  return history.jobs.flatMap(({ jobId }): Violation[] => {
    const possible = history.endingsOf(jobId).filter(isEnd);
    const certain = possible.filter(({ answer }) => answer === "accepted");
    if (certain.length > 1) {
      return [{ rule: "ended-twice", jobId, told: `it ended ${certain.length} times` }];
    }
    return possible.length > 0 ? [] : [{ rule: "lost", jobId, told: "it never ended" }];
  });
}

/** A span in which a job could certainly be claimed: from the answer of one event to the beginning of the next. */
interface Waiting {
  readonly job: Enqueued;
  readonly from: number;
  readonly to: number;
  readonly dueAt: number;
}

function waitingOf(history: History, job: Enqueued): Waiting[] {
  // Which of a key's jobs could be claimed depends on the others.
  if (job.key !== undefined) return [];
  const leased = history.leasesOf(job.jobId);
  const endings = history.endingsOf(job.jobId);
  const again = endings.filter(
    (ending) =>
      ending.answer === "accepted" &&
      (ending.kind === "released" ? !ending.final : ending.outcome === "retried"),
  );
  const starts = [
    { attempt: 0, to: job.to, dueAt: job.dueAt, event: job },
    ...again.map((event) => ({
      attempt: event.attempt,
      to: event.to,
      dueAt: event.kind === "settled" ? (event.dueAt ?? Number.POSITIVE_INFINITY) : 0,
      event,
    })),
  ];
  return starts.flatMap(({ attempt, to, dueAt, event }) => {
    const next = leased.find((lease) => lease.attempt === attempt + 1);
    // An attempt is missing: an unknown claim took it, perhaps right away.
    if (next === undefined && (history.hasUnknownClaims || leased.some((l) => l.attempt > attempt)))
      return [];
    // A late settle of the attempt before may have ended it while it waited.
    const others = endings.filter((ending) => ending !== event && ending.to > event.from);
    const until = [next?.claim.from, ...others.map(({ from }) => from)];
    const end = Math.min(...until.map((from) => from ?? Number.POSITIVE_INFINITY));
    return [{ job, from: to, to: end, dueAt }];
  });
}

function choices(history: History): Violation[] {
  const found: Violation[] = [];
  const byId = new Map(history.jobs.map((job) => [job.jobId, job]));
  const waiting = history.jobs.flatMap((job) => waitingOf(history, job));
  for (const { worker, from, to, at, wanted, jobs } of history.claims) {
    if (jobs === null) continue;
    const left = waiting.filter((span) => span.from < from && to < span.to && span.dueAt <= at);
    const taken = jobs.flatMap(({ jobId }) => byId.get(jobId) ?? []);
    for (const { job } of left) {
      const { jobId } = job;
      const worse = taken.find((other) => isBetter(job, other));
      if (worse !== undefined) {
        found.push({ rule: "priority", jobId, told: `${worker} took ${worse.jobId} instead` });
      } else if (jobs.length < wanted) {
        const told = `${worker} took ${jobs.length} of ${wanted}, and not this one`;
        found.push({ rule: "left-behind", jobId, told });
      }
    }
  }
  return found;
}

function isBetter(job: Enqueued, other: Enqueued): boolean {
  if (job.priority !== other.priority) return job.priority > other.priority;
  return job.order < other.order;
}

function concurrency(history: History): Violation[] {
  const found: Violation[] = [];
  const keyed = history.jobs.filter(({ key }) => key !== undefined);
  for (const [key, jobs] of Map.groupBy(keyed, (job) => job.key)) {
    const limit = Math.max(...jobs.map((job) => job.limit ?? 1));
    const held = jobs.flatMap(({ jobId }) =>
      history
        .leasesOf(jobId)
        .map((lease) => ({ jobId, from: lease.claim.to, to: history.endOf(lease) })),
    );
    for (const { jobId, from } of held) {
      const together = held.filter((lease) => lease.from <= from && from < lease.to);
      if (together.length <= limit) continue;
      const told = `${together.length} of key ${key} were leased at one time; the limit is ${limit}`;
      found.push({ rule: "concurrency", jobId, told });
    }
  }
  return found;
}
