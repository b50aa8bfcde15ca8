/**
 * What the changes do to the maps that a transaction never makes. Each stands in the file of what it
 * writes, under the name of its kind in `changes/`, which says what it does.
 */
import type { ChangeOf, StoredChangeKind } from "../../changes/index.ts";
import type { Writer } from "../../model/writer.ts";

/** The effects on the maps of the changes that only a store makes. */
export type StoredEffects = {
  readonly [K in StoredChangeKind]: (writer: Writer, change: ChangeOf<K>) => void;
};
