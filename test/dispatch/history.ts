/**
 * A judge of what workers did to jobs. It looks at nothing but the history: who was given which attempt when, how it ended, and
 * what was claimable at the moment of a claim. Pure, so that it can be judged itself.
 */

export interface Claim {
  readonly kind: "claimed";
  readonly worker: string;
  readonly job: string;
  readonly attempt: number;
  /** Between the call and its answer, as the order of all events. */
  readonly from: number;
  readonly to: number;
}

export interface End {
  /** `settled`: for good, or until it is due again. `lost`: the settle was refused. `expired`: the sweep ended the lease. */
  readonly kind: "completed" | "retried" | "suspended" | "failed" | "lost" | "expired";
  readonly worker: string;
  readonly job: string;
  readonly attempt: number;
  readonly from: number;
  readonly to: number;
}

export type HistoryEvent = Claim | End;

export interface JobFacts {
  readonly job: string;
  readonly priority: number;
  readonly concurrencyKey: string | null;
  readonly concurrencyLimit: number;
  /** What the row says in the end. */
  readonly status: string;
  readonly attempt: number;
}

/** Everything that is wrong with a history; none if it is one that may happen. */
export function complaints(jobs: readonly JobFacts[], events: readonly HistoryEvent[]): string[] {
  const byJob = Map.groupBy(events, ({ job }) => job);
  const known = new Set(jobs.map(({ job }) => job));
  return [
    ...[...byJob.keys()]
      .filter((job) => !known.has(job))
      .map((job) => `${job}: nobody enqueued it`),
    ...jobs.flatMap((facts) => complaintsAbout(facts, byJob.get(facts.job) ?? [])),
    ...overLimit(jobs, events),
    ...outOfTurn(jobs, events),
  ];
}

function complaintsAbout(
  { job, status, attempt }: JobFacts,
  events: readonly HistoryEvent[],
): string[] {
  const found: string[] = [];
  const claims = events.filter((event) => event.kind === "claimed").toSorted(byAttempt);
  // A claim whose answer came too late: nobody was given the lease, and so it can only have expired.
  const unheard = events.filter(
    ({ kind, attempt: own }) =>
      kind === "expired" && !claims.some((claim) => claim.attempt === own),
  );
  for (const [index, { attempt: own }] of [...claims, ...unheard].toSorted(byAttempt).entries()) {
    if (own !== index + 1) found.push(`${job}: attempt ${own} where ${index + 1} was next`);
  }
  for (const [index, claim] of claims.entries()) {
    const next = claims[index + 1];
    if (next === undefined) continue;
    if (next.to < claim.from) {
      found.push(`${job}: attempt ${next.attempt} came before ${claim.attempt}`);
    }
    const end = endOf(events, claim.attempt);
    // The lease was certainly still held when the next one certainly was.
    if (end === null || end.from > next.to) {
      found.push(`${job}: attempts ${claim.attempt} and ${next.attempt} were leased at one time`);
    }
  }
  const ends = events.filter(({ kind }) => kind === "completed" || kind === "failed");
  if (ends.length > 1) found.push(`${job}: came to its end ${ends.length} times`);
  for (const end of events) {
    if (end.kind === "claimed" || end.kind === "lost" || end.kind === "expired") continue;
    if (!claims.some((claim) => claim.attempt === end.attempt)) {
      found.push(`${job}: attempt ${end.attempt} ended and was never given`);
    }
  }
  if (status !== "COMPLETED" && status !== "FAILED") found.push(`${job}: is ${status} in the end`);
  if (status === "COMPLETED" && !events.some(({ kind }) => kind === "completed"))
    found.push(`${job}: nobody completed it`);
  if (claims.length + unheard.length !== attempt)
    found.push(`${job}: ${claims.length + unheard.length} deliveries, and the row says ${attempt}`);
  return found;
}

function byAttempt(a: HistoryEvent, b: HistoryEvent): number {
  return a.attempt - b.attempt;
}

/** How the lease of an attempt ended; null if it did not. */
function endOf(events: readonly HistoryEvent[], attempt: number): HistoryEvent | null {
  return (
    events.find(
      (event) => event.kind !== "claimed" && event.kind !== "lost" && event.attempt === attempt,
    ) ?? null
  );
}

/** At no instant are more jobs of a key certainly leased than the limit of the one that was claimed last. */
function overLimit(jobs: readonly JobFacts[], events: readonly HistoryEvent[]): string[] {
  const facts = new Map(jobs.map((job) => [job.job, job]));
  const claims = events.filter((event) => event.kind === "claimed");
  return claims.flatMap((claim) => {
    const own = facts.get(claim.job);
    if (own === undefined || own.concurrencyKey === null) return [];
    const others = claims.filter((other) => {
      if (other === claim || facts.get(other.job)?.concurrencyKey !== own.concurrencyKey)
        return false;
      const end = endOf(
        events.filter(({ job }) => job === other.job),
        other.attempt,
      );
      return other.to < claim.from && (end === null || end.from > claim.to);
    });
    const over = others.length + 1 > own.concurrencyLimit;
    return over
      ? [
          `${claim.job}: the ${others.length + 1}th of its key at one time, of ${own.concurrencyLimit}`,
        ]
      : [];
  });
}

/** A job was claimed while one of higher priority had certainly been claimable, all through the claim. */
function outOfTurn(jobs: readonly JobFacts[], events: readonly HistoryEvent[]): string[] {
  const firstClaims = new Map<string, HistoryEvent>();
  for (const event of events) {
    const isFirst = event.kind === "claimed" && event.attempt === 1;
    const wasUnheard = event.kind === "expired" && event.attempt === 1;
    if (isFirst) firstClaims.set(event.job, event);
    // If nobody was given the first lease, nobody can tell since when it was held: for all that is known, from the beginning.
    else if (wasUnheard && !firstClaims.has(event.job))
      firstClaims.set(event.job, { ...event, from: 0 });
  }
  const plain = jobs.filter(({ concurrencyKey }) => concurrencyKey === null);
  return events.flatMap((event) => {
    if (event.kind !== "claimed") return [];
    const own = jobs.find(({ job }) => job === event.job);
    // All are enqueued before the first claim, so one that was never claimed before was claimable.
    const better = plain.find(
      ({ job, priority }) =>
        priority > (own?.priority ?? 0) && (firstClaims.get(job)?.from ?? Infinity) > event.to,
    );
    return better === undefined
      ? []
      : [`${event.job}: claimed before ${better.job}, which had a higher priority`];
  });
}
