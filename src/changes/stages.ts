/** Changes of stages. Pure. */
import { idField, instantField, recordIdField, wholeField } from "../model/fields.ts";
import { defined, newStageRow, type StageRow, type StageSet, stageSet } from "../model/index.ts";
import { stageRef } from "../model/row-ref.ts";
import { checkFits, type Writer } from "../model/writer.ts";
import { changeKind } from "./change-kind.ts";
import { WRITE } from "./scope.ts";

interface StageUpdate {
  readonly set: StageSet;
  readonly at: number;
  readonly bump: number;
}

function setStage(writer: Writer, row: StageRow, { set, at, bump }: StageUpdate): void {
  writer.put("stages", {
    ...row,
    ...defined(set),
    updatedAt: at,
    version: row.version + bump,
    commits: writer.stamp(row.commits),
  });
}

const stageKey = { workflowRunId: idField, stageId: idField };

export const stageChanges = {
  /** Inserts the stage. Its (run, stageId) is free: a guard says so. */
  createStage: changeKind(
    "createStage",
    { row: newStageRow },
    {
      scope: WRITE,
      row: ({ row }) => stageRef(row),
      trace: "mark",
      recorded: "insert",
      texts: ({ row }) => [{ table: "stages", values: row }],
      apply(writer, { row }) {
        writer.create("stages", { ...row, commits: writer.commitId });
      },
    },
  ),

  /** Sets the columns, updatedAt = at, version + bump. */
  updateStage: changeKind(
    "updateStage",
    { ...stageKey, set: stageSet, at: instantField, bump: wholeField },
    {
      scope: WRITE,
      row: (change) => stageRef(change),
      trace: "mark",
      recorded: "merge",
      texts: ({ set }) => [{ table: "stages", values: set }],
      apply(writer, change) {
        const row = writer.state.stages.get(change.workflowRunId, change.stageId);
        if (row !== undefined) setStage(writer, row, change);
      },
    },
  ),

  /** Inserts `row`, or where the (run, stageId) exists, does as updateStage with bump 1 and at = row.updatedAt. */
  upsertStage: changeKind(
    "upsertStage",
    { row: newStageRow, set: stageSet },
    {
      scope: WRITE,
      row: ({ row }) => stageRef(row),
      trace: "mark",
      // A transaction knows which of the two it is.
      recorded: "never",
      texts: ({ row, set }) => [
        { table: "stages", values: row },
        { table: "stages", values: set },
      ],
      apply(writer, { row, set }) {
        checkFits("stages", row);
        const found = writer.state.stages.get(row.workflowRunId, row.stageId);
        if (found === undefined) writer.put("stages", { ...row, commits: writer.commitId });
        else setStage(writer, found, { set, at: row.updatedAt, bump: 1 });
      },
    },
  ),

  /**
   * Deletes the stage and its logs, and nulls the reference of its artifacts and annotations. The pair names the stage; its record id,
   * what refers to it. A guard of the commit says that they belong together.
   */
  deleteStage: changeKind(
    "deleteStage",
    { ...stageKey, id: recordIdField },
    {
      scope: WRITE,
      row: (change) => stageRef(change),
      trace: "record",
      recorded: "each",
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
