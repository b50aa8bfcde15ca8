/**
 * The description of one kind of change. Everything but its SQL follows from it; the SQL is in
 * `store/` under the same name, since clients must not bundle it.
 * docs/adr/0020-one-descriptor-per-change.md says why.
 */
import { object, literal, type ObjectOf, type Shape, type Members } from "../model/shape.ts";
import type { LongTextTable } from "../model/index.ts";
import type { RowRef } from "../model/row-ref.ts";
import type { Writer } from "../model/writer.ts";
import { type LoadUnit, unitOfRow } from "../queries/load-unit.ts";
import type { AnyOf } from "./scope.ts";

/**
 * What a change leaves behind, by which a commit whose answer was lost is recognised as applied.
 * - `row`: the row is there, and nothing else inserts it. It tells for ever.
 * - `mark`: the commit's id is in the row's `commits`, until eight more commits have written the
 *   row.
 * - `row?`, `mark?`: the same, unless the change found nothing to write, or others have deleted the
 *   row.
 * - `record`: nothing is left, so the commit has to record itself.
 * - `none`: nothing is left, and applying the change again does no harm.
 */
export type Trace = "row" | "mark" | "row?" | "mark?" | "record" | "none";

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

/** `freed`: the job has left this concurrency key, for which others may wait. */
export interface SettledJob extends JobKey {
  readonly freed?: string | undefined;
}

/**
 * The kinds of work: jobs to work, PENDING runs to claim, failures to hand over, events to publish.
 */
export const WAKE_UP_KINDS = ["jobs", "runs", "failures", "outbox"] as const;
export type WakeUpKind = (typeof WAKE_UP_KINDS)[number];

/** Work that can be done now, or from an instant on. */
export interface WakeUp {
  readonly kind: WakeUpKind;
  readonly jobId?: string;
  /** The instant from which there will be something to do, in milliseconds; null: now. */
  readonly at: number | null;
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
  /** A caller needs one of these scopes. */
  readonly scope: AnyOf;
  /** The one row that the change writes, where that is known beforehand. */
  readonly row: (change: Change) => RowRef | null;
  readonly trace: Trace | ((change: Change) => Trace);
  readonly recorded: Recording;
  /**
   * The part of a transaction's local copy that shows the effect; null: no transaction can read it
   * back. Default: the part with the row.
   */
  readonly shownIn?: (change: Change) => LoadUnit | null;
  /**
   * What a transaction loads before the change, because it decides what the change does or answers.
   * Default: nothing.
   */
  readonly needs?: (change: Change) => readonly LoadUnit[];
  /** Default: none. */
  readonly texts?: (change: Change) => readonly WrittenText[];
  /** The job whose state after the commit tells which wake-ups are to be sent. Default: none. */
  readonly settles?: (change: Change) => SettledJob | null;
  /** Wake-ups that follow from the change itself. Default: none. */
  readonly wakes?: (change: Change) => readonly WakeUp[];
  /**
   * The change with the service's instant in the place of its caller's. Needed where the instant
   * decides something: leases are taken, renewed and ended by the service's clock. Default: the
   * caller's instant stays, since it is only stored and shown.
   */
  readonly stamp?: (change: Change, now: number) => Change;
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
type StoredTraits<Change> = Omit<ChangeTraits<Change>, "recorded" | "apply" | "finish"> & {
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
const noJob = () => null;

type Described<Name extends string, Fields extends Members> = ObjectOf<
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
 *     scope: WRITE,
 *     row: (change) => noteRef(change),
 *     trace: "record",
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
    settles: noJob,
    wakes: nothing,
    finish: nothingMore,
    stamp: (change: Described<Name, Fields>) => change,
  };
}
