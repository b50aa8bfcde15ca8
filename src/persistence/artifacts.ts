/** Artifacts, over a unit of work. */
import {
  decodeJson,
  encodeJson,
  encodeNullableJson,
  toArtifactRecord,
  unsignedZero,
  utf8Length,
} from "../model/index.ts";
import { type SaveArtifactInput, type WorkflowArtifactRecord } from "../contract/index.ts";
import { checkedChanges, checkedQuery, invalid, requireObject } from "./encode.ts";
import { notFound } from "./faults.ts";
import { runReference, stageReference } from "./stage-reference.ts";
import { getStage } from "./stages.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/** @throws NOT_FOUND for a run or stage that does not exist. */
export async function saveArtifact(unit: UnitOfWork, data: SaveArtifactInput): Promise<void> {
  const { workflowRunId, key, type, size } = requireObject("saveArtifact", data);
  const stageId = data.workflowStageId ?? null;
  const row = {
    ...(await newRow(unit, workflowRunId, key)),
    workflowStageId: stageId,
    type,
    data: encodeData(data.data),
    size: unsignedZero(size),
    metadata: encodeNullableJson(data.metadata, "metadata"),
  };
  const changes = checkedChanges("saveArtifact", [
    {
      kind: "saveArtifact",
      row,
      replaceStage: data.workflowStageId !== undefined,
      replaceMetadata: data.metadata !== undefined,
      linkStageId: null,
    },
  ]);
  const references = [
    runReference(workflowRunId),
    ...(stageId === null ? [] : [stageReference(stageId, workflowRunId)]),
  ];
  const written = await unit.write({ guards: references.map(({ guard }) => guard), changes });
  if (!written.applied) throw references[written.violation.guard]?.error;
}

/** Links the stage by its stageId; the change looks its record up. */
export async function saveStageOutput(
  unit: UnitOfWork,
  runId: string,
  workflowType: string,
  stageId: string,
  output: unknown,
): Promise<string> {
  for (const [field, value] of Object.entries({ runId, workflowType, stageId })) {
    if (typeof value !== "string") {
      throw invalid(`saveStageOutput: ${field} must be a string`, { field });
    }
  }
  const key = `workflow-v2/${workflowType}/${runId}/${stageId}/output.json`;
  const data = encodeData(output, "output");
  const row = {
    ...(await newRow(unit, runId, key)),
    workflowStageId: null,
    type: "STAGE_OUTPUT" as const,
    data,
    size: utf8Length(data),
    metadata: null,
  };
  const changes = checkedChanges("saveStageOutput", [
    { kind: "saveArtifact", row, replaceStage: true, replaceMetadata: false, linkStageId: stageId },
  ]);
  const run = runReference(runId);
  const written = await unit.write({ guards: [run.guard], changes });
  if (!written.applied) throw run.error;
  return key;
}

/** The columns that every new artifact has. */
async function newRow(unit: UnitOfWork, workflowRunId: string, key: string) {
  const now = await unit.now();
  return { workflowRunId, key, ordinal: unit.ordinal(now), createdAt: now, updatedAt: now };
}

/**
 * JSON text of an artifact. `loadArtifact` answers undefined for "no such artifact", so undefined
 * cannot be its data.
 */
function encodeData(data: unknown, field = "data"): string {
  if (data === undefined) throw invalid(`${field} must not be undefined`, { field });
  return encodeJson(data, field);
}

export async function loadArtifact(
  unit: UnitOfWork,
  workflowRunId: string,
  key: string,
): Promise<unknown> {
  if (workflowRunId === "") return undefined;
  const [row] = await unit.read([
    checkedQuery("loadArtifact", { q: "artifact", workflowRunId, key }),
  ]);
  return row === null ? undefined : decodeJson(row.data);
}

export async function hasArtifact(
  unit: UnitOfWork,
  workflowRunId: string,
  key: string,
): Promise<boolean> {
  if (workflowRunId === "") return false;
  const [found] = await unit.read([
    checkedQuery("hasArtifact", { q: "hasArtifact", workflowRunId, key }),
  ]);
  return found;
}

/** @throws NOT_FOUND */
export async function deleteArtifact(
  unit: UnitOfWork,
  workflowRunId: string,
  key: string,
): Promise<void> {
  const changes = checkedChanges("deleteArtifact", [
    { kind: "deleteArtifact", workflowRunId, key },
  ]);
  const written = await unit.write({
    guards: [{ on: "artifact", workflowRunId, key, expect: { is: "present" } }],
    changes,
  });
  if (written.applied) return;
  throw notFound("WorkflowArtifact", key, `Artifact ${key} of ${workflowRunId}`);
}

export async function listArtifacts(
  unit: UnitOfWork,
  workflowRunId: string,
): Promise<WorkflowArtifactRecord[]> {
  if (workflowRunId === "") return [];
  const [rows] = await unit.read([
    checkedQuery("listArtifacts", { q: "artifacts", workflowRunId }),
  ]);
  return rows.map(toArtifactRecord);
}

export async function getStageIdForArtifact(
  unit: UnitOfWork,
  runId: string,
  stageId: string,
): Promise<string | null> {
  return (await getStage(unit, runId, stageId))?.id ?? null;
}
