/**
 * What became of a commit whose answer was lost.
 *
 * Every commit leaves a trace: its id in a row that it wrote. `settle` looks for the trace and writes the finding
 * to the table `commits`, in one batch. Every attempt checks that table first, so from then on the finding is
 * final: an attempt that is still under way can no longer land. It costs nothing until an answer is lost.
 * A commit that only deletes leaves no row behind, and so records itself there (one row).
 */
import {
  type Change,
  type Commit,
  COMMIT_ID_CHARS,
  COMMITS_REMEMBERED,
  commitIdAt,
  type Settlement,
} from "../changes/index.ts";
import { instantOf } from "./deleted.ts";
import { type Param, type Statement, statement, tokenSql } from "./sql.ts";

/** A place that tells whether a commit wrote it. */
type Place =
  /** An inserted row. */
  | { readonly kind: "row"; readonly exists: Statement }
  /** A row's `commits`, which forgets after COMMITS_REMEMBERED more. */
  | { readonly kind: "ring"; readonly commits: Statement };

/**
 * Where a change's commit can be found afterwards.
 * - `surely`: there, if the commit was applied.
 * - `perhaps`: there, unless the change found nothing to write, or others have deleted the row.
 * - `record`: nowhere; the commit has to record itself.
 * - `none`: nowhere, and applying it again does no harm.
 */
type Trace =
  | { readonly kind: "surely" | "perhaps"; readonly place: Place }
  | { readonly kind: "record" | "none" };

/**
 * The places to look at. One is enough where the commit surely left its id. If it may have left none, it
 * is looked for everywhere; if it left none, then it wrote nothing, and applying it again does no harm.
 */
function placesOf(commit: Pick<Commit, "id" | "changes">): Place[] {
  const sure: Place[] = [];
  const possible: Place[] = [];
  for (const change of commit.changes) {
    const trace = traceOfChange(change, commit.id);
    if (trace.kind === "surely") sure.push(trace.place);
    if (trace.kind === "perhaps") possible.push(trace.place);
  }
  // A row tells for ever, a ring for a while.
  const best = sure.find(({ kind }) => kind === "row") ?? sure[0];
  if (best !== undefined) return [best];
  return recordsItself(commit) ? [] : possible;
}

/** Whether the commit leaves no sure trace, and must not be applied twice. */
export function recordsItself(commit: Pick<Commit, "id" | "changes">): boolean {
  const kinds = new Set(commit.changes.map((change) => traceOfChange(change, commit.id).kind));
  return kinds.has("record") && !kinds.has("surely");
}

function traceOfChange(change: Change, commitId: string): Trace {
  switch (change.kind) {
    case "createRun":
      return surely(ring("runs", ["id"], [change.row.id]));
    case "updateRun":
      return surely(ring("runs", ["id"], [change.id]));
    case "createStage":
    case "upsertStage":
      return surely(stageRing(change.row.workflowRunId, change.row.stageId));
    case "updateStage":
      return surely(stageRing(change.workflowRunId, change.stageId));
    case "saveArtifact": {
      const { workflowRunId, key } = change.row;
      return surely(ring("artifacts", ["workflow_run_id", "key"], [workflowRunId, key]));
    }
    case "createLog":
      // A log goes with its stage.
      return change.row.workflowStageId === null
        ? surely(row("logs", change.row))
        : perhaps(row("logs", change.row));
    case "appendAnnotation":
      return change.row.idempotencyKey === null
        ? surely(row("annotations", change.row))
        : perhaps(row("annotations", change.row));
    case "appendOutboxEvent":
      return surely({
        kind: "ring",
        commits: statement(
          `SELECT "commits" FROM "outbox_events" WHERE "workflow_run_id" = ? ORDER BY "sequence" DESC LIMIT 1`,
          change.row.workflowRunId,
        ),
      });
    case "countOutboxRetry":
    case "replayOutboxEvent":
      return surely(eventRing(change));
    case "deadLetterOutboxEvent":
      return perhaps(eventRing(change));
    case "publishOutboxEvent":
      return { kind: "none" };
    case "acquireIdempotencyKey":
      return perhaps(keyRing(change));
    case "completeIdempotencyKey":
      return surely(keyRing(change));
    case "deleteStage":
    case "deleteArtifact":
    case "releaseIdempotencyKey":
      return { kind: "record" };
    case "enqueueJob":
      return change.row.dedupeKey === null
        ? surely(row("jobs", change.row))
        : perhaps(row("jobs", change.row));
    case "resumeJobs":
    case "putBackFailure":
    case "attendStage":
    case "purgeExpired":
      return { kind: "none" };
    case "claimJobs":
      return perhaps({
        kind: "row",
        exists: statement(
          `SELECT 1 FROM "jobs" INDEXED BY "jobs_leased_idx" WHERE "status" = 'RUNNING' AND "locked_at" >= ? AND ${tokenSql(`"commits"`)} = ?`,
          change.at,
          commitId,
        ),
      });
    case "completeJob":
    case "suspendJob":
    case "failJob":
    case "returnJob":
    case "touchJob":
    case "releaseJob": {
      const { workflowRunId, ordinal } = change;
      return perhaps(ring("jobs", ["workflow_run_id", "ordinal"], [workflowRunId, ordinal]));
    }
    case "cancelJobs":
      return perhaps({
        kind: "row",
        exists: statement(
          `SELECT 1 FROM "jobs" WHERE "workflow_run_id" = ? AND "status" = 'CANCELLED' AND ${tokenSql(`"commits"`)} = ?`,
          change.workflowRunId,
          commitId,
        ),
      });
    case "recordAiCall":
      // Its row may be an earlier call's, and tells nothing about the others of this commit.
      return { kind: "none" };
  }
}

