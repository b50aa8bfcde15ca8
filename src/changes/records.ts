/** Changes of what a run leaves behind: logs, artifacts, annotations, AI calls. Pure. */
import type { ChangeOf } from "./index.ts";
import { checkFits, type Writer } from "../model/writer.ts";

export function createLog(writer: Writer, { row }: ChangeOf<"createLog">): void {
  checkFits("logs", row);
  if (writer.state.logs.get(row.workflowRunId, row.ordinal) !== undefined) return;
  writer.put("logs", { ...row });
}

export function saveArtifact(writer: Writer, change: ChangeOf<"saveArtifact">): void {
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
}

export function deleteArtifact(writer: Writer, change: ChangeOf<"deleteArtifact">): void {
  const found = writer.state.artifacts.get(change.workflowRunId, change.key);
  if (found !== undefined) writer.remove("artifacts", found);
}

export function appendAnnotation(writer: Writer, { row }: ChangeOf<"appendAnnotation">): void {
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
}

export function recordAiCall(writer: Writer, { row }: ChangeOf<"recordAiCall">): void {
  const { aiCalls, aiCallTotals } = writer.state;
  checkFits("aiCalls", row);
  if (aiCalls.get(row.batchId, row.ordinal) !== undefined) return;
  writer.put("aiCalls", { ...row });
  const total = aiCallTotals.get(row.topic, row.modelKey);
  writer.put("aiCallTotals", {
    topic: row.topic,
    modelKey: row.modelKey,
    calls: (total?.calls ?? 0) + 1,
    inputTokens: (total?.inputTokens ?? 0) + row.inputTokens,
    outputTokens: (total?.outputTokens ?? 0) + row.outputTokens,
    cost: (total?.cost ?? 0) + row.cost,
  });
}
