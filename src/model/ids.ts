/**
 * The ids that this service makes. Callers treat them as opaque; the service does not: an id that
 * carries its run saves an index, because the row is found by the primary key, which begins with
 * the run. Pure, but for randomness.
 *
 * An *ordinal* is unique and sorts by time, then by the order in which one connection made it. It
 * breaks the tie wherever rows of the same instant need an order.
 */
import { ID_BYTES_MAX, RECORD_ID_BYTES_MAX } from "./limits.ts";
import { isPathStep, isStorable, utf8Length } from "./text.ts";

const TIME_CHARS = 9;
const COUNTER_CHARS = 4;
const RANDOM_CHARS = 9;
/**
 * Length of every commit id. The column `commits` holds several of them, one after the other, and
 * relies on it.
 */
export const COMMIT_ID_CHARS = TIME_CHARS + RANDOM_CHARS;

function base36(value: number | bigint, width: number): string {
  return value.toString(36).padStart(width, "0");
}

/** Random numbers are drawn many at a time: a draw costs more than all the rest of an id. */
const DRAWN = 128;
const RANDOM_TEXTS = 36n ** BigInt(RANDOM_CHARS);
let drawn = new BigUint64Array();
let used = 0;

/** 46 random bits, from 64, so that every text is as likely as the others. */
function random(): string {
  if (used === drawn.length) {
    drawn = crypto.getRandomValues(new BigUint64Array(DRAWN));
    used = 0;
  }
  return base36((drawn[used++] ?? 0n) % RANDOM_TEXTS, RANDOM_CHARS);
}

/** Milliseconds as text that sorts as the number does. Instants before 1970 all become 0. */
function timePrefix(now: number): string {
  return base36(Math.max(0, Math.trunc(now)), TIME_CHARS);
}

/**
 * A commit's id: its instant and 46 random bits. Ids sort by time, so old ones are a range of the
 * key.
 */
export function newCommitId(now: number): string {
  return timePrefix(now) + random();
}

/** The smallest commit id of an instant, to begin or end such a range. */
export function commitIdAt(now: number): string {
  return timePrefix(now).padEnd(COMMIT_ID_CHARS, "0");
}

/**
 * Makes a function whose ordinals always increase, also while the clock stands still or goes back.
 */
export function createOrdinals(): (now: number) => string {
  let last = 0;
  let counter = 0;
  return (now) => {
    const instant = Math.max(0, Math.trunc(now));
    counter = instant > last ? 0 : counter + 1;
    if (counter >= 36 ** COUNTER_CHARS) {
      counter = 0;
      last += 1;
    }
    last = Math.max(last, instant);
    return timePrefix(last) + base36(counter, COUNTER_CHARS) + random();
  };
}

/**
 * `run/ordinal`: the id of a job, annotation, log or artifact. Outbox events have the sequence in
 * the place of the ordinal.
 */
export function joinId(workflowRunId: string, ordinal: string | number): string {
  return `${workflowRunId}/${ordinal}`;
}

/** Whether the text may be the id of a run or a stage. */
export function isId(text: string): boolean {
  return text !== "" && !isPathStep(text) && isStorable(text) && utf8Length(text) <= ID_BYTES_MAX;
}

/**
 * The parts of a {@link joinId}; null for an id that this service cannot have made, and so for no
 * row.
 */
export function splitId(id: string): { workflowRunId: string; ordinal: string } | null {
  const slash = id.lastIndexOf("/");
  const workflowRunId = id.slice(0, Math.max(slash, 0));
  const ordinal = id.slice(slash + 1);
  return isId(workflowRunId) && /^[0-9a-z]{1,64}$/.test(ordinal)
    ? { workflowRunId, ordinal }
    : null;
}

/**
 * What the ids of all signals of one name begin with that are not taken, and no others: the length
 * tells where the name ends.
 */
export function signalPrefix(name: string): string {
  return `${name.length}.${name}/`;
}

/** A signal's id within its run: its name, and the key by which it counts once. */
export function signalId(name: string, key: string): string {
  return signalPrefix(name) + key;
}

/**
 * The id that a signal has once it is taken. It has a 0 in the place of the slash, so that the taken
 * signals of a name are not among those that wait.
 */
export function takenSignalId(id: string): string {
  const [length = ""] = /^\d+(?=\.)/.exec(id) ?? [];
  const slash = length.length + 1 + Number(length);
  return id[slash] === "/" ? `${id.slice(0, slash)}0${id.slice(slash + 1)}` : id;
}

/** The parts of an outbox event's id; null for an id that this service cannot have made. */
export function splitEventId(id: string): { workflowRunId: string; sequence: number } | null {
  const parts = splitId(id);
  if (parts === null || !/^[1-9]\d{0,14}$/.test(parts.ordinal)) return null;
  return { workflowRunId: parts.workflowRunId, sequence: Number(parts.ordinal) };
}

/**
 * `run/stage/length of run.ordinal`: a stage's record id. The length tells where the run's id ends.
 */
export function stageRecordId(workflowRunId: string, stageId: string, ordinal: string): string {
  return `${workflowRunId}/${stageId}/${workflowRunId.length}.${ordinal}`;
}

/** The parts of a {@link stageRecordId}; null for an id that this service cannot have made. */
export function splitStageRecordId(id: string): { workflowRunId: string; stageId: string } | null {
  const match = /\/(\d{1,4})\.[0-9a-z]+$/.exec(id);
  if (match === null) return null;
  const runLength = Number(match[1]);
  if (runLength < 1 || runLength + 1 >= match.index || id[runLength] !== "/") return null;
  const workflowRunId = id.slice(0, runLength);
  const stageId = id.slice(runLength + 1, match.index);
  return isId(workflowRunId) && isId(stageId) && id.length <= RECORD_ID_BYTES_MAX
    ? { workflowRunId, stageId }
    : null;
}
