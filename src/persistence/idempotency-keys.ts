/** Idempotency keys, over a unit of work. */
import {
  decodeNullableJson,
  encodeInstant,
  encodeJson,
  nearestInstant,
  tokenOf,
} from "../model/index.ts";
import type {
  AcquireIdempotencyKeyOptions,
  AcquireIdempotencyKeyResult,
} from "../contract/index.ts";
import { checkedChanges, invalid } from "./encode.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/**
 * The row's token shows whether this caller got the key: if so, it is the id of this commit.
 */
export async function acquireIdempotencyKey(
  unit: UnitOfWork,
  key: string,
  commandType: string,
  options?: AcquireIdempotencyKeyOptions,
): Promise<AcquireIdempotencyKeyResult> {
  const { now } = options ?? {};
  const at = now === undefined ? await unit.now() : encodeInstant(now, "now");
  const staleBefore = staleBeforeOf(at, options?.staleInProgressAfterMs);
  const written = await unit.write({
    changes: checkedChanges("acquireIdempotencyKey", [
      { kind: "acquireIdempotencyKey", key, commandType, at, staleBefore },
    ]),
    reads: () => [{ q: "idempotencyKey", key, commandType }],
  });
  const row = written.applied ? written.results[0] : null;
  // The row is gone: the answer was lost, and somebody has released the key since. So this caller
  // does not have it.
  if (!written.applied || row === null) return { status: "in_progress" };
  if (row.state === "completed") {
    return { status: "replay", result: decodeNullableJson(row.result) };
  }
  return { status: tokenOf(row) === written.commitId ? "acquired" : "in_progress" };
}

/** Keys acquired at or before this instant may be taken over; null: none may. */
function staleBeforeOf(at: number, staleAfterMs: number | undefined): number | null {
  if (staleAfterMs === undefined || staleAfterMs === null || staleAfterMs === Infinity) return null;
  if (typeof staleAfterMs !== "number" || Number.isNaN(staleAfterMs)) {
    throw invalid("acquireIdempotencyKey: staleInProgressAfterMs must be a number", {
      field: "staleInProgressAfterMs",
    });
  }
  return Math.floor(nearestInstant(at - staleAfterMs));
}

export async function completeIdempotencyKey(
  unit: UnitOfWork,
  key: string,
  commandType: string,
  result: unknown,
): Promise<void> {
  const at = await unit.now();
  const changes = checkedChanges("completeIdempotencyKey", [
    {
      kind: "completeIdempotencyKey",
      key,
      commandType,
      at,
      result: encodeJson(result, "result"),
    },
  ]);
  await unit.write({ changes });
}

export async function releaseIdempotencyKey(
  unit: UnitOfWork,
  key: string,
  commandType: string,
): Promise<void> {
  const changes = checkedChanges("releaseIdempotencyKey", [
    { kind: "releaseIdempotencyKey", key, commandType },
  ]);
  await unit.write({ changes });
}
