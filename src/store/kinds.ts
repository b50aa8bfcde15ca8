/** The SQL of every kind of change and query, by its name. */
import type { Change, ChangeKind } from "../changes/index.ts";
import type { AnyResult, Query, QueryName } from "../queries/index.ts";
import { aiCallChangeSql, aiCallQuerySql } from "./ai-calls.ts";
import { annotationChangeSql, annotationQuerySql } from "./annotations.ts";
import { withinAnswer } from "./answer-limit.ts";
import { artifactChangeSql, artifactQuerySql } from "./artifacts.ts";
import { auditQuerySql } from "./audit.ts";
import type { ChangeSql, ChangeSqlOf, FoundRow, QuerySql, QuerySqlOf } from "./change-sql.ts";
import { idempotencyKeyChangeSql, idempotencyKeyQuerySql } from "./idempotency-keys.ts";
import { jobQuerySql } from "./job-queries.ts";
import { jobMoveChangeSql } from "./job-moves.ts";
import { jobChangeSql } from "./jobs.ts";
import { logChangeSql } from "./logs.ts";
import { outboxChangeSql, outboxQuerySql } from "./outbox.ts";
import { pageQuerySql } from "./pages.ts";
import { runSearchQuerySql } from "./run-search.ts";
import { runChangeSql, runQuerySql } from "./runs.ts";
import type { Statement } from "./sql.ts";
import { signalChangeSql, signalQuerySql } from "./signals.ts";
import { stageChangeSql, stageQuerySql } from "./stages.ts";

const CHANGE_SQL: ChangeSqlOf<ChangeKind> = {
  ...runChangeSql,
  ...stageChangeSql,
  ...signalChangeSql,
  ...logChangeSql,
  ...artifactChangeSql,
  ...annotationChangeSql,
  ...outboxChangeSql,
  ...idempotencyKeyChangeSql,
  ...jobChangeSql,
  ...jobMoveChangeSql,
  ...aiCallChangeSql,
};

const QUERY_SQL: QuerySqlOf<QueryName> = {
  ...runQuerySql,
  ...runSearchQuerySql,
  ...stageQuerySql,
  ...signalQuerySql,
  ...artifactQuerySql,
  ...annotationQuerySql,
  ...outboxQuerySql,
  ...idempotencyKeyQuerySql,
  ...jobQuerySql,
  ...aiCallQuerySql,
  ...pageQuerySql,
  ...auditQuerySql,
};

/** The SQL of the change's kind. */
export function changeSqlOf({ kind }: Change): ChangeSql<ChangeKind> {
  // The entry under `kind` takes the changes of that kind, and only those are handed to it.
  return CHANGE_SQL[kind];
}

function querySqlOf({ q }: Query): QuerySql<QueryName> {
  // The entry under `q` takes the queries with that `q`, and only those are handed to it.
  return QUERY_SQL[q];
}

/** The statement of a query. With `bytesMax` it fails when its answer would be larger. */
export function queryStatement(query: Query, bytesMax?: number): Statement {
  const { select, size } = querySqlOf(query);
  const plain = select(query);
  if (bytesMax === undefined) return plain;
  return withinAnswer(plain, typeof size === "function" ? size(query) : size, bytesMax);
}

/**
 * The statements of queries that are answered together. `bytesMax` is for all of them, in equal
 * parts.
 */
export function queryStatements(queries: readonly Query[], bytesMax?: number): Statement[] {
  const each = bytesMax === undefined ? undefined : Math.floor(bytesMax / queries.length);
  return queries.map((query) => queryStatement(query, each));
}

/** The query's answer from the rows that its statement found. */
export function answerFrom(query: Query, rows: readonly FoundRow[]): AnyResult {
  return querySqlOf(query).answer(rows, query);
}
