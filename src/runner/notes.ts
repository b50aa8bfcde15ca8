/** What a stage said while it ran, as changes of the commit of its outcome. Pure. */
import type { Change } from "../changes/index.ts";
import type { StageNotes } from "../engine/delivery.ts";
import { encodeFreeText, encodeNullableJson, utf8Length } from "../model/index.ts";
import type { EngineRun } from "./lease.ts";
import type { Moment } from "./rows.ts";

export function noted(
  { logs, annotations, artifacts, aiCalls }: StageNotes,
  run: EngineRun,
  stage: { readonly stageId: string; readonly recordId: string; readonly attempt: number },
  { at, ordinal }: Moment,
): Change[] {
  const workflowRunId = run.id;
  const made = () => ({ workflowRunId, ordinal: ordinal(), createdAt: at });
  const cost = aiCalls.reduce((sum, call) => sum + call.cost, 0);
  const tokens = aiCalls.reduce((sum, call) => sum + call.inputTokens + call.outputTokens, 0);
  return [
    ...logs.map(({ level, message, data }): Change => ({
      kind: "createLog",
      row: {
        ...made(),
        workflowStageId: stage.recordId,
        level,
        message: encodeFreeText(message, "message"),
        metadata: data,
      },
    })),
    ...annotations.map(({ key, value }): Change => ({
      kind: "appendAnnotation",
      row: {
        ...made(),
        workflowStageRecordId: stage.recordId,
        attempt: stage.attempt,
        scope: "stage",
        scopeId: stage.stageId,
        actorKind: "stage",
        actorId: stage.stageId,
        actorVersion: String(run.delivered.version),
        key,
        value,
        payload: null,
        idempotencyKey: null,
      },
    })),
    ...artifacts.map(({ key, data, metadata }): Change => ({
      kind: "saveArtifact",
      row: {
        ...made(),
        updatedAt: at,
        key,
        workflowStageId: stage.recordId,
        type: "ARTIFACT",
        data,
        size: utf8Length(data),
        metadata,
      },
      replaceStage: true,
      replaceMetadata: metadata !== null,
      linkStageId: null,
    })),
    ...aiCalls.map((call): Change => ({
      kind: "recordAiCall",
      row: {
        batchId: call.batchId ?? "",
        ordinal: ordinal(),
        createdAt: at,
        topic: `workflow.${workflowRunId}.stage.${stage.stageId}`,
        callType: call.callType ?? "text",
        modelKey: call.model,
        modelId: call.model,
        prompt: encodeFreeText(call.prompt ?? "", "prompt"),
        response: encodeFreeText(call.response ?? "", "response"),
        inputTokens: call.inputTokens,
        outputTokens: call.outputTokens,
        cost: call.cost,
        metadata: encodeNullableJson(call.metadata, "metadata"),
      },
    })),
    ...(aiCalls.length === 0
      ? []
      : [{ kind: "chargeRun" as const, id: workflowRunId, cost, tokens, at }]),
  ];
}
