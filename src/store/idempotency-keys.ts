/** Idempotency keys: the SQL of their queries and changes. A key without a row is free. */
import { aRowOf, count, type ChangeSqlOf, type QuerySqlOf } from "./change-sql.ts";
import { type ChangeOf } from "../changes/index.ts";
import { commitIdAt } from "../model/index.ts";
import { idempotencyKeyRef } from "../model/row-ref.ts";
import { type QueryOf } from "../queries/index.ts";
import { rememberDeleted } from "./deleted.ts";
import { idempotencyKeys } from "./schema.ts";
import { propertiesOf, remembering, selectList, type Statement, statement } from "./sql.ts";

const SELECT = `SELECT ${selectList(propertiesOf(idempotencyKeys))} FROM "idempotency_keys"`;
const INSERT = `INSERT INTO "idempotency_keys" ("key", "command_type", "created_at", "state", "acquired_at", "result", "commits") VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT ("key", "command_type") DO UPDATE SET`;

export function selectIdempotencyKey(query: QueryOf<"idempotencyKey">): Statement {
  return statement(
    `${SELECT} WHERE "key" = ? AND "command_type" = ?`,
    query.key,
    query.commandType,
  );
}

/** Each part counts up to one row, from the oldest end of an index. */
export function selectExpired({ keysBefore, commitsBefore }: QueryOf<"expired">): Statement {
  return statement(
    `SELECT (SELECT count(*) FROM (SELECT 1 FROM "idempotency_keys" INDEXED BY "idempotency_keys_age_idx" WHERE "acquired_at" < ? LIMIT 1)) + ` +
      `(SELECT count(*) FROM (SELECT 1 FROM "commits" WHERE "id" < ? LIMIT 1)) AS "count"`,
    keysBefore,
    commitIdAt(commitsBefore),
  );
}

/**
 * Deletes a range of each index, up to its limit-th oldest row. If rows were looked up one by one,
 * D1 would choose another way once it has statistics. The deleted rows hand no memory on: after
 * this long, nobody asks for a lost answer.
 */
export function purgeExpired(changes: readonly ChangeOf<"purgeExpired">[]): Statement[] {
  return changes.flatMap(({ keysBefore, commitsBefore, limit }) => [
    statement(
      `DELETE FROM "idempotency_keys" INDEXED BY "idempotency_keys_age_idx" WHERE "acquired_at" < ?1 AND "acquired_at" <= ifnull((` +
        `SELECT "acquired_at" FROM "idempotency_keys" INDEXED BY "idempotency_keys_age_idx" WHERE "acquired_at" < ?1 ORDER BY "acquired_at" LIMIT 1 OFFSET ?2), ?1)`,
      keysBefore,
      limit - 1,
    ),
    statement(
      `DELETE FROM "commits" WHERE "id" < ?1 AND "id" <= ifnull((SELECT "id" FROM "commits" WHERE "id" < ?1 ORDER BY "id" LIMIT 1 OFFSET ?2), ?1)`,
      commitIdAt(commitsBefore),
      limit - 1,
    ),
  ]);
}

/** Inserts the key, or takes it over from a holder that has had it for too long. */
export function acquireIdempotencyKeys(
  changes: readonly ChangeOf<"acquireIdempotencyKey">[],
  commitId: string,
) {
  const commits = remembering(commitId, `"idempotency_keys"."commits"`);
  return changes.map(({ key, commandType, at, staleBefore }) => ({
    // A comparison with NULL is never true, so without a threshold no key is taken over.
    sql: `${INSERT} "acquired_at" = excluded."acquired_at", "commits" = ${commits.sql} WHERE "state" = 'in_progress' AND "acquired_at" <= ?`,
    params: [
      key,
      commandType,
      at,
      "in_progress",
      at,
      null,
      commitId,
      ...commits.params,
      staleBefore,
    ],
  }));
}

/** Completes the key whatever its state. */
export function completeIdempotencyKeys(
  changes: readonly ChangeOf<"completeIdempotencyKey">[],
  commitId: string,
) {
  const commits = remembering(commitId, `"idempotency_keys"."commits"`);
  return changes.map(({ key, commandType, at, result }) => ({
    sql: `${INSERT} "state" = 'completed', "result" = excluded."result", "commits" = ${commits.sql}`,
    params: [key, commandType, at, "completed", at, result, commitId, ...commits.params],
  }));
}

/** Deletes the key while it is in progress. */
export function releaseIdempotencyKeys(
  changes: readonly ChangeOf<"releaseIdempotencyKey">[],
  commitId: string,
) {
  return changes.flatMap(({ key, commandType }) => [
    rememberDeleted(commitId, idempotencyKeyRef({ key, commandType })),
    statement(
      `DELETE FROM "idempotency_keys" WHERE "key" = ? AND "command_type" = ? AND "state" = 'in_progress'`,
      key,
      commandType,
    ),
  ]);
}

export const idempotencyKeyChangeSql: ChangeSqlOf<
  "acquireIdempotencyKey" | "completeIdempotencyKey" | "releaseIdempotencyKey" | "purgeExpired"
> = {
  acquireIdempotencyKey: { write: acquireIdempotencyKeys },
  completeIdempotencyKey: { write: completeIdempotencyKeys },
  releaseIdempotencyKey: { write: releaseIdempotencyKeys },
  purgeExpired: { write: purgeExpired },
};

export const idempotencyKeyQuerySql: QuerySqlOf<"idempotencyKey" | "expired"> = {
  idempotencyKey: { select: selectIdempotencyKey, ...aRowOf(idempotencyKeys) },
  expired: { select: selectExpired, ...count },
};
