/** Idempotency keys: the SQL of their query and changes. An absent row is a key that nobody holds. */
import { aRowOf, count, type ChangeSqlOf, type QuerySqlOf } from "./change-sql.ts";
import { type ChangeOf } from "../changes/index.ts";
import { commitIdAt } from "../model/index.ts";
import { type QueryOf } from "../queries/index.ts";
import { rememberDeleted } from "./deleted.ts";
import { dropLongTexts, longTextsOf, NEXT_PLACE, placed, putSet } from "./long-texts.ts";
import { idempotencyKeys } from "./schema.ts";
import { propertiesOf, remembering, selectRow, type Statement, statement } from "./sql.ts";

const SELECT = `SELECT ${selectRow("idempotencyKeys", propertiesOf(idempotencyKeys))} FROM "idempotency_keys"`;

/** `place`: of its long text, if it has one. */
function insertKey(place = "NULL"): string {
  return `INSERT INTO "idempotency_keys" ("key", "command_type", "created_at", "state", "acquired_at", "result", "commits", "long_text_id") VALUES (?, ?, ?, ?, ?, ?, ?, ${place}) ON CONFLICT ("key", "command_type") DO UPDATE SET`;
}

export function selectIdempotencyKey(query: QueryOf<"idempotencyKey">): Statement {
  return statement(
    `${SELECT} WHERE "key" = ? AND "command_type" = ?`,
    query.key,
    query.commandType,
  );
}

export function selectExpired({ keysBefore, commitsBefore }: QueryOf<"expired">): Statement {
  return statement(
    `SELECT (SELECT count(*) FROM (SELECT 1 FROM "idempotency_keys" INDEXED BY "idempotency_keys_age_idx" WHERE "acquired_at" < ? LIMIT 1)) + ` +
      `(SELECT count(*) FROM (SELECT 1 FROM "commits" WHERE "id" < ? LIMIT 1)) AS "count"`,
    keysBefore,
    commitIdAt(commitsBefore),
  );
}

const EXPIRED_KEYS =
  `FROM "idempotency_keys" INDEXED BY "idempotency_keys_age_idx" WHERE "acquired_at" < ?1 AND "acquired_at" <= ifnull((` +
  `SELECT "acquired_at" FROM "idempotency_keys" INDEXED BY "idempotency_keys_age_idx" WHERE "acquired_at" < ?1 ORDER BY "acquired_at" LIMIT 1 OFFSET ?2), ?1)`;

/**
 * Ranges of an index each, up to the limit-th oldest: looked up one by one, D1 would choose another way once it has statistics.
 * Nobody asks for a lost answer after so long, so the rows take no memory of theirs along.
 */
export function purgeExpired(changes: readonly ChangeOf<"purgeExpired">[]): Statement[] {
  return changes.flatMap(({ keysBefore, commitsBefore, limit }) => [
    dropLongTexts(statement(`SELECT "long_text_id" ${EXPIRED_KEYS}`, keysBefore, limit - 1)),
    statement(`DELETE ${EXPIRED_KEYS}`, keysBefore, limit - 1),
    statement(
      `DELETE FROM "commits" WHERE "id" < ?1 AND "id" <= ifnull((SELECT "id" FROM "commits" WHERE "id" < ?1 ORDER BY "id" LIMIT 1 OFFSET ?2), ?1)`,
      commitIdAt(commitsBefore),
      limit - 1,
    ),
  ]);
}

export function acquireIdempotencyKeys(
  changes: readonly ChangeOf<"acquireIdempotencyKey">[],
  commitId: string,
) {
  const commits = remembering(commitId, `"idempotency_keys"."commits"`);
  return changes.map(({ key, commandType, at, staleBefore }) => ({
    // Comparing with NULL is never true, so without a threshold nothing is taken over.
    sql: `${insertKey()} "acquired_at" = excluded."acquired_at", "commits" = ${commits.sql} WHERE "state" = 'in_progress' AND "acquired_at" <= ?`,
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

export function completeIdempotencyKeys(
  changes: readonly ChangeOf<"completeIdempotencyKey">[],
  commitId: string,
) {
  const commits = remembering(commitId, `"idempotency_keys"."commits"`);
  return changes.flatMap((change) => {
    const { key, commandType, at, result } = change;
    const bytes = longTextsOf("idempotencyKeys", change).get("result");
    const places = bytes === undefined ? [] : (["longTextId"] as const);
    const place = placed("idempotencyKeys", places, () => `excluded."long_text_id"`);
    return [
      {
        sql: `${insertKey(bytes === undefined ? "NULL" : NEXT_PLACE)} "state" = 'completed', "result" = excluded."result", ${place}"commits" = ${commits.sql}`,
        params: [
          key,
          commandType,
          at,
          "completed",
          at,
          bytes ?? result,
          commitId,
          ...commits.params,
        ],
      },
      ...putSet("idempotencyKeys", [change], ["result"]),
    ];
  });
}

export function releaseIdempotencyKeys(
  changes: readonly ChangeOf<"releaseIdempotencyKey">[],
  commitId: string,
) {
  return changes.flatMap(({ key, commandType }) => [
    rememberDeleted(commitId, "idempotency_keys", ["key", "commandType"], [key, commandType]),
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
