/** The limits of a definition, each with its reason. They are checked when it is built. */

/**
 * Stages, waits and sleeps of one workflow. The compiler sets the bound: it checks 165 in a few
 * seconds, and a chain of thousands not at all.
 */
export const STAGES_MAX = 500;
/**
 * Stages of one parallel group. A group is entered in one commit: two changes for each member, and
 * its events, of the thousand that a commit may have.
 */
export const GROUP_MAX = 200;
/** A call of a stage runs in a queue's consumer, which leaves it this long at most. */
export const TIMEOUT_MS_MAX = 14 * 60_000;
/**
 * Logs, annotations, artifacts and AI calls of one try. Their commit takes a thousand changes, and the
 * entry into the largest group is some 600 of them.
 */
export const NOTES_MAX = 300;
/** UTF-16 units of all of them: their commit takes 12 Mi, and the stage's output may be 2 Mi. */
export const NOTES_UNITS_MAX = 4 * 1_024 * 1_024;
/** The longest pause, sleep or wait: ten years. Instants beyond the year 9999 are not stored. */
export const DURATION_MS_MAX = 3_650 * 86_400_000;
/** The pause after a stage's first failure; it doubles from there. */
export const BACKOFF_MS_DEFAULT = 2_000;
