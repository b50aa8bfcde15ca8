/** Changes of idempotency keys. Pure. */
import { nullable } from "../model/shape.ts";
import { instantField, keyField, jsonField } from "../model/fields.ts";
import type { IdempotencyKeyRow } from "../model/index.ts";
import { idempotencyKeyRef } from "../model/row-ref.ts";
import type { Writer } from "../model/writer.ts";
import { changeKind } from "./change-kind.ts";

const keyOfCommand = { key: keyField, commandType: keyField };

interface Acquired {
  readonly key: string;
  readonly commandType: string;
  readonly at: number;
}

/** The columns of a key that is not there yet. */
function newKey(
  writer: Writer,
  { key, commandType, at }: Acquired,
): Omit<IdempotencyKeyRow, "state" | "result"> {
  return { key, commandType, createdAt: at, acquiredAt: at, commits: writer.commitId };
}

function keyOf({ key, commandType }: Pick<IdempotencyKeyRow, "key" | "commandType">) {
  return { key, commandType };
}

export const idempotencyKeyChanges = {
  /**
   * Absent: inserts the key in progress, with createdAt = acquiredAt = at. In progress and acquired
   * at or before `staleBefore`: acquiredAt = at. Otherwise nothing, `commits` included; so the
   * key's token tells which commit has it.
   */
  acquireIdempotencyKey: changeKind(
    "acquireIdempotencyKey",
    {
      ...keyOfCommand,
      at: instantField,
      /** Null: never taken over. */
      staleBefore: nullable(instantField),
    },
    {
      row: (change) => idempotencyKeyRef(change),
      recorded: "each",
      needs: (change) => [{ of: "idempotencyKey", ...keyOf(change) }],
      apply(writer, change) {
        const { key, commandType, at, staleBefore } = change;
        const found = writer.state.idempotencyKeys.get(key, commandType);
        if (found === undefined) {
          const fresh = newKey(writer, change);
          writer.put("idempotencyKeys", { ...fresh, state: "in_progress", result: null });
          return;
        }
        const stale =
          found.state === "in_progress" && staleBefore !== null && found.acquiredAt <= staleBefore;
        if (!stale) return;
        const commits = writer.stamp(found.commits);
        writer.put("idempotencyKeys", { ...found, acquiredAt: at, commits });
      },
    },
  ),

  /**
   * Completes the key with this result, whatever its state. An absent key is inserted with
   * createdAt = acquiredAt = at.
   */
  completeIdempotencyKey: changeKind(
    "completeIdempotencyKey",
    { ...keyOfCommand, at: instantField, result: jsonField },
    {
      row: (change) => idempotencyKeyRef(change),
      recorded: "each",
      texts: ({ result }) => [{ table: "idempotencyKeys", values: { result } }],
      apply(writer, change) {
        const { key, commandType, result } = change;
        const found = writer.state.idempotencyKeys.get(key, commandType);
        const row =
          found === undefined
            ? newKey(writer, change)
            : { ...found, commits: writer.stamp(found.commits) };
        writer.put("idempotencyKeys", { ...row, state: "completed", result });
      },
    },
  ),

  /** Deletes the key if it is in progress. */
  releaseIdempotencyKey: changeKind("releaseIdempotencyKey", keyOfCommand, {
    row: (change) => idempotencyKeyRef(change),
    recorded: "each",
    needs: (change) => [{ of: "idempotencyKey", ...keyOf(change) }],
    apply(writer, { key, commandType }) {
      const found = writer.state.idempotencyKeys.get(key, commandType);
      if (found?.state === "in_progress") writer.remove("idempotencyKeys", found);
    },
  }),
};
