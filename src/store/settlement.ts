/**
 * What became of a commit whose answer was lost.
 *
 * Every commit leaves a trace: its id in a row that it wrote. `settle` looks for the trace and
 * writes the finding to the table `commits`, in one batch. Every attempt checks that table first,
 * so from then on the finding is final: an attempt that is still under way can no longer land.
 * Nothing of this costs a row until an answer is lost. A commit that only deletes leaves no row
 * behind; it records itself in the table (one row).
 */
import {
  type Change,
  type Commit,
  kindOfChange,
  servedKind,
  type Settlement,
  type Trace,
} from "../changes/index.ts";
import { COMMIT_ID_CHARS, COMMITS_REMEMBERED, commitIdAt } from "../model/index.ts";
import { instantOfCommit } from "./deleted.ts";
import { changeSqlOf } from "./kinds.ts";
import { fromRow, groupsToBind, type Statement, statement } from "./sql.ts";

/** A row that tells whether a commit wrote it. */
type Place =
  /** A row that the commit inserted. It tells for ever. */
  | { readonly kind: "row"; readonly exists: Statement }
  /** A row's `commits`, which forgets the commit after COMMITS_REMEMBERED more. */
  | { readonly kind: "mark"; readonly commits: Statement };

/** What this change leaves behind. */
function traceOf(change: Change): Trace {
  const { trace } = servedKind(change);
  return typeof trace === "function" ? trace(change) : trace;
}

/**
 * The places to look at. One is enough if the commit is sure to have left its id there. If it may
 * have left none, it is looked for everywhere; if it has left none at all, it wrote nothing, and to
 * apply it again does no harm.
 */
function placesOf(commit: Pick<Commit, "id" | "changes">): Place[] {
  const sure: Place[] = [];
  const possible: Place[] = [];
  for (const change of commit.changes) {
    const trace = traceOf(change);
    if (trace === "record" || trace === "none") continue;
    const kind = trace === "row" || trace === "row?" ? "row" : "mark";
    const place = placeOf(change, commit.id, kind);
    if (trace === kind) sure.push(place);
    else possible.push(place);
  }
  const best = sure.find(({ kind }) => kind === "row") ?? sure[0];
  if (best !== undefined) return [best];
  return recordsItself(commit) ? [] : possible;
}

/** Whether the commit leaves no sure trace and must not be applied twice. */
export function recordsItself({ changes }: Pick<Commit, "changes">): boolean {
  const traces = new Set(changes.map(traceOf));
  return traces.has("record") && !traces.has("row") && !traces.has("mark");
}

/** Where the change left its trace: in its own row, or where the SQL of its kind says. */
function placeOf(change: Change, commitId: string, kind: Place["kind"]): Place {
  const elsewhere = changeSqlOf(change).trace?.(change, commitId);
  const found = elsewhere ?? inRow(change, kind === "row" ? "1" : `"commits"`);
  return kind === "row" ? { kind, exists: found } : { kind, commits: found };
}

function inRow(change: Change, selected: string): Statement {
  const row = kindOfChange(change).row(change);
  if (row === null) throw new TypeError(`${change.kind} has no row and no trace in its SQL`);
  return fromRow(`SELECT ${selected}`, row);
}

const FENCED = "wfe:fenced";

/** Makes the batch fail if the commit was settled before. Reads and writes nothing otherwise. */
export function fence(commitId: string): Statement {
  return statement(
    `SELECT json_extract('{}', '${FENCED}:' || "id") FROM "commits" WHERE "id" = ?`,
    commitId,
  );
}

/** Whether a batch failed at its fence. */
export function isFenced(message: string): boolean {
  return message.includes(FENCED);
}

/** The commit's own record. The sweep deletes it a day later (`purgeExpired`). */
export function record(commitId: string): Statement {
  return statement(
    `INSERT OR IGNORE INTO "commits" ("id", "outcome") VALUES (?, 'applied')`,
    commitId,
  );
}

/**
 * By this much the clocks of two connections may differ, where an entry of a row's memory is
 * compared with a commit's id.
 */
const CLOCK_SKEW_MS = 30_000;

/**
 * Looks at all places, makes the finding final, and answers it as `outcome`, by the last statement.
 */
export function settleStatements(commit: Pick<Commit, "id" | "changes">): Statement[] {
  const { id } = commit;
  const findings = placesOf(commit).map((place) => findingAt(place, id));
  // The commit's id is one parameter more.
  const parts = groupsToBind(findings, 1);
  // One place that knows the commit outweighs any number that may have forgotten it.
  return [
    ...parts.map((part) => conclude(id, "applied", part)),
    ...parts.map((part) => conclude(id, "unknown", part)),
    conclude(id, "fenced", [statement(`SELECT 'fenced'`)]),
    statement(`SELECT "outcome" FROM "commits" WHERE "id" = ?`, id),
  ];
}

/** Writes the outcome if it is among the findings and nothing was concluded before. */
function conclude(id: string, outcome: Settlement, findings: readonly Statement[]): Statement {
  const found = findings.map(({ sql }) => `(${sql})`).join(", ");
  return {
    sql: `INSERT INTO "commits" ("id", "outcome") SELECT ?, '${outcome}' WHERE '${outcome}' IN (${found}) ON CONFLICT ("id") DO NOTHING`,
    params: [id, ...findings.flatMap(({ params }) => params)],
  };
}

/** 'applied', 'unknown', or NULL when the place does not know the commit. */
function findingAt(place: Place, id: string): Statement {
  if (place.kind === "row") {
    return {
      sql: `SELECT 'applied' WHERE EXISTS (${place.exists.sql})`,
      params: place.exists.params,
    };
  }
  // The memory is full and its oldest entry may be younger than this commit: the id may have been
  // pushed out.
  const full = COMMIT_ID_CHARS * COMMITS_REMEMBERED;
  const oldest = `substr("commits", ${full - COMMIT_ID_CHARS + 1})`;
  return {
    sql:
      `SELECT CASE WHEN instr("commits", ?) > 0 THEN 'applied' ` +
      `WHEN length("commits") >= ${full} AND ${oldest} >= ? THEN 'unknown' END FROM (${place.commits.sql})`,
    params: [id, commitIdAt(instantOfCommit(id) - CLOCK_SKEW_MS), ...place.commits.params],
  };
}
