/**
 * The limits that callers meet, each with its reason. Checked before anything is written.
 * D1's own limits: 100 bound parameters and 100 KB of SQL a statement, 2,000,000 bytes a row or value
 * (https://developers.cloudflare.com/d1/platform/limits/).
 */

/** Run ids, workflow ids, stage ids. */
export const ID_BYTES_MAX = 512;
/** Record ids that we made and a caller hands back; they carry a run id and a stage id. */
export const RECORD_ID_BYTES_MAX = 2_048;
/** Names, kinds, topics, actors. */
export const NAME_BYTES_MAX = 1_024;
/** Artifact keys (which hold a type, a run id and a stage id), annotation and idempotency keys. */
export const KEY_BYTES_MAX = 2_048;
/**
 * All text of one row together. Below D1's 2,000,000 bytes a row, so that the fixed-size columns and
 * the row's own overhead always fit. Local D1 does not enforce its limit; the tables' CHECK does.
 */
export const ROW_BYTES_MAX = 1_900_000;
/**
 * A job's last error. Apart from its row's other text, so that a job whose payload fills the row can still fail; both
 * together, with the rest of the row, stay below D1's limit.
 */
export const JOB_ERROR_BYTES_MAX = 64 * 1_024;
/** Changes in one transaction. */
export const TRANSACTION_CHANGES_MAX = 1_000;
/** All text of one commit together, in UTF-16 units. An isolate has 128 MB, and holds it a few times over. */
export const COMMIT_UNITS_MAX = 16 * 1_024 * 1_024;
/** Guards in one commit: what a transaction may have read. */
export const COMMIT_GUARDS_MAX = 10_000;
/** Queries answered in one round trip. */
export const READ_QUERIES_MAX = 100;
/** Names of long columns in one list of them. */
export const LONG_COLUMNS_MAX = 20;
export const JSON_DEPTH_MAX = 1_000;
export const ANNOTATIONS_LIST_MAX = 10_000;
export const ANNOTATIONS_LIST_DEFAULT = 1_000;
/** Long text of one page of a list over HTTP, in bytes: an isolate has 128 MB, and holds a page a few times over. */
export const PAGE_BYTES_MAX = 500_000;
/** An annotation's value, as JSON, by which runs are found. Longer ones are data, not names of anything, and would be in an index. */
export const ANNOTATION_VALUE_FOUND_MAX = 256;
export const OUTBOX_PAGE_MAX = 1_000;
export const OUTBOX_PAGE_DEFAULT = 100;
/** Times that a transaction's callback is run before CONFLICT. */
export const TRANSACTION_RUNS_MAX = 25;

/**
 * Tokens of one AI call, in or out. Sums are kept as 64-bit integers: 900 million such calls fit, and fewer into a database.
 */
export const CALL_TOKENS_MAX = 10_000_000_000;
/** A cost: of an AI call, of a run. Sums of doubles stay finite, however many there are. */
export const COST_MAX = 1e15;

export const PRIORITY_DEFAULT = 5;
export const JOB_MAX_ATTEMPTS_DEFAULT = 3;
/** A lease that was not renewed for so long is over. */
export const STALE_LEASE_MS_DEFAULT = 300_000;
/** Retry n waits this times 2^n, where n counts the failures so far: 2 s, 4 s. */
export const RETRY_BASE_MS = 1_000;
export const RETRY_CAP_MS = 3_600_000;
export const RETRY_EXPONENT_MAX = 20;
/** A job whose handler cannot be reached is given to it again after so long at the latest: a handler that is back finds it soon. */
export const UNDELIVERED_CAP_MS = 300_000;

/** Jobs that one claim takes: a queue hands over at most 100 messages at once. */
export const CLAIM_JOBS_MAX = 100;
/** Suspended jobs that are resumed at once. */
export const RESUME_JOBS_MAX = 100;
/** Attempts that a job may be given. */
export const JOB_ATTEMPTS_MAX = 1_000;
/** Concurrency keys that one claim looks at: it reads a few rows for each that has jobs ready. */
export const CONCURRENCY_KEYS_MAX = 10_000;
/** Jobs with a dedupe key in one call of `enqueueParallel`: each is answered by a query of its own. */
export const DEDUPED_JOBS_MAX = 100;
/** Where the counts of `jobStats` stop, so that its cost is bounded. */
export const JOB_STATS_MAX = 10_000;
/** Failed jobs are counted for so long. */
export const JOB_STATS_FAILED_MS = 86_400_000;
/** Findings of one audit. */
export const AUDIT_MAX = 100;
/**
 * A job or a stage that was suspended through the contract is left to the engine that polls it, for this long after its instant. By then
 * nobody polls it, and the sweep gives it to the handler.
 */
export const UNPOLLED_MS = 86_400_000;
/** The audit names a suspended job or stage that is overdue by this much: ten ticks of the sweep, or of a host that polls, have passed. */
export const AUDIT_UNPOLLED_MS = 600_000;
/** While the publisher may be away, the failures of an event count after pauses from the one to the other, each twice the one before. */
export const COUNT_MIN_MS = 60_000;
export const COUNT_MAX_MS = 3_600_000;
/** A failure is handed over again after a pause as long as it is old, between these two. */
export const HAND_OVER_MIN_MS = 60_000;
export const HAND_OVER_MAX_MS = 3_600_000;
