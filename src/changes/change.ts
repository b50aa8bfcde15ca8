/**
 * A change is one write as data. Each kind is described in the file of the rows that it writes,
 * with its members and all that follows from them; `store/` has its SQL, and the differential test
 * compares the two.
 *
 * Two rules hold for every change. If the row has a column `commits`, the change puts its commit's
 * id in front there. And a change never fails because of what it finds: a condition that must hold
 * is a guard. The only exception is a row that grows beyond ROW_BYTES_MAX, which refuses the whole
 * commit.
 */
import { variants, shapesOf, type TypeOf, type Shape } from "../model/shape.ts";
import type { State } from "../model/state.ts";
import { Writer } from "../model/writer.ts";
import type { StoredKindOf } from "./change-kind.ts";
import { idempotencyKeyChanges } from "./idempotency-keys.ts";
import { jobMoveChanges } from "./job-moves.ts";
import { jobChanges } from "./jobs.ts";
import { outboxChanges } from "./outbox.ts";
import { recordChanges } from "./records.ts";
import { runChanges } from "./runs.ts";
import { signalChanges } from "./signals.ts";
import { stageChanges } from "./stages.ts";

/** Every kind of change under its name. */
export const CHANGE_KINDS = {
  ...runChanges,
  ...stageChanges,
  ...signalChanges,
  ...recordChanges,
  ...outboxChanges,
  ...idempotencyKeyChanges,
  ...jobChanges,
  ...jobMoveChanges,
};
type Kinds = typeof CHANGE_KINDS;

export type ChangeKind = keyof Kinds;
/** The change of that kind, with its members. */
export type ChangeOf<K extends ChangeKind> = TypeOf<Kinds[K]["shape"]>;
export type Change = { [K in ChangeKind]: ChangeOf<K> }[ChangeKind];

/** The changes that only a store makes, and no transaction. */
export type StoredChangeKind = {
  [K in ChangeKind]: null extends Kinds[K]["apply"] ? K : never;
}[ChangeKind];

type AnyKind = StoredKindOf<Change>;

/** The description of the change's kind. */
export function kindOfChange({ kind }: Pick<Change, "kind">): AnyKind {
  // The kind under the name `kind` takes the changes of that kind, and this is one.
  return CHANGE_KINDS[kind] as unknown as AnyKind;
}

/** Any change, checked whole. */
export const change: Shape<Change> = variants("kind", shapesOf(CHANGE_KINDS));

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
    const finishing = Map.groupBy(changes, (each) => kindOfChange(each).finish);
    for (const [finish, finished] of finishing) finish(writer, finished);
  } catch (error) {
    writer.rollBack();
    throw error;
  }
}

function applyOwn(writer: Writer, each: Change): void {
  const { apply } = kindOfChange(each);
  if (apply === null) throw new TypeError(`${each.kind} does not occur in a transaction`);
  apply(writer, each);
}
