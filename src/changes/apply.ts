/** The effect of changes on the maps: a transaction's copy, or the in-memory store. Pure. */
import type { State } from "../model/state.ts";
import { Writer } from "../model/writer.ts";
import { isCallers, kindOfCallers } from "./callers.ts";
import type { Change } from "./change.ts";

/**
 * Applies the changes to the maps in their order, all of them or none: when it throws, the State is
 * as before.
 * @throws PAYLOAD_TOO_LARGE when a row would grow beyond ROW_BYTES_MAX; INTERNAL when a change
 * creates a run, a stage or a job that exists, which a guard should have ruled out, or archives a
 * stage under a record id that an archived one has.
 * @param apply the effect of one change. Default: that of the changes that occur in transactions.
 */
export function applyChanges(
  state: State,
  changes: readonly Change[],
  commitId: string,
  apply: (writer: Writer, each: Change) => void = applyOwn,
): void {
  const writer = new Writer(state, commitId);
  try {
    for (const each of changes) apply(writer, each);
    // No other changes have anything to finish.
    const own = changes.filter(isCallers);
    const finishing = Map.groupBy(own, (each) => kindOfCallers(each).finish);
    for (const [finish, finished] of finishing) finish(writer, finished);
  } catch (error) {
    writer.rollBack();
    throw error;
  }
}

function applyOwn(writer: Writer, each: Change): void {
  if (isCallers(each)) {
    const { apply } = kindOfCallers(each);
    if (apply !== null) return apply(writer, each);
  }
  throw new TypeError(`${each.kind} does not occur in a transaction`);
}
