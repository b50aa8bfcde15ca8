/**
 * What callers may do. Scopes belong to changes and queries, not to ways in: routes, commits, settlements and entrypoints all look into
 * this one table, and a kind that is not in it does not compile. Pure.
 */
import type { ChangeKind } from "./change.ts";
import type { Commit } from "./commit.ts";
import type { QueryKind } from "./query.ts";

/** `admin` includes the others; `write` includes `read`. */
export const SCOPES = ["read", "write", "work", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** Any one of these is enough. */
export type AnyOf = readonly [Scope, ...Scope[]];

/**
 * Acts of the API that are no change or query as such. `claimRun`: a run becomes RUNNING if it is PENDING, and nothing else of it is set,
 * so it asks for less than `updateRun`. `time` reads no row.
 */
export type Act = ChangeKind | QueryKind | "claimRun" | "time";

const READ: AnyOf = ["read"];
const WRITE: AnyOf = ["write"];
const WORK: AnyOf = ["work"];
/** What a worker notes of its work. It changes no run, stage or job. */
const NOTE: AnyOf = ["write", "work"];
/** What ends the work of others, or takes rows away: the sweep's. */
const ADMIN: AnyOf = ["admin"];

const NEEDS: Readonly<Record<Act, AnyOf>> = {
  createRun: WRITE,
  updateRun: WRITE,
  createStage: WRITE,
  updateStage: WRITE,
  upsertStage: WRITE,
  deleteStage: WRITE,
  createLog: NOTE,
  saveArtifact: WRITE,
  deleteArtifact: WRITE,
  appendAnnotation: NOTE,
  appendOutboxEvent: WRITE,
  publishOutboxEvent: WRITE,
  countOutboxRetry: WRITE,
  deadLetterOutboxEvent: WRITE,
  replayOutboxEvent: WRITE,
  acquireIdempotencyKey: WRITE,
  completeIdempotencyKey: WRITE,
  releaseIdempotencyKey: WRITE,
  enqueueJob: WRITE,
  cancelJobs: WRITE,
  claimRun: WORK,
  claimJobs: WORK,
  completeJob: WORK,
  suspendJob: WORK,
  failJob: WORK,
  returnJob: WORK,
  touchJob: WORK,
  recordAiCall: NOTE,
  // Before its instant, if the change says so.
  resumeJobs: ADMIN,
  // A fresh one too, if the change says so.
  releaseJob: ADMIN,
  putBackFailure: ADMIN,
  attendStage: ADMIN,
  purgeExpired: ADMIN,
  time: READ,
  run: READ,
  runStatus: READ,
  runs: READ,
  pendingRuns: READ,
  stuckRuns: READ,
  stage: READ,
  stageById: READ,
  stages: READ,
  suspendedStages: READ,
  artifact: READ,
  hasArtifact: READ,
  artifacts: READ,
  annotations: READ,
  outboxEvent: READ,
  outboxTail: READ,
  unpublishedEvents: READ,
  outboxBacklog: READ,
  deadLetters: READ,
  idempotencyKey: READ,
  job: READ,
  jobs: READ,
  liveJob: READ,
  jobStates: READ,
  jobStats: READ,
  claimedJobs: READ,
  overdueJobs: READ,
  resumableJobs: READ,
  waitingEvents: READ,
  unattendedStages: READ,
  waitingRuns: READ,
  expired: READ,
  audit: READ,
  unhandledFailures: READ,
  cancelledJobs: READ,
  staleJobs: READ,
  suspendedJobs: READ,
  aiCallTotals: READ,
  aiBatch: READ,
  page: READ,
};

export function scopesFor(act: Act): AnyOf {
  return NEEDS[act];
}

/** Without one of these, no commit that changes anything is allowed. The others include one of them, or cannot change anything. */
export const CHANGING: AnyOf = ["write", "work"];

/** With those that they include. */
export function withImplied(scopes: readonly Scope[]): Set<Scope> {
  const all = new Set(scopes);
  if (all.has("admin")) for (const scope of SCOPES) all.add(scope);
  if (all.has("write")) all.add("read");
  return all;
}

export function hasAnyOf(scopes: ReadonlySet<Scope>, needed: AnyOf): boolean {
  return needed.some((scope) => scopes.has(scope));
}

/** What is refused, and which scopes would do. */
export interface Lack {
  readonly act: Act | "guards";
  readonly needs: AnyOf;
}

/** The first of the queries that these scopes do not allow, or null. */
export function lackForQueries(
  scopes: ReadonlySet<Scope>,
  queries: readonly { readonly q: QueryKind }[],
): Lack | null {
  for (const { q } of queries) if (!hasAnyOf(scopes, NEEDS[q])) return { act: q, needs: NEEDS[q] };
  return null;
}

/**
 * What of a commit these scopes do not allow, or null. Guards tell what is stored, as queries do. A commit is settled by those who may
 * apply it: a settlement can keep it from landing, and writes the finding down.
 */
export function lackForCommit(
  scopes: ReadonlySet<Scope>,
  { guards, changes, reads }: Pick<Commit, "guards" | "changes" | "reads">,
): Lack | null {
  for (const { kind } of changes) {
    if (!hasAnyOf(scopes, NEEDS[kind])) return { act: kind, needs: NEEDS[kind] };
  }
  if (guards.length > 0 && !hasAnyOf(scopes, READ)) return { act: "guards", needs: READ };
  return lackForQueries(scopes, reads);
}
