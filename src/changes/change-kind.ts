/**
 * What is known of one kind of change, told in one place. `store/` has its SQL under the same name, since callers must not
 * carry it; everything else follows from the description here.
 */
import { object, literal, type ObjectOf, type Shape, type Members } from "../model/shape.ts";
import type { HandlerDuty } from "../contract/index.ts";
import type { LongTextTable } from "../model/index.ts";
import type { RowRef } from "../model/row-ref.ts";
import type { Writer } from "../model/writer.ts";
import { type LoadUnit, unitOfRow } from "../queries/load-unit.ts";
import type { AnyOf } from "./scope.ts";

/**
 * How a commit whose answer was lost is recognised by what this change left behind.
 * - `row`: the row is there; nothing else inserts it. It tells for ever.
 * - `mark`: the commit's id is in the row's `commits`, until eight more commits have written the row.
 * - `row?`, `mark?`: the same, unless the change found nothing to write, or others have deleted the row.
 * - `record`: it leaves nothing, so the commit has to record itself.
 * - `none`: it leaves nothing, and applying it again does no harm.
 */
export type Trace = "row" | "mark" | "row?" | "mark?" | "record" | "none";

/**
 * What becomes of the change in a transaction's commit.
 * - `insert`: the row is written once, as the transaction leaves it.
 * - `merge`: all updates of the row become one.
 * - `each`: the change is sent as it is, unless it updates a row that the transaction inserts.
 * - `never`: the change does not reach a transaction.
 */
export type Recording = "insert" | "merge" | "each" | "never";

/** The key of a job. */
export interface JobKey {
  readonly workflowRunId: string;
  readonly ordinal: string;
}

/** Something that may be done now, or at an instant. */
export interface WakeUp {
  readonly kind: HandlerDuty;
  readonly jobId?: string;
  /** When there will be something to do, in milliseconds; null: now. */
  readonly at: number | null;
}

/** Text of any length that a change writes, by the names of its columns. */
export interface WrittenText {
  readonly table: LongTextTable;
  readonly values: Readonly<Record<string, unknown>>;
}

export interface ChangeTraits<Change> {
  /** The scopes of which a caller needs one. */
  readonly scope: AnyOf;
  /** The one row that the change writes, where it is known beforehand. */
  readonly row: (change: Change) => RowRef | null;
  readonly trace: Trace | ((change: Change) => Trace);
  readonly recorded: Recording;
  /** The part of the local copy that shows the effect; null: no transaction can read it back. Default: the part with the row. */
  readonly shownIn?: (change: Change) => LoadUnit | null;
  /** What a transaction has to load before the change, since it decides what the change does or says. Default: `shownIn`. */
  readonly needs?: (change: Change) => readonly LoadUnit[];
  /** Default: none. */
  readonly texts?: (change: Change) => readonly WrittenText[];
  /** The job whose state after the commit tells which wake-ups are sent. Default: none. */
  readonly settles?: (change: Change) => JobKey | null;
  /** Wake-ups that follow from the change alone. Default: none. */
  readonly wakes?: (change: Change) => readonly WakeUp[];
  /**
   * The change with the service's instant in place of its caller's, where something is decided by it: leases are taken, renewed and ended
   * by the service's clock. Default: the caller's instants are told, and nothing is decided by them.
   */
  readonly stamp?: (change: Change, now: number) => Change;
  /** The effect on the maps. */
  readonly apply: (writer: Writer, change: Change) => void;
  /** What follows on the maps when all changes of the commit have been applied: once for all kinds that have the same. Default: nothing. */
  readonly finish?: (writer: Writer, changes: readonly Change[]) => void;
}

/** A kind of change: its shape, and its traits with the defaults filled in. */
export interface ChangeKindOf<Change> extends Required<ChangeTraits<Change>> {
  readonly shape: Shape<Change>;
}

const nothing = () => [];
const nothingMore = () => undefined;
const noJob = () => null;

type Described<Name extends string, Fields extends Members> = ObjectOf<
  { readonly kind: Shape<Name> } & Fields
>;

/** Describes the change whose `kind` is `name`, with these further members. */
export function changeKind<const Name extends string, const Fields extends Members>(
  name: Name,
  fields: Fields,
  traits: ChangeTraits<Described<Name, Fields>>,
): ChangeKindOf<Described<Name, Fields>> {
  const shownIn = traits.shownIn ?? ((change) => unitOfRow(traits.row(change)));
  return {
    texts: nothing,
    settles: noJob,
    wakes: nothing,
    finish: nothingMore,
    stamp: (change) => change,
    ...traits,
    shape: object({ kind: literal(name), ...fields }),
    shownIn,
    needs:
      traits.needs ??
      ((change) => {
        const unit = shownIn(change);
        return unit === null ? [] : [unit];
      }),
  };
}
