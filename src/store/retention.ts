/**
 * What goes with a run that is deleted. Everything is found by keys that begin with the run, or that
 * its annotations give; nothing is scanned.
 *
 * Stages, archived stages, signals, artifacts and annotations refer to their run and go by themselves.
 * Not so their texts, and what may belong to runs that live elsewhere. Of the outbox the last sequence
 * stays, since a later event of the run must not begin anew. The calls of AI models have no run: they
 * go by their age.
 */
import type { LongTextTable } from "../model/index.ts";
import { dropAllTexts } from "./long-texts.ts";
import { snakeCase } from "./names.ts";
import { type Statement, statement } from "./sql.ts";

/** Tables whose keys begin with the run. */
const OF_RUN = [
  "stages",
  "stageAttempts",
  "signals",
  "logs",
  "artifacts",
  "annotations",
  "outboxEvents",
  "jobs",
] as const satisfies LongTextTable[];
/** Those that do not refer to it. */
const LOOSE = ["logs", "outboxEvents", "jobs"] as const satisfies LongTextTable[];

/** The SQL that deletes a run. */
export function deleteRun(id: string): Statement[] {
  const ofRun = (table: LongTextTable) =>
    statement(`"${snakeCase(table)}" AS owner WHERE "workflow_run_id" = ?`, id);
  return [
    dropAllTexts("runs", statement(`"runs" AS owner WHERE "id" = ?`, id)),
    ...OF_RUN.map((table) => dropAllTexts(table, ofRun(table))),
    statement(
      `DELETE FROM "annotated_runs" WHERE ("key", "value", "created_at", "ordinal", "workflow_run_id") IN (` +
        `SELECT note."key", note."value", run."created_at", run."ordinal", run."id" ` +
        `FROM "runs" AS run CROSS JOIN "annotations" AS note ON note."workflow_run_id" = run."id" WHERE run."id" = ?)`,
      id,
    ),
    statement(
      `INSERT INTO "outbox_tails" ("workflow_run_id", "sequence") SELECT "workflow_run_id", max("sequence") FROM "outbox_events" ` +
        `WHERE "workflow_run_id" = ? GROUP BY "workflow_run_id" ON CONFLICT ("workflow_run_id") DO UPDATE SET "sequence" = max("sequence", excluded."sequence")`,
      id,
    ),
    ...LOOSE.map((table) => {
      const { sql, params } = ofRun(table);
      return { sql: `DELETE FROM ${sql}`, params };
    }),
    statement(`DELETE FROM "runs" WHERE "id" = ?`, id),
  ];
}
