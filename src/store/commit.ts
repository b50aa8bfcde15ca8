/** The one write path: a commit as one batch. */
import { type Change, type Commit, kindOfChange } from "../changes/index.ts";
import { rowName } from "../model/row-ref.ts";
import { guardStatements } from "./guards.ts";
import { changeSqlOf, queryStatements } from "./kinds.ts";
import { fence, record, recordsItself } from "./settlement.ts";
import { groupsToBind, type Statement } from "./sql.ts";
import { selectWatched } from "./watched-runs.ts";

/** The statements of a commit. The answers to its reads are those from statement `readsFrom` on. */
export interface CommitBatch {
  readonly statements: readonly Statement[];
  readonly readsFrom: number;
}

/**
 * The batch of one attempt, in this order: the conditions, which refuse it if the commit has been
 * settled or a guard does not hold; the changes, each kind's neighbours in one statement; what
 * ends the changes of a kind; the commit record, where no row tells of the commit; the reads.
 *
 * The first statement also tells which of the runs `among` are watched ({@link watchedIn}).
 */
export function commitBatch(
  commit: Commit,
  answerBytesMax?: number,
  among: readonly string[] = [],
): CommitBatch {
  const conditions = [fence(commit.id), ...guardStatements(commit.guards)];
  const writes = [
    ...checkedTogether(among.length === 0 ? conditions : [selectWatched(among), ...conditions]),
    ...changeStatements(commit.changes, commit.id),
    ...finishStatements(commit.changes),
    ...(recordsItself(commit) ? [record(commit.id)] : []),
  ];
  return {
    statements: [...writes, ...queryStatements(commit.reads, answerBytesMax)],
    readsFrom: writes.length,
  };
}

/**
 * Conditions as one statement, or several. Each is a scalar subquery. SQLite evaluates them in their
 * order, and the first that fails refuses the batch.
 */
function checkedTogether(conditions: readonly Statement[]): Statement[] {
  return groupsToBind(conditions).map((together) => ({
    // Without names of their own, D1 would send the columns back under their whole texts.
    sql: `SELECT ${together.map(({ sql }, place) => `(${sql}) AS "c${place}"`).join(", ")}`,
    params: together.flatMap(({ params }) => params),
  }));
}

/** Those of the runs `among` that the first statement of the batch has found to be watched. */
export function watchedIn(
  rows: readonly Readonly<Record<string, unknown>>[],
  among: readonly string[],
): string[] {
  const told = rows[0]?.["c0"];
  const watched: unknown = typeof told === "string" ? JSON.parse(told) : [];
  return Array.isArray(watched) ? among.filter((run) => watched.includes(run)) : [];
}

function changeStatements(changes: readonly Change[], commitId: string): Statement[] {
  return neighbours(changes).flatMap((same) => changeSqlOf(same[0]).write(same, commitId));
}

function finishStatements(changes: readonly Change[]): Statement[] {
  const finishing = Map.groupBy(changes, (change) => changeSqlOf(change).finish);
  return [...finishing].flatMap(([finish, finished]) => finish?.(finished) ?? []);
}

type Neighbours = [Change, ...Change[]];

/** Groups of changes of one kind that follow one another: each group shares a statement. */
function neighbours(changes: readonly Change[]): Neighbours[] {
  const groups: Neighbours[] = [];
  let rows = new Set<string>();
  for (const change of changes) {
    const group = groups.at(-1);
    const row = kindOfChange(change).row(change);
    const name = row === null ? null : rowName(row);
    // A statement does not see its own effect, so a row that is written twice needs a second one.
    const repeats = name !== null && rows.has(name);
    if (group?.[0].kind === change.kind && !repeats) group.push(change);
    else {
      groups.push([change]);
      rows = new Set();
    }
    if (name !== null) rows.add(name);
  }
  return groups;
}
