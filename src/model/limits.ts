/**
 * The limits that callers meet, each with its reason. They are checked before anything is written.
 * D1's own limits: 100 bound parameters and 100 KB of SQL a statement, 2,000,000 bytes a row or
 * value (https://developers.cloudflare.com/d1/platform/limits/). The full list: ARCHITECTURE.md,
 * "Limits".
 */

/** Run ids, workflow ids, stage ids. */
export const ID_BYTES_MAX = 512;
/** Record ids that this service made and a caller hands back. They hold a run id and a stage id. */
export const RECORD_ID_BYTES_MAX = 2_048;
/** Names, kinds, topics, actors. */
export const NAME_BYTES_MAX = 1_024;
/**
 * Artifact keys, which hold a type, a run id and a stage id; annotation keys and idempotency keys.
 */
export const KEY_BYTES_MAX = 2_048;
/**
 * All text of one row together. Below D1's 2,000,000 bytes a row, so that the columns of fixed size
 * and the row's own overhead always fit. Local D1 does not enforce its limit; a CHECK of each table
 * does.
 */
export const ROW_BYTES_MAX = 1_900_000;
/**
 * A job's last error. It is not counted with the row's other text, so that a job whose payload
 * fills its row can still fail. Both together, with the rest of the row, stay below D1's limit.
 */
export const JOB_ERROR_BYTES_MAX = 64 * 1_024;
/** Changes in one transaction. */
export const TRANSACTION_CHANGES_MAX = 1_000;
/**
 * Changes in one commit. A typed workflow's may have more than a transaction's: it enters a group of
 * 500 with two changes for each stage, beside all that one try may say.
 */
export const COMMIT_CHANGES_MAX = 2_000;
/**
 * All text of one commit together, in UTF-16 units. An isolate has 128 MB and holds the text a few
 * times over: 15 Mi of text beyond Latin-1 were too much for a heap of 80 MB.
 */
export const COMMIT_UNITS_MAX = 12 * 1_024 * 1_024;
/**
 * Stages of one execution group that a change names. Each of them is looked up when one of the others
 * is done.
 */
export const GROUP_STAGES_MAX = 500;
/** Guards of one commit: as much as a transaction may have read. */
export const COMMIT_GUARDS_MAX = 10_000;
/** Queries answered in one round trip. */
export const READ_QUERIES_MAX = 100;
/** Names in one list of long columns. */
export const LONG_COLUMNS_MAX = 20;
export const JSON_DEPTH_MAX = 1_000;
export const ANNOTATIONS_LIST_MAX = 10_000;
export const ANNOTATIONS_LIST_DEFAULT = 1_000;
/**
 * Long text of one page of a list over HTTP, in bytes. An isolate has 128 MB and holds a page a few
 * times over.
 */
export const PAGE_BYTES_MAX = 500_000;
/**
 * Bytes of JSON of an annotation's value by which runs are found. Longer values are data rather
 * than labels, and would make the index large.
 */
export const ANNOTATION_VALUE_FOUND_MAX = 256;
export const OUTBOX_PAGE_MAX = 1_000;
export const OUTBOX_PAGE_DEFAULT = 100;
/** How often a transaction's callback is run before CONFLICT. */
export const TRANSACTION_RUNS_MAX = 25;

/**
 * Tokens of one AI call, in or out. Sums are 64-bit integers: 900 million calls of this size fit,
 * and a database holds fewer.
 */
export const CALL_TOKENS_MAX = 10_000_000_000;
/** The cost of an AI call or a run. Sums of doubles stay finite, however many are added. */
export const COST_MAX = 1e15;

/**
 * A count that grows by steps, as a commit may set it: a version, deliveries, failures. It stays a
 * number that a double holds, however often it grows.
 */
export const TALLY_MAX = 1_000_000_000;

export const PRIORITY_DEFAULT = 5;
export const JOB_MAX_ATTEMPTS_DEFAULT = 3;
/** A lease that was not renewed for this long is over. */
export const STALE_LEASE_MS_DEFAULT = 300_000;
/** The pause after the n-th failure is this times 2^n: 2 s, 4 s, ... */
export const RETRY_BASE_MS = 1_000;
export const RETRY_CAP_MS = 3_600_000;
/** The longest pause before a retry: 31 days. */
export const RETRY_MS_MAX = 31 * 86_400_000;
/**
 * The largest n in that formula: beyond it the cap decides anyway, and 2^n would leave the
 * integers.
 */
export const RETRY_EXPONENT_MAX = 20;
/**
 * The longest pause of a job whose handler cannot be reached: a handler that is back gets its jobs
 * within this time.
 */
export const UNDELIVERED_CAP_MS = 300_000;

/** Jobs in one claim: a queue hands over at most 100 messages at once. */
export const CLAIM_JOBS_MAX = 100;
/**
 * Delayed jobs that have become due and that one claim makes ready. A bound, so that a storm of
 * retries cannot hold up a claim.
 */
export const PROMOTED_MAX = 1_000;
/** Suspended jobs that one change resumes. */
export const RESUME_JOBS_MAX = 100;
/** The highest `maxAttempts` of a new job. */
export const JOB_ATTEMPTS_MAX = 1_000;
/**
 * Concurrency keys that one claim looks at. It reads a few rows for each key that has ready jobs.
 */
export const CONCURRENCY_KEYS_MAX = 10_000;
/**
 * Jobs with a dedupe key in one call of `enqueueParallel`: each is answered by a query of its own.
 */
export const DEDUPED_JOBS_MAX = 100;
/** Where the counts of `jobStats` stop, so that its cost is bounded. */
export const JOB_STATS_MAX = 10_000;
/** How far back `jobStats` counts failures. Milliseconds. */
export const JOB_STATS_FAILED_MS = 86_400_000;
/** Findings of one audit. */
export const AUDIT_MAX = 100;
/**
 * For this long after its instant, a job or a stage that was suspended through the contract is left
 * to an engine that polls it. If none has polled it by then, none is expected to, and the sweep
 * gives it to the handler.
 */
export const UNPOLLED_MS = 86_400_000;
/**
 * The audit names a suspended job or stage that is overdue by this much: an engine that polls, or
 * the sweep, would have come ten times.
 */
export const AUDIT_UNPOLLED_MS = 600_000;
/**
 * While the publisher may be away, an event's next failure counts only after a pause. The pauses
 * begin with the first of these and double up to the second.
 */
export const COUNT_MIN_MS = 60_000;
export const COUNT_MAX_MS = 3_600_000;
/**
 * The pause until a failure is handed over again is the failure's age, but at least this and at
 * most HAND_OVER_MAX_MS.
 */
export const HAND_OVER_MIN_MS = 60_000;
export const HAND_OVER_MAX_MS = 3_600_000;
/** For this long a record is kept of a commit whose own rows cannot tell what became of it. */
export const COMMIT_RECORDS_KEPT_MS = 86_400_000;
