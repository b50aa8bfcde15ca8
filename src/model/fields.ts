/**
 * The shapes of single fields, with their limits. Clients make changes of these, and the service
 * checks everything that arrives against the same ones.
 */
import {
  instantColumn,
  jsonColumn,
  jsonObjectColumn,
  longTextColumn,
  textColumn,
} from "./columns.ts";
import { INSTANT_MAX, INSTANT_MIN } from "./instant.ts";
import {
  CALL_TOKENS_MAX,
  COST_MAX,
  ID_BYTES_MAX,
  JOB_ERROR_BYTES_MAX,
  KEY_BYTES_MAX,
  NAME_BYTES_MAX,
  RECORD_ID_BYTES_MAX,
  ROW_BYTES_MAX,
  TALLY_MAX,
} from "./limits.ts";
import { number, oneOf, refined, type Shape, text, whole } from "./shape.ts";
import { STATUSES } from "./status.ts";
import { isPathStep, isStorable, utf8Length } from "./text.ts";

/** Text that a column holds as it is, of at most this many bytes of UTF-8. */
function storable(bytesMax: number, charsMin = 0): Shape<string> {
  return text((value) => {
    if (value.length < charsMin) return { message: "must not be empty" };
    if (!isStorable(value)) return { message: "must not hold NUL or a lone surrogate" };
    // Every UTF-16 unit is at least one byte, so the exact count is only needed near the limit.
    const size = value.length > bytesMax ? value.length : utf8Length(value);
    if (size <= bytesMax) return null;
    const message = `must be at most ${bytesMax} bytes of UTF-8, got ${size}`;
    return { message, limit: bytesMax, size };
  });
}

/** Text that names a row. It becomes a step in a URL's path, where `.` and `..` would vanish. */
function named(bytesMax: number, charsMin: number): Shape<string> {
  return refined(storable(bytesMax, charsMin), (value) =>
    isPathStep(value)
      ? { path: [], message: 'must not be "." or "..", which no path can carry' }
      : null,
  );
}

function ordinal(charsMax: number): Shape<string> {
  return text((value) =>
    value.length <= charsMax && /^[0-9a-z]+$/.test(value)
      ? null
      : { message: "must be an ordinal" },
  );
}

/** A run's, workflow's or stage's id. */
export const idField = named(ID_BYTES_MAX, 1);
/** A run's id, or "" for no run. */
export const runOrNoneField = named(ID_BYTES_MAX, 0);
/** An id that this service made, as a caller hands it back. It may hold any id, so it is longer. */
export const recordIdField = storable(RECORD_ID_BYTES_MAX, 1);
export const nameField = storable(NAME_BYTES_MAX);
/** An annotation's or idempotency key; also the key after which a page begins. */
export const keyField = storable(KEY_BYTES_MAX);
/** A signal's id within its run: its name, the length of that, and its key. */
export const signalIdField = storable(ID_BYTES_MAX + KEY_BYTES_MAX + 8);
export const artifactKeyField = named(KEY_BYTES_MAX, 1);
/** The id of a batch of AI calls, or "" for a call of its own. */
export const batchOrNoneField = named(KEY_BYTES_MAX, 0);
/** A JSON value. Its size is checked with its row's, as is that of free text. */
export const jsonField = jsonColumn(storable(ROW_BYTES_MAX));
export const jsonObjectField = jsonObjectColumn(storable(ROW_BYTES_MAX));
export const freeTextField = longTextColumn(storable(ROW_BYTES_MAX));
export const jobErrorField = textColumn(storable(JOB_ERROR_BYTES_MAX), JOB_ERROR_BYTES_MAX);
export const ordinalField = ordinal(64);
/** An AI call's. Longer than others, since the ordinal of a batch's result is a digest. */
export const callOrdinalField = ordinal(80);
/** Milliseconds since 1970, of the years 0001 to 9999. */
export const instantField = instantColumn(whole({ min: INSTANT_MIN, max: INSTANT_MAX }));
export const wholeField = whole();
/** A count: 0 or more. */
export const countField = whole({ min: 0 });
/** A count that grows by steps. */
export const tallyField = whole({ min: 0, max: TALLY_MAX });
export const numberField = number();
/** Tokens of one AI call. */
export const tokensField = whole({ min: 0, max: CALL_TOKENS_MAX });
export const costField = number({ min: 0, max: COST_MAX });

export const statusField = oneOf(STATUSES);
export const LOG_LEVELS = ["DEBUG", "INFO", "WARN", "ERROR"] as const;
export const logLevelField = oneOf(LOG_LEVELS);
export const ARTIFACT_TYPES = ["STAGE_OUTPUT", "ARTIFACT", "METADATA"] as const;
export const artifactTypeField = oneOf(ARTIFACT_TYPES);
