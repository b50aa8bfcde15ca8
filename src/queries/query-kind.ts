/**
 * The description of one kind of query: its shape, and its answer from the maps where a transaction
 * answers it from its copy. `store/` has its SQL under the same name, and `memory/answers/` the
 * other answers, since clients must not carry them.
 */
import { object, literal, type ObjectOf, type Shape, type Members } from "../model/shape.ts";
import type { Status } from "../contract/index.ts";
import type { RowRef } from "../model/row-ref.ts";
import type { State } from "../model/state.ts";
import { type ListName, type LoadUnit, unitOfList, unitOfRow } from "./load-unit.ts";

/**
 * What the answer depends on, and so what a transaction guards.
 * - `row`: all of one row. `status`: only a run's status. `presence`: only whether an artifact
 *   exists.
 * - `list`: which rows of one kind a run has, and each of them; of stages, only those with
 *   `status`, if it is not null.
 * - `dedupeKey`: which live job has the key.
 */
export type Sees =
  | { readonly what: "row"; readonly row: RowRef }
  | { readonly what: "status"; readonly row: RowRef<"runs"> }
  | { readonly what: "presence"; readonly row: RowRef<"artifacts"> }
  | {
      readonly what: "list";
      readonly list: ListName;
      readonly workflowRunId: string;
      readonly status: Status | null;
    }
  | { readonly what: "dedupeKey"; readonly dedupeKey: string };

/** What a kind of query says of itself. */
export interface QueryTraits<Query, Result> {
  /** Default: nothing is guarded, as for lists across runs, which are read committed. */
  readonly sees?: (query: Query) => Sees;
  /**
   * The unit that a transaction loads to answer the query itself; null: the database answers it.
   * Default: the unit that `sees` names.
   */
  readonly loads?: (query: Query) => LoadUnit;
  /** The answer from the maps. Its rows are those of the State, and frozen. */
  readonly answer: (state: State, query: Query) => Result;
}

/** The description with its defaults filled in. */
export interface QueryKindOf<Query, Result> {
  readonly shape: Shape<Query>;
  readonly sees: (query: Query) => Sees | null;
  readonly loads: (query: Query) => LoadUnit | null;
  readonly answer: (state: State, query: Query) => Result;
}

/** The description of a query that only a store answers. */
export interface StoredKindOf<Query, Result> extends Omit<QueryKindOf<Query, Result>, "answer"> {
  /** Null. The type tells what a store answers. */
  readonly answer: QueryKindOf<Query, Result>["answer"] | null;
}

export const unguarded = () => null;

type Described<Name extends string, Fields extends Members> = ObjectOf<
  { readonly q: Shape<Name> } & Fields
>;

/**
 * Describes the query whose `q` is `name`, with these members beside it.
 * @example
 * // Inside `queries/`; its SQL stands under the same name in `store/`.
 * const run = queryKind(
 *   "run",
 *   { id: idField },
 *   {
 *     sees: ({ id }) => ({ what: "row", row: runRef(id) }),
 *     answer: (state, { id }) => state.runs.get(id, "") ?? null,
 *   },
 * );
 */
export function queryKind<const Name extends string, const Fields extends Members, Result>(
  name: Name,
  fields: Fields,
  traits: QueryTraits<Described<Name, Fields>, Result>,
): QueryKindOf<Described<Name, Fields>, Result> {
  const sees = traits.sees ?? unguarded;
  return {
    shape: object({ q: literal(name), ...fields }),
    sees,
    loads: traits.loads ?? ((query) => unitSeen(sees(query))),
    answer: traits.answer,
  };
}

/**
 * Describes a query that only a store answers: nothing that a transaction holds would do.
 * @example
 * const overdueJobs = storedQuery<number>()("overdueJobs", { before: instantField, limit: rowLimit });
 */
export function storedQuery<Result>() {
  return <const Name extends string, const Fields extends Members>(
    name: Name,
    fields: Fields,
  ): StoredKindOf<Described<Name, Fields>, Result> => ({
    shape: object({ q: literal(name), ...fields }),
    sees: unguarded,
    loads: unguarded,
    answer: null,
  });
}

/** The smallest unit with all that was seen. */
function unitSeen(seen: Sees | null): LoadUnit | null {
  if (seen === null) return null;
  switch (seen.what) {
    case "list":
      return unitOfList(seen.list, seen.workflowRunId);
    case "dedupeKey":
      return { of: "dedupeKey", dedupeKey: seen.dedupeKey };
    default:
      return unitOfRow(seen.row);
  }
}
