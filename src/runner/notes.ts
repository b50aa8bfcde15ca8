/** What a stage said while it ran, as changes of the commit of its outcome. */
import type { Change } from "../changes/index.ts";
import type { StageNotes } from "../engine/delivery.ts";
import { encodeFreeText, encodeNullableJson, encodeText, utf8Length } from "../model/index.ts";
import { ordinalOf } from "../persistence/ai-calls.ts";
import type { EngineRun } from "./lease.ts";
import type { Moment } from "./rows.ts";

type Recorded = Extract<Change, { kind: "recordAiCall" }>["row"];

/** Each call with its place, if it names a request of its batch. Of calls of one request the first. */
async function placed(aiCalls: StageNotes["aiCalls"]) {
  const all = new Map<string, readonly [StageNotes["aiCalls"][number], place: string | null]>();
  for (const [at, call] of aiCalls.entries()) {
    const { batchId, requestId } = call;
    const place =
      (batchId ?? "") === "" || requestId === undefined
        ? null
        : await ordinalOf(encodeText(requestId));
    const key = JSON.stringify(place === null ? at : [batchId, place]);
    if (!all.has(key)) all.set(key, [call, place]);
  }
  return [...all.values()];
}

/** What the calls cost. Those of requests cost what they do if the commit is the first to record them. */
function charge(rows: readonly Recorded[], haveRequests: boolean) {
  const calls = rows.map(({ batchId, ordinal, cost, inputTokens, outputTokens }) => {
    return { batchId, ordinal, cost, tokens: inputTokens + outputTokens };
  });
  if (haveRequests) return { cost: 0, tokens: 0, calls };
  return {
    cost: calls.reduce((sum, { cost }) => sum + cost, 0),
    tokens: calls.reduce((sum, { tokens }) => sum + tokens, 0),
  };
}

export async function noted(
  { logs, annotations, artifacts, aiCalls }: StageNotes,
  run: EngineRun,
  stage: { readonly stageId: string; readonly recordId: string; readonly attempt: number },
  { at, ordinal }: Moment,
): Promise<Change[]> {
  const workflowRunId = run.id;
  const made = () => ({ workflowRunId, ordinal: ordinal(), createdAt: at });
  const calls = await placed(aiCalls);
  const recorded = calls.map(([call, place]): Recorded => ({
    batchId: call.batchId ?? "",
    ordinal: place ?? ordinal(),
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
  }));
  const haveRequests = calls.some(([, place]) => place !== null);
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
    // Before the calls, which tell what is recorded already.
    ...(recorded.length === 0
      ? []
      : [{ kind: "chargeRun" as const, id: workflowRunId, ...charge(recorded, haveRequests), at }]),
    ...recorded.map((row): Change => ({ kind: "recordAiCall", row })),
  ];
}
