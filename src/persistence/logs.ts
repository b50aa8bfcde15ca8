/** Logs, over a unit of work. */
import { encodeFreeText, encodeNullableJson, splitStageRecordId } from "../model/index.ts";
import type { CreateLogInput } from "../contract/index.ts";
import { checkedChanges, invalid, requireObject } from "./encode.ts";
import { runReference, stageReference } from "./stage-reference.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/**
 * A line of a stage goes to the log of the stage's run; without either it belongs to no run.
 * @throws NOT_FOUND for a run or stage that does not exist.
 */
export async function createLog(unit: UnitOfWork, data: CreateLogInput): Promise<void> {
  requireObject("createLog", data);
  const runId = data.workflowRunId ?? null;
  // "" is stored for no run, and is the id of none.
  if (runId === "") {
    throw invalid("createLog: workflowRunId must not be empty", { field: "workflowRunId" });
  }
  const stageId = data.workflowStageId ?? null;
  const now = await unit.now();
  const row = {
    workflowRunId:
      runId ?? (stageId === null ? "" : (splitStageRecordId(stageId)?.workflowRunId ?? "")),
    ordinal: unit.ordinal(now),
    createdAt: now,
    workflowStageId: stageId,
    level: data.level,
    message: encodeFreeText(data.message, "message"),
    metadata: encodeNullableJson(data.metadata, "metadata"),
  };
  const changes = checkedChanges("createLog", [{ kind: "createLog", row }]);
  const references = [
    ...(runId === null ? [] : [runReference(runId)]),
    ...(stageId === null ? [] : [stageReference(stageId, runId ?? undefined)]),
  ];
  const written = await unit.write({ guards: references.map(({ guard }) => guard), changes });
  if (!written.applied) throw references[written.violation.guard]?.error;
}
