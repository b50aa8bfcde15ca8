/** What the service alone asks of a kind of change: callers do not carry it. */
import type { Members } from "../model/shape.ts";
import {
  type Described,
  type JobKey,
  storedChange,
  type StoredKindOf,
  type StoredTraits,
} from "./change-kind.ts";
import { type AnyOf, WORK } from "./scope.ts";

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

export interface ServedTraits<Change> {
  /** A caller needs one of these scopes. */
  readonly scope: AnyOf;
  readonly trace: Trace | ((change: Change) => Trace);
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
}

/** The same with the defaults filled in. */
export type ServedKindOf<Change> = Required<ServedTraits<Change>>;

/**
 * Describes a change that only the service makes, so that all of it stands in one place. Its effect
 * on the maps stands under the same name in `memory/effects/`.
 */
export function serviceChange<const Name extends string, const Fields extends Members>(
  name: Name,
  fields: Fields,
  traits: StoredTraits<Described<Name, Fields>> & ServedTraits<Described<Name, Fields>>,
): StoredKindOf<Described<Name, Fields>> & ServedTraits<Described<Name, Fields>> {
  return { ...traits, ...storedChange(name, fields, traits) };
}

export function atOf<Change extends { readonly at: number }>(change: Change, now: number): Change {
  return { ...change, at: now };
}

/** What the changes of one delivered job share. */
export const settling = {
  scope: WORK,
  trace: "mark?",
  settles: ({ workflowRunId, ordinal }: JobKey) => ({ workflowRunId, ordinal }),
  stamp: atOf,
} as const;
