/** Changes of what belongs to a run: logs, artifacts, annotations; and AI calls. Pure. */
import { nullable, flag } from "../model/shape.ts";
import { idField, keyField } from "../model/fields.ts";
import { aiCallRow, logRow, measureRow, newAnnotationRow, newArtifactRow } from "../model/index.ts";
import { aiCallRef, annotationRef, artifactRef, logRef } from "../model/row-ref.ts";
import { checkFits } from "../model/writer.ts";
import { changeKind, storedChange } from "./change-kind.ts";

/** An artifact of this size fits beside any metadata, unless that fills the row by itself. */
const SMALL_ARTIFACT_BYTES = 16 * 1_024;

export const recordChanges = {
  /** Inserts the line; nothing if its (run, ordinal) exists. */
  createLog: changeKind(
    "createLog",
    { row: logRow },
    {
      row: ({ row }) => logRef(row),
      recorded: "each",
      texts: ({ row }) => [{ table: "logs", values: row }],
      apply(writer, { row }) {
        checkFits("logs", row);
        if (writer.state.logs.get(row.workflowRunId, row.ordinal) !== undefined) return;
        writer.put("logs", { ...row });
      },
    },
  ),

  /**
   * Inserts the artifact. Where (run, key) exists, replaces updatedAt, data, size and type, and
   * with `replaceStage` and `replaceMetadata` the reference to a stage and the metadata. With
   * `linkStageId` the reference is the record id of that stage of the run, or null where there is
   * none.
   */
  saveArtifact: changeKind(
    "saveArtifact",
    {
      row: newArtifactRow,
      replaceStage: flag,
      replaceMetadata: flag,
      linkStageId: nullable(idField),
    },
    {
      row: ({ row }) => artifactRef(row),
      recorded: "each",
      needs({ row, replaceMetadata, linkStageId }, assumes) {
        const { workflowRunId, key } = row;
        const linked =
          linkStageId === null
            ? []
            : [{ of: "stage", workflowRunId, stageId: linkStageId } as const];
        // The metadata that the row keeps may leave no room. A small artifact nearly always fits.
        const small = measureRow("artifacts", row).size <= SMALL_ARTIFACT_BYTES;
        if (replaceMetadata || (small && assumes)) return linked;
        return [{ of: "artifact", workflowRunId, key }, ...linked];
      },
      texts: ({ row }) => [{ table: "artifacts", values: row }],
      apply(writer, change) {
        const { row } = change;
        const { state } = writer;
        checkFits("artifacts", row);
        const workflowStageId =
          change.linkStageId === null
            ? row.workflowStageId
            : (state.stages.get(row.workflowRunId, change.linkStageId)?.id ?? null);
        const found = state.artifacts.get(row.workflowRunId, row.key);
        if (found === undefined) {
          writer.put("artifacts", { ...row, workflowStageId, commits: writer.commitId });
          return;
        }
        writer.put("artifacts", {
          ...found,
          updatedAt: row.updatedAt,
          data: row.data,
          size: row.size,
          type: row.type,
          workflowStageId: change.replaceStage ? workflowStageId : found.workflowStageId,
          metadata: change.replaceMetadata ? row.metadata : found.metadata,
          commits: writer.stamp(found.commits),
        });
      },
    },
  ),

  /** Deletes the artifact; nothing if it is not there. */
  deleteArtifact: changeKind(
    "deleteArtifact",
    { workflowRunId: idField, key: keyField },
    {
      row: (change) => artifactRef(change),
      recorded: "each",
      apply(writer, { workflowRunId, key }) {
        const found = writer.state.artifacts.get(workflowRunId, key);
        if (found !== undefined) writer.remove("artifacts", found);
      },
    },
  ),

  /**
   * Inserts the annotation; nothing if its (run, ordinal) exists, or with an idempotency key its
   * (run, key, idempotencyKey).
   */
  appendAnnotation: changeKind(
    "appendAnnotation",
    { row: newAnnotationRow },
    {
      row: ({ row }) => annotationRef(row),
      recorded: "each",
      texts: ({ row }) => [{ table: "annotations", values: row }],
      apply(writer, { row }) {
        checkFits("annotations", row);
        const annotations = writer.state.annotations.part(row.workflowRunId);
        if (annotations.has(row.ordinal)) return;
        for (const other of annotations.values()) {
          const same =
            row.idempotencyKey !== null &&
            other.idempotencyKey === row.idempotencyKey &&
            other.key === row.key;
          if (same) return;
        }
        writer.put("annotations", { ...row, commits: writer.commitId });
      },
    },
  ),

  /**
   * Inserts the call and adds it to the totals of its (topic, modelKey); nothing if its (batchId,
   * ordinal) exists.
   */
  recordAiCall: storedChange(
    "recordAiCall",
    { row: aiCallRow },
    {
      row: ({ row }) => aiCallRef(row),
      texts: ({ row }) => [{ table: "aiCalls", values: row }],
    },
  ),
};
