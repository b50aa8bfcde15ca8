/** The effect of changes on the maps: a transaction's copy, or the in-memory store. Pure. */
import type { State } from "../model/state.ts";
import { Writer } from "../model/writer.ts";
import { isCallers, kindOfCallers } from "./callers.ts";
import type { Change, ChangeOf, StoredChangeKind } from "./change.ts";

/** Effects on the maps that the kinds of their changes do not tell themselves. */
export type Effects = {
  readonly [K in StoredChangeKind]?: (writer: Writer, change: ChangeOf<K>) => void;
};

/**
 * Applies the changes to the maps in their order, all of them or none: when it throws, the State is
 * as before.
 * @throws PAYLOAD_TOO_LARGE when a row would grow beyond ROW_BYTES_MAX; INTERNAL when a change
 * creates a run, a stage or a job that exists, which a guard should have ruled out, or archives a
 * stage under a record id that an archived one has.
 * @param effects those of the changes that do not tell theirs.
 */
export function applyChanges(
  state: State,
  changes: readonly Change[],
  commitId: string,
  effects: Effects,
): void {
  const writer = new Writer(state, commitId);
  try {
    for (const each of changes) applyOne(writer, each, effects);
    // No other changes have anything to finish.
    const own = changes.filter(isCallers);
    const finishing = Map.groupBy(own, (each) => kindOfCallers(each).finish);
    for (const [finish, finished] of finishing) finish(writer, finished);
  } catch (error) {
    writer.rollBack();
    throw error;
  }
}

function applyOne(writer: Writer, change: Change, effects: Effects): void {
  if (isCallers(change)) {
    const { apply } = kindOfCallers(change);
    if (apply !== null) return apply(writer, change);
  }
  // The effect under the name `kind` takes the changes of that kind, and this is one.
  const effect = effects[change.kind as StoredChangeKind] as unknown as
    | ((writer: Writer, change: Change) => void)
    | undefined;
  if (effect === undefined) throw new TypeError(`${change.kind} does not occur in a transaction`);
  effect(writer, change);
}
