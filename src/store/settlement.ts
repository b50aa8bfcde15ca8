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
} from "../changes/index.ts";
import { instantOf } from "./deleted.ts";
import { type Param, type Statement, statement, tokenSql } from "./sql.ts";

/**
 * Where a commit's id can be found afterwards.
 * - `row`: an inserted row that nobody deletes.
 * - `ring`: a row's `commits`, which forgets after COMMITS_REMEMBERED more.
 * - `record`: nowhere; the commit has to record itself.
 * - `none`: applying it again does no harm.
 */
type Trace =
  | { readonly kind: "row"; readonly exists: Statement }
  | { readonly kind: "ring"; readonly commits: Statement }
  | { readonly kind: "record" }
  | { readonly kind: "none" };

const PREFERENCE: readonly Trace["kind"][] = ["row", "ring", "record", "none"];

export function traceOf(commit: Pick<Commit, "id" | "changes">): Trace {
  let best: Trace = { kind: "none" };
  for (const change of commit.changes) {
    const trace = traceOfChange(change, commit.id);
    if (PREFERENCE.indexOf(trace.kind) < PREFERENCE.indexOf(best.kind)) best = trace;
  }
  return best;
}

function traceOfChange(change: Change, commitId: string): Trace {
  switch (change.kind) {
    case "createRun":
      return ring("runs", ["id"], [change.row.id]);
    case "updateRun":
      return ring("runs", ["id"], [change.id]);
    case "createStage":
    case "upsertStage":
      return stageRing(change.row.workflowRunId, change.row.stageId);
    case "updateStage":
      return stageRing(change.workflowRunId, change.stageId);
    case "saveArtifact":
      return ring(
        "artifacts",
        ["workflow_run_id", "key"],
        [change.row.workflowRunId, change.row.key],
      );
    case "createLog":
      return row("logs", change.row);
    case "appendAnnotation":
      return row("annotations", change.row);
    case "appendOutboxEvent":
      return {
        kind: "ring",
        commits: statement(
          `SELECT "commits" FROM "outbox_events" WHERE "workflow_run_id" = ? ORDER BY "sequence" DESC LIMIT 1`,
          change.row.workflowRunId,
        ),
      };
    case "countOutboxRetry":
    case "deadLetterOutboxEvent":
    case "replayOutboxEvent":
      return ring(
        "outbox_events",
        ["workflow_run_id", "sequence"],
        [change.workflowRunId, change.sequence],
      );
    case "publishOutboxEvent":
      return { kind: "none" };
    case "acquireIdempotencyKey":
    case "completeIdempotencyKey":
      return ring("idempotency_keys", ["key", "command_type"], [change.key, change.commandType]);
    case "deleteStage":
    case "deleteArtifact":
    case "releaseIdempotencyKey":
      return { kind: "record" };
    case "enqueueJob":
      return row("jobs", change.row);
    case "claimJob":
      return {
        kind: "row",
        exists: statement(
          `SELECT 1 FROM "jobs" INDEXED BY "jobs_leased_idx" WHERE "status" = 'RUNNING' AND "locked_at" = ? AND ${tokenSql(`"commits"`)} = ?`,
          change.at,
          commitId,
        ),
      };
    case "completeJob":
    case "suspendJob":
    case "failJob":
    case "touchJob":
    case "releaseJob":
      return ring("jobs", ["workflow_run_id", "ordinal"], [change.workflowRunId, change.ordinal]);
    case "cancelJobs":
      return {
        kind: "row",
        exists: statement(
          `SELECT 1 FROM "jobs" WHERE "workflow_run_id" = ? AND "status" = 'CANCELLED' AND ${tokenSql(`"commits"`)} = ?`,
          change.workflowRunId,
          commitId,
        ),
      };
    case "recordAiCall":
      return {
        kind: "row",
        exists: statement(
          `SELECT 1 FROM "ai_calls" WHERE "batch_id" = ? AND "ordinal" = ?`,
          change.row.batchId,
          change.row.ordinal,
        ),
      };
  }
}

function row(
  table: string,
  { workflowRunId, ordinal }: { readonly workflowRunId: string; readonly ordinal: string },
): Trace {
  return {
    kind: "row",
    exists: statement(
      `SELECT 1 FROM "${table}" WHERE "workflow_run_id" = ? AND "ordinal" = ?`,
      workflowRunId,
      ordinal,
    ),
  };
}

function stageRing(workflowRunId: string, stageId: string): Trace {
  return ring("stages", ["workflow_run_id", "stage_id"], [workflowRunId, stageId]);
}

function ring(table: string, key: readonly string[], values: readonly Param[]): Trace {
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
const CLOCK_SKEW_MS = 10_000;

/** Finds out, makes the finding final, and answers it as `outcome`. */
export function settleStatements(commit: Pick<Commit, "id" | "changes">): Statement[] {
  const { id } = commit;
  const finding = findingOf(traceOf(commit), id);
  return [
    {
      sql: `INSERT INTO "commits" ("id", "outcome") SELECT ?, ${finding.sql} WHERE true ON CONFLICT ("id") DO NOTHING`,
      params: [id, ...finding.params],
    },
    statement(`SELECT "outcome" FROM "commits" WHERE "id" = ?`, id),
  ];
}

function findingOf(trace: Trace, id: string): Statement {
  switch (trace.kind) {
    case "record":
    case "none":
      return statement(`'fenced'`);
    case "row":
      return {
        sql: `CASE WHEN EXISTS (${trace.exists.sql}) THEN 'applied' ELSE 'fenced' END`,
        params: trace.exists.params,
      };
    case "ring": {
      // Full, and its oldest entry may be younger than this commit: the id may have been pushed out.
      const full = COMMIT_ID_CHARS * COMMITS_REMEMBERED;
      const oldest = `substr("commits", ${full - COMMIT_ID_CHARS + 1})`;
      return {
        sql:
          `ifnull((SELECT CASE WHEN instr("commits", ?) > 0 THEN 'applied' ` +
          `WHEN length("commits") >= ${full} AND ${oldest} >= ? THEN 'unknown' END FROM (${trace.commits.sql})), 'fenced')`,
        params: [id, commitIdAt(instantOf(id) - CLOCK_SKEW_MS), ...trace.commits.params],
      };
    }
  }
}
