/**
 * The description of one kind of change. Its SQL is in `store/` under the same name, and what the
 * service alone asks of it in `served.ts`, since clients must not bundle them.
 * docs/adr/0020-one-descriptor-per-change.md says why.
 */
import { object, literal, type ObjectOf, type Shape, type Members } from "../model/shape.ts";
import type { LongTextTable } from "../model/index.ts";
import type { RowRef } from "../model/row-ref.ts";
import type { Writer } from "../model/writer.ts";
import { type LoadUnit, unitOfRow } from "../queries/load-unit.ts";

/**
 * What the commit of a transaction makes of the change.
 * - `insert`: the row is written once, as the transaction leaves it.
 * - `merge`: all updates of the row become one.
 * - `each`: the change is sent as it is, unless it updates a row that the transaction inserts.
 * - `never`: the change does not occur in a transaction.
 */
export type Recording = "insert" | "merge" | "each" | "never";

/** The key of a job. */
export interface JobKey {
  readonly workflowRunId: string;
  readonly ordinal: string;
}

/**
 * Text of any length that a change writes, under the names of its columns. The limits of size are
 * checked on it.
 */
export interface WrittenText {
  readonly table: LongTextTable;
  readonly values: Readonly<Record<string, unknown>>;
}

/** What a kind of change says of itself. */
export interface ChangeTraits<Change> {
  /** The one row that the change writes, where that is known beforehand. */
  readonly row: (change: Change) => RowRef | null;
  readonly recorded: Recording;
  /**
   * The part of a transaction's local copy that shows the effect; null: no transaction can read it
   * back. Default: the part with the row.
   */
  readonly shownIn?: (change: Change) => LoadUnit | null;
  /**
   * What a transaction loads before the change, because it decides what the change does or answers.
   * Where the transaction `assumes`, not what nearly always allows it. Default: nothing.
   */
  readonly needs?: (change: Change, assumes: boolean) => readonly LoadUnit[];
  /** Default: none. */
  readonly texts?: (change: Change) => readonly WrittenText[];
  /** The effect on the maps. Never refuses: what must hold is a guard. */
  readonly apply: (writer: Writer, change: Change) => void;
  /**
   * What it does on the maps after all changes of the commit have been applied. Kinds with the same
   * function share one call. Default: nothing.
   */
  readonly finish?: (writer: Writer, changes: readonly Change[]) => void;
}

/** The description with its defaults filled in. */
export interface ChangeKindOf<Change> extends Required<ChangeTraits<Change>> {
  readonly shape: Shape<Change>;
}

/** What a kind of change says of itself whose effect on the maps stands elsewhere. */
export type StoredTraits<Change> = Omit<ChangeTraits<Change>, "recorded" | "apply" | "finish"> & {
  /** Default: `never`. */
  readonly recorded?: Recording;
};

/** The description of a change whose effect on the maps stands elsewhere. */
export interface StoredKindOf<Change> extends Omit<ChangeKindOf<Change>, "apply"> {
  /** Null: the effect on the maps is in `memory/effects/`, since not every client carries it. */
  readonly apply: ChangeKindOf<Change>["apply"] | null;
}

const nothing = () => [];
const nothingMore = () => undefined;

export type Described<Name extends string, Fields extends Members> = ObjectOf<
  { readonly kind: Shape<Name> } & Fields
>;

/**
 * Describes the change whose `kind` is `name`, with these members beside it.
 * @example
 * // Inside `changes/`; its SQL stands under the same name in `store/`.
 * const deleteNote = changeKind(
 *   "deleteNote",
 *   { workflowRunId: idField, key: keyField },
 *   {
 *     row: (change) => noteRef(change),
 *     recorded: "each",
 *     apply(writer, { workflowRunId, key }) {
 *       const note = writer.state.notes.get(workflowRunId, key);
 *       if (note !== undefined) writer.remove("notes", note);
 *     },
 *   },
 * );
 */
export function changeKind<const Name extends string, const Fields extends Members>(
  name: Name,
  fields: Fields,
  traits: ChangeTraits<Described<Name, Fields>>,
): ChangeKindOf<Described<Name, Fields>> {
  return { ...withDefaults(name, fields, traits), ...traits };
}

/**
 * Describes a change that no transaction makes, or a change of a job, which a transaction makes only
 * where jobs can join it. Its effect on the maps stands under the same name in `memory/effects/`.
 */
export function storedChange<const Name extends string, const Fields extends Members>(
  name: Name,
  fields: Fields,
  traits: StoredTraits<Described<Name, Fields>>,
): StoredKindOf<Described<Name, Fields>> {
  return { ...withDefaults(name, fields, traits), recorded: "never", ...traits, apply: null };
}

function withDefaults<const Name extends string, const Fields extends Members>(
  name: Name,
  fields: Fields,
  { row }: StoredTraits<Described<Name, Fields>>,
) {
  return {
    shape: object({ kind: literal(name), ...fields }),
    shownIn: (change: Described<Name, Fields>) => unitOfRow(row(change)),
    needs: nothing,
    texts: nothing,
    finish: nothingMore,
  };
}
