/** The limits of a definition, checked when it is built, and of what a stage gives. Each with its reason. */
import { COMMIT_UNITS_MAX, ROW_BYTES_MAX } from "../model/limits.ts";

/**
 * Stages, waits and sleeps of one workflow. The compiler sets the bound: it checks 165 in a few
 * seconds, and a chain of thousands not at all.
 */
export const STAGES_MAX = 600;
/**
 * Stages of one parallel group. A group is entered in one commit: two changes for each member, and
 * its events, of the two thousand that a commit may have.
 */
export const GROUP_MAX = 500;
/** A call of a stage runs in a queue's consumer, which leaves it this long at most. */
export const TIMEOUT_MS_MAX = 14 * 60_000;
/** The longest pause, sleep or wait: ten years. Instants beyond the year 9999 are not stored. */
export const DURATION_MS_MAX = 3_650 * 86_400_000;
/** The pause after a stage's first failure; it doubles from there. */
export const BACKOFF_MS_DEFAULT = 2_000;
/**
 * Bytes of JSON of what a stage gives, suspends with or remembers. It is stored in a row beside ids,
 * names and times, for which the rest of a row is kept.
 */
export const STORED_BYTES_MAX = ROW_BYTES_MAX - 32 * 1_024;
/** Bytes of JSON of a signal's payload: a wait gives it as a member of an object. */
export const PAYLOAD_BYTES_MAX = STORED_BYTES_MAX - 64;
/**
 * What one try of a stage may say: log lines, annotations, artifacts and AI calls together. They are
 * stored in the commit of its outcome, which may have two thousand changes and enters a group as well.
 */
export const NOTES_MAX = 400;
/** The text of all of them, in UTF-16 units: a third of what a commit may have. */
export const NOTES_UNITS_MAX = COMMIT_UNITS_MAX / 3;
/**
 * Stages that one transition passes over, each with its row and its event: with what a stage says, and
 * a group, they fit into one commit.
 */
export const SKIPPED_MAX = 90;
/** Progress is stored at most this often. */
export const PROGRESS_MS = 1_000;
/**
 * A condition, or a sleep's function, has this long while another stage's outcome waits for it. When
 * it takes longer, it is decided in a delivery of its own.
 */
export const DECISION_MS_MAX = 10_000;
