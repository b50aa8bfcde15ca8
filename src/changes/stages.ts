/** Changes of stages. Pure. */
import { flag, object, optional, type TypeOf } from "../model/shape.ts";
import { idField, instantField, recordIdField, tallyField, wholeField } from "../model/fields.ts";
import { attendAtOf, defined, newStageRow, type StageRow, stageSet } from "../model/index.ts";
import { stageRef } from "../model/row-ref.ts";
import type { Writer } from "../model/writer.ts";
import { changeKind, storedChange } from "./change-kind.ts";

interface StageUpdate {
  readonly set: TypeOf<typeof attemptSet>;
  readonly at: number;
  readonly bump: number;
}

/** Writes the columns of a row that are set. */
export function setStage(writer: Writer, row: StageRow, { set, at, bump }: StageUpdate): void {
  const values: StageRow = { ...row, ...defined(set) };
  const decides = set.status !== undefined || set.nextPollAt !== undefined;
  writer.put("stages", {
    ...values,
    attendAt: decides ? attendAtOf(values) : row.attendAt,
    updatedAt: at,
    version: row.version + bump,
    commits: writer.stamp(row.commits),
  });
}

const attemptSet = object({ ...stageSet.members, attempt: optional(wholeField) });

export const stageKey = { workflowRunId: idField, stageId: idField };

export const stageChanges = {
  /** Inserts the stage. A guard of the commit says that its (run, stageId) is free. */
  createStage: changeKind(
    "createStage",
    { row: newStageRow },
    {
      row: ({ row }) => stageRef(row),
      recorded: "insert",
      texts: ({ row }) => [{ table: "stages", values: row }],
      apply(writer, { row }) {
        writer.create("stages", { ...row, attendAt: attendAtOf(row), commits: writer.commitId });
      },
    },
  ),

  /**
   * Sets the columns, updatedAt = at, version + bump. The contract's updates have no `attempt`.
   * `first`: the columns of long text that are set are null so far, as far as the caller knows. Then
   * the store does not look for older texts of theirs beside the row.
   */
  updateStage: changeKind(
    "updateStage",
    { ...stageKey, set: attemptSet, at: instantField, bump: tallyField, first: optional(flag) },
    {
      row: (change) => stageRef(change),
      recorded: "merge",
      texts: ({ set }) => [{ table: "stages", values: set }],
      apply(writer, change) {
        const row = writer.state.stages.get(change.workflowRunId, change.stageId);
        if (row !== undefined) setStage(writer, row, change);
      },
    },
  ),

  /**
   * Inserts `row`; if the (run, stageId) exists, does what updateStage does with bump 1 and at =
   * row.updatedAt.
   */
  upsertStage: storedChange(
    "upsertStage",
    { row: newStageRow, set: stageSet },
    {
      row: ({ row }) => stageRef(row),
      // Inside a transaction it is either a createStage or an updateStage, which are recorded.
      needs: ({ row: { workflowRunId, stageId } }) => [{ of: "stage", workflowRunId, stageId }],
      texts: ({ row, set }) => [
        { table: "stages", values: row },
        { table: "stages", values: set },
      ],
    },
  ),

  /**
   * Deletes the stage and its logs, and nulls the reference in its artifacts and annotations. The
   * pair names the stage; `id` is what the others refer to. A guard of the commit says that they
   * belong together.
   */
  deleteStage: changeKind(
    "deleteStage",
    { ...stageKey, id: recordIdField },
    {
      row: (change) => stageRef(change),
      recorded: "each",
      needs: ({ workflowRunId, stageId }) => [{ of: "stage", workflowRunId, stageId }],
      apply(writer, { workflowRunId, stageId, id }) {
        const { state } = writer;
        const row = state.stages.get(workflowRunId, stageId);
        if (row !== undefined) writer.remove("stages", row);
        // A Map may be written while it is walked: an entry that is replaced is not visited again.
        for (const log of state.logs.part(workflowRunId).values()) {
          if (log.workflowStageId === id) writer.remove("logs", log);
        }
        for (const artifact of state.artifacts.part(workflowRunId).values()) {
          if (artifact.workflowStageId !== id) continue;
          const commits = writer.stamp(artifact.commits);
          writer.put("artifacts", { ...artifact, workflowStageId: null, commits });
        }
        for (const annotation of state.annotations.part(workflowRunId).values()) {
          if (annotation.workflowStageRecordId !== id) continue;
          const commits = writer.stamp(annotation.commits);
          writer.put("annotations", { ...annotation, workflowStageRecordId: null, commits });
        }
      },
    },
  ),
};
