/** Idempotency keys: the SQL of their query and changes. An absent row is a key that nobody holds. */
import type { ChangeOf, QueryOf } from "../changes/index.ts";
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

export function acquireIdempotencyKeys(
  changes: readonly ChangeOf<"acquireIdempotencyKey">[],
  commitId: string,
) {
  const commits = remembering(commitId, `"idempotency_keys"."commits"`);
  return changes.map(({ key, commandType, at, staleBefore }) => ({
    // Comparing with NULL is never true, so without a threshold nothing is taken over.
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
