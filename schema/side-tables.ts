/**
 * The tables beside the callers' rows: what the store finds them by, sums up, puts beside them and
 * remembers of them. As in `tables.ts`, docs/schema.md says what writes each.
 */
import { sql } from "drizzle-orm";
import {
  check,
  index,
  integer,
  primaryKey,
  real,
  sqliteTable,
  text,
} from "drizzle-orm/sqlite-core";

/**
 * The types and names that runs of a workflow have or have had. Few rows; a run like one before it
 * writes none.
 */
export const workflows = sqliteTable(
  "workflows",
  {
    workflowType: text("workflow_type").notNull(),
    workflowId: text("workflow_id").notNull(),
    workflowName: text("workflow_name").notNull(),
  },
  (table) => [primaryKey({ columns: [table.workflowType, table.workflowId, table.workflowName] })],
);

/**
 * The runs that have an annotation of this key and value, with the run's createdAt and ordinal, so
 * that they are found by age. One row stands for all equal annotations of a run. Values too long to
 * be searched have none.
 */
export const annotatedRuns = sqliteTable(
  "annotated_runs",
  {
    key: text("key").notNull(),
    value: text("value").notNull(),
    createdAt: integer("created_at").notNull(),
    ordinal: text("ordinal").notNull(),
    workflowRunId: text("workflow_run_id").notNull(),
  },
  (table) => [
    primaryKey({
      columns: [table.key, table.value, table.createdAt, table.ordinal, table.workflowRunId],
    }),
  ],
);

/**
 * The last sequence of a run some of whose events were deleted: the next event goes on from there.
 * What deletes events writes it first.
 */
export const outboxTails = sqliteTable("outbox_tails", {
  workflowRunId: text("workflow_run_id").primaryKey(),
  sequence: integer("sequence").notNull(),
});

export const aiCallTotals = sqliteTable(
  "ai_call_totals",
  {
    topic: text("topic").notNull(),
    modelKey: text("model_key").notNull(),
    calls: integer("calls").notNull(),
    inputTokens: integer("input_tokens").notNull(),
    outputTokens: integer("output_tokens").notNull(),
    cost: real("cost").notNull(),
  },
  (table) => [primaryKey({ columns: [table.topic, table.modelKey] })],
);

/**
 * Texts of middling length, beside the rows that they belong to: a rowid table, whose rows lie close
 * together (ADR 0025). Nothing but the place in the text's column leads here.
 */
export const longTexts = sqliteTable("long_texts", {
  id: integer("id").primaryKey(),
  text: text("text").notNull(),
});

/**
 * Commits whose own rows cannot tell what became of them. Old records are deleted along the way.
 */
export const commits = sqliteTable(
  "commits",
  {
    id: text("id").primaryKey(),
    outcome: text("outcome").$type<"applied" | "fenced" | "unknown">().notNull(),
  },
  () => [check("commits_outcome_known", sql`"outcome" IN ('applied', 'fenced', 'unknown')`)],
);

/**
 * Runs whose events somebody watches, each until an instant by D1's own clock. A run need not have a
 * row in `runs` for that.
 */
export const watchedRuns = sqliteTable(
  "watched_runs",
  {
    workflowRunId: text("workflow_run_id").primaryKey(),
    until: integer("until").notNull(),
  },
  (table) => [index("watched_runs_until_idx").on(table.until)],
);
