/** Idempotency keys: the SQL of their queries and changes. A key without a row is free. */
import { aRowOf, count, type ChangeSqlOf, type QuerySqlOf } from "./change-sql.ts";
import { type ChangeOf } from "../changes/index.ts";
import { commitIdAt } from "../model/index.ts";
import { idempotencyKeyRef } from "../model/row-ref.ts";
import { type QueryOf } from "../queries/index.ts";
import { rememberDeleted } from "./deleted.ts";
import { dropAllTexts, dropTexts, insertRows } from "./long-texts.ts";
import { propertiesOf } from "./names.ts";
import { remembering, selectRow, type Statement, statement } from "./sql.ts";
import { deleteEnded, HAS_ENDED } from "./watched-runs.ts";

const SELECT = `SELECT ${selectRow("idempotencyKeys", propertiesOf("idempotencyKeys"))} FROM "idempotency_keys"`;
const NEW_ROW = propertiesOf("idempotencyKeys", "commits");
const WHERE_THERE = `ON CONFLICT ("key", "command_type") DO UPDATE SET`;

export function selectIdempotencyKey(query: QueryOf<"idempotencyKey">): Statement {
  return statement(
    `${SELECT} WHERE "key" = ? AND "command_type" = ?`,
    query.key,
    query.commandType,
  );
}

/** Each part counts up to one row, from the oldest end of an index. The last are marks of watched runs. */
export function selectExpired({ keysBefore, commitsBefore }: QueryOf<"expired">): Statement {
  return statement(
    `SELECT (SELECT count(*) FROM (SELECT 1 FROM "idempotency_keys" INDEXED BY "idempotency_keys_age_idx" WHERE "acquired_at" < ? LIMIT 1)) + ` +
      `(SELECT count(*) FROM (SELECT 1 FROM "commits" WHERE "id" < ? LIMIT 1)) + ` +
      `${HAS_ENDED} AS "count"`,
    keysBefore,
    commitIdAt(commitsBefore),
  );
}

const EXPIRED =
  `"idempotency_keys" AS owner INDEXED BY "idempotency_keys_age_idx" WHERE "acquired_at" < ?1 AND "acquired_at" <= ifnull((` +
  `SELECT "acquired_at" FROM "idempotency_keys" INDEXED BY "idempotency_keys_age_idx" WHERE "acquired_at" < ?1 ORDER BY "acquired_at" LIMIT 1 OFFSET ?2), ?1)`;

/**
 * Deletes a range of each index, up to its limit-th oldest row. If rows were looked up one by one,
 * D1 would choose another way once it has statistics. The deleted rows hand no memory on: after
 * this long, nobody asks for a lost answer.
 */
export function purgeExpired(changes: readonly ChangeOf<"purgeExpired">[]): Statement[] {
  return changes.flatMap(({ keysBefore, commitsBefore, limit }) => [
    dropAllTexts("idempotencyKeys", statement(EXPIRED, keysBefore, limit - 1)),
    statement(`DELETE FROM ${EXPIRED}`, keysBefore, limit - 1),
    statement(
      `DELETE FROM "commits" WHERE "id" < ?1 AND "id" <= ifnull((SELECT "id" FROM "commits" WHERE "id" < ?1 ORDER BY "id" LIMIT 1 OFFSET ?2), ?1)`,
      commitIdAt(commitsBefore),
      limit - 1,
    ),
    deleteEnded(limit),
  ]);
}

/** Inserts the key, or takes it over from a holder that has had it for too long. */
export function acquireIdempotencyKeys(
  changes: readonly ChangeOf<"acquireIdempotencyKey">[],
  commitId: string,
) {
  const commits = remembering(commitId, `"idempotency_keys"."commits"`);
  return changes.flatMap(({ key, commandType, at, staleBefore }) => {
    const row = { key, commandType, createdAt: at, state: "in_progress", acquiredAt: at } as const;
    // A comparison with NULL is never true, so without a threshold no key is taken over.
    const takeOver = statement(
      `${WHERE_THERE} "acquired_at" = excluded."acquired_at", "commits" = ${commits.sql} WHERE "state" = 'in_progress' AND "acquired_at" <= ?`,
      ...commits.params,
      staleBefore,
    );
    return insertRows("idempotencyKeys", [{ ...row, result: null }], NEW_ROW, commitId, takeOver);
  });
}

/** Completes the key whatever its state. */
export function completeIdempotencyKeys(
  changes: readonly ChangeOf<"completeIdempotencyKey">[],
  commitId: string,
) {
  const commits = remembering(commitId, `"idempotency_keys"."commits"`);
  const complete = statement(
    `${WHERE_THERE} "state" = 'completed', "result" = excluded."result", "commits" = ${commits.sql}`,
    ...commits.params,
  );
  return changes.flatMap(({ key, commandType, at, result }) => {
    const row = { key, commandType, createdAt: at, state: "completed", acquiredAt: at, result };
    return [
      ...dropTexts("idempotencyKeys", [row], ["result"]),
      ...insertRows("idempotencyKeys", [row], NEW_ROW, commitId, complete),
    ];
  });
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
  idempotencyKey: { select: selectIdempotencyKey, ...aRowOf("idempotencyKeys") },
  expired: { select: selectExpired, ...count },
};