function surely(place: Place): Trace {
  return { kind: "surely", place };
}

function perhaps(place: Place): Trace {
  return { kind: "perhaps", place };
}

function row(
  table: string,
  { workflowRunId, ordinal }: { readonly workflowRunId: string; readonly ordinal: string },
): Place {
  return {
    kind: "row",
    exists: statement(
      `SELECT 1 FROM "${table}" WHERE "workflow_run_id" = ? AND "ordinal" = ?`,
      workflowRunId,
      ordinal,
    ),
  };
}

function stageRing(workflowRunId: string, stageId: string): Place {
  return ring("stages", ["workflow_run_id", "stage_id"], [workflowRunId, stageId]);
}

function eventRing({ workflowRunId, sequence }: { workflowRunId: string; sequence: number }) {
  return ring("outbox_events", ["workflow_run_id", "sequence"], [workflowRunId, sequence]);
}

function keyRing({ key, commandType }: { key: string; commandType: string }) {
  return ring("idempotency_keys", ["key", "command_type"], [key, commandType]);
}

function ring(table: string, key: readonly string[], values: readonly Param[]): Place {
  return {
    kind: "ring",
    commits: statement(
      `SELECT "commits" FROM "${table}" WHERE ${key.map((name) => `"${name}" = ?`).join(" AND ")}`,
      ...values,
    ),
  };
}

const FENCED = "wfe:fenced";

/** Makes the batch fail if the commit has been settled already. */
export function fence(commitId: string): Statement {
  return statement(
    `SELECT json_extract('{}', '${FENCED}:' || "id") FROM "commits" WHERE "id" = ?`,
    commitId,
  );
}

export function isFenced(message: string): boolean {
  return message.includes(FENCED);
}

/** Self-records are kept for a day; each new one takes up to two old ones with it. */
const KEEP_RECORDS_MS = 86_400_000;

export function record(commitId: string): Statement[] {
  return [
    statement(`INSERT OR IGNORE INTO "commits" ("id", "outcome") VALUES (?, 'applied')`, commitId),
    statement(
      `DELETE FROM "commits" WHERE "id" IN (SELECT "id" FROM "commits" WHERE "id" < ? ORDER BY "id" LIMIT 2)`,
      commitIdAt(instantOf(commitId) - KEEP_RECORDS_MS),
    ),
  ];
}

/** Clocks of connections may differ by so much when a ring's oldest entry is compared with a commit's id. */
const CLOCK_SKEW_MS = 30_000;

/** Places looked at by one statement: D1 binds 100 parameters, and each place takes up to four. */
const PLACES_MAX = 24;

/** Finds out, makes the finding final, and answers it as `outcome`, by the last statement. */
export function settleStatements(commit: Pick<Commit, "id" | "changes">): Statement[] {
  const { id } = commit;
  const findings = placesOf(commit).map((place) => findingAt(place, id));
  const parts: (readonly Statement[])[] = [];
  for (let start = 0; start < findings.length; start += PLACES_MAX) {
    parts.push(findings.slice(start, start + PLACES_MAX));
  }
  // One place that knows the commit outweighs any number that may have forgotten it.
  return [
    ...parts.map((part) => conclude(id, "applied", part)),
    ...parts.map((part) => conclude(id, "unknown", part)),
    conclude(id, "fenced", [statement(`SELECT 'fenced'`)]),
    statement(`SELECT "outcome" FROM "commits" WHERE "id" = ?`, id),
  ];
}

/** Writes the outcome, if it is among the findings and nothing has been concluded yet. */
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
  // Full, and its oldest entry may be younger than this commit: the id may have been pushed out.
  const full = COMMIT_ID_CHARS * COMMITS_REMEMBERED;
  const oldest = `substr("commits", ${full - COMMIT_ID_CHARS + 1})`;
  return {
    sql:
      `SELECT CASE WHEN instr("commits", ?) > 0 THEN 'applied' ` +
      `WHEN length("commits") >= ${full} AND ${oldest} >= ? THEN 'unknown' END FROM (${place.commits.sql})`,
    params: [id, commitIdAt(instantOf(id) - CLOCK_SKEW_MS), ...place.commits.params],
  };
}
