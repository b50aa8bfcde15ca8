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
import { CALLER_KINDS } from "./callers.ts";
import type { StoredKindOf } from "./change-kind.ts";
import { jobMoveChanges } from "./job-moves.ts";
import { signalChanges } from "./signals.ts";
import { steeringChanges } from "./steering.ts";
import { upkeepChanges } from "./upkeep.ts";

/** Every kind of change under its name. */
export const CHANGE_KINDS = {
  ...CALLER_KINDS,
  ...signalChanges,
  ...steeringChanges,
  ...jobMoveChanges,
  ...upkeepChanges,
};
type Kinds = typeof CHANGE_KINDS;

export type ChangeKind = keyof Kinds;
/** The change of that kind, with its members. */
export type ChangeOf<K extends ChangeKind> = TypeOf<Kinds[K]["shape"]>;
export type Change = { [K in ChangeKind]: ChangeOf<K> }[ChangeKind];

/** The changes that do not tell their effect on the maps themselves. */
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
