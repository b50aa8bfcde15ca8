/** Stages, over a unit of work. */
import { type RowGuard } from "../changes/index.ts";
import {
  blank,
  encoded,
  encodeInstant,
  encodeNullableInstant,
  encodeNullableJson,
  newStageRow,
  splitStageRecordId,
  stageRecordId,
  stageSet,
  toStageRecord,
  unsignedZero,
} from "../model/index.ts";
import {
  allPages,
  fullPage,
  type QueryOf,
  suspendedStagePlace,
  type SuspendedStagePlace,
} from "../queries/index.ts";
import {
  type CreateStageInput,
  ServiceError,
  type UpdateStageInput,
  type UpsertStageInput,
  type WorkflowStageRecord,
  type WorkflowStageStatus,
} from "../contract/index.ts";
import { checkedChanges, checkedQuery, requireObject, requireText } from "./encode.ts";
import { alreadyExists, notFound } from "./faults.ts";
import { checkedVersion, runNotFound } from "./runs.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

const BLANK = blank(newStageRow);

/** The error of every method that names a stage. */
export function stageNotFound(id: string): ServiceError {
  return notFound("WorkflowStage", id);
}

async function newRow(unit: UnitOfWork, data: CreateStageInput) {
  const now = await unit.now();
  const { workflowRunId, stageId } = data;
  // An id can only be made of texts. If one is missing, the row is refused by that field's name.
  const named = typeof workflowRunId === "string" && typeof stageId === "string";
  return {
    ...BLANK,
    workflowRunId,
    stageId,
    id: named ? stageRecordId(workflowRunId, stageId, unit.ordinal(now)) : "",
    createdAt: now,
    updatedAt: now,
    version: 1,
    stageName: data.stageName,
    stageNumber: unsignedZero(data.stageNumber),
    executionGroup: unsignedZero(data.executionGroup),
    attempt: unsignedZero(data.attempt ?? 0),
    status: data.status ?? ("PENDING" as const),
    startedAt: encodeNullableInstant(data.startedAt, "startedAt"),
    inputData: encodeNullableJson(data.inputData, "inputData"),
    config: encodeNullableJson(data.config, "config"),
  };
}

export async function createStage(
  unit: UnitOfWork,
  data: CreateStageInput,
): Promise<WorkflowStageRecord> {
  const row = await newRow(unit, requireObject("createStage", data));
  const { workflowRunId, stageId } = row;
  const changes = checkedChanges("createStage", [{ kind: "createStage", row }]);
  const written = await unit.write({
    guards: [
      { on: "run", id: workflowRunId, expect: { is: "present" } },
      { on: "stage", workflowRunId, stageId, expect: { is: "absent" } },
    ],
    changes,
  });
  if (written.applied) return toStageRecord(row);
  if (written.violation.guard === 0) throw runNotFound(workflowRunId);
  throw alreadyExists("WorkflowStage", `${workflowRunId}/${stageId}`);
}

export async function upsertStage(
  unit: UnitOfWork,
  data: UpsertStageInput,
): Promise<WorkflowStageRecord> {
  const { workflowRunId, stageId } = requireObject("upsertStage", data);
  const create = requireObject("upsertStage", data.create);
  const row = await newRow(unit, { ...create, workflowRunId, stageId });
  const changes = checkedChanges("upsertStage", [
    { kind: "upsertStage", row, set: encoded(stageSet, requireObject("upsertStage", data.update)) },
  ]);
  const written = await unit.write({
    guards: [{ on: "run", id: workflowRunId, expect: { is: "present" } }],
    changes,
    reads: () => [{ q: "stage", workflowRunId, stageId }],
  });
  if (!written.applied) throw runNotFound(workflowRunId);
  const [stored] = written.results;
  if (stored === null) {
    // Only when the answer was lost and somebody has deleted the stage since.
    throw new ServiceError("UNAVAILABLE", `WorkflowStage ${workflowRunId}/${stageId} is gone`);
  }
  return toStageRecord(stored);
}

export async function updateStage(
  unit: UnitOfWork,
  id: string,
  data: UpdateStageInput,
): Promise<void> {
  const key = splitStageRecordId(requireText("updateStage", id));
  const version = checkedVersion("updateStage", requireObject("updateStage", data).expectedVersion);
  if (key === null) throw missing(unit, id, version);
  const guards: RowGuard[] = [{ on: "stage", ...key, expect: { is: "record", id } }];
  if (version !== undefined)
    guards.push({ on: "stage", ...key, expect: { is: "version", version } });
  const violation = await write(unit, "updateStage", key, data, guards);
  if (violation === null) return;
  if (violation.guard === 0) throw missing(unit, id, version);
  throw unit.stale("WorkflowStage", id, version ?? 0, violation.actual);
}

export async function updateStageByRunAndStageId(
  unit: UnitOfWork,
  workflowRunId: string,
  stageId: string,
  data: UpdateStageInput,
): Promise<void> {
  const method = "updateStageByRunAndStageId";
  const version = checkedVersion(method, requireObject(method, data).expectedVersion);
  const key = { workflowRunId, stageId };
  const violation = await write(unit, method, key, data, [
    {
      on: "stage",
      ...key,
      expect: version === undefined ? { is: "present" } : { is: "version", version },
    },
  ]);
  if (violation === null) return;
  const name = `${workflowRunId}/${stageId}`;
  if (version === undefined || violation.actual === -1) throw missing(unit, name, version);
  const [stored] = await unit.read([{ q: "stage", ...key }]);
  throw unit.stale("WorkflowStage", stored?.id ?? name, version, violation.actual);
}

async function write(
  unit: UnitOfWork,
  method: string,
  key: { workflowRunId: string; stageId: string },
  data: UpdateStageInput,
  guards: readonly RowGuard[],
) {
  const set = encoded(stageSet, requireObject(method, data));
  const at = await unit.now();
  const changes = checkedChanges(method, [{ kind: "updateStage", ...key, set, at, bump: 1 }]);
  const written = await unit.write({ guards, changes });
  return written.applied ? null : written.violation;
}

function missing(unit: UnitOfWork, id: string, version: number | undefined): Error {
  return version === undefined ? stageNotFound(id) : unit.stale("WorkflowStage", id, version, -1);
}

export async function getStage(
  unit: UnitOfWork,
  workflowRunId: string,
  stageId: string,
): Promise<WorkflowStageRecord | null> {
  if (workflowRunId === "" || stageId === "") return null;
  const [row] = await unit.read([checkedQuery("getStage", { q: "stage", workflowRunId, stageId })]);
  return row === null ? null : toStageRecord(row);
}

export async function getStageById(
  unit: UnitOfWork,
  id: string,
): Promise<WorkflowStageRecord | null> {
  const key = splitStageRecordId(requireText("getStageById", id));
  if (key === null) return null;
  const [row] = await unit.read([checkedQuery("getStageById", { q: "stageById", ...key, id })]);
  return row === null ? null : toStageRecord(row);
}

type StagesQuery = QueryOf<"stages">;

async function list(
  unit: UnitOfWork,
  method: string,
  workflowRunId: string,
  filters: Partial<StagesQuery>,
): Promise<WorkflowStageRecord[]> {
  if (workflowRunId === "") return [];
  const [rows] = await unit.read([
    checkedQuery<StagesQuery>(method, {
      q: "stages",
      workflowRunId,
      status: null,
      beforeGroup: null,
      withoutNextPoll: false,
      descending: false,
      limit: null,
      ...filters,
    }),
  ]);
  return rows.map(toStageRecord);
}

export async function getStagesByRun(
  unit: UnitOfWork,
  workflowRunId: string,
  options?: { status?: WorkflowStageStatus; orderBy?: "asc" | "desc" },
): Promise<WorkflowStageRecord[]> {
  return list(unit, "getStagesByRun", workflowRunId, {
    status: options?.status ?? null,
    descending: options?.orderBy === "desc",
  });
}

export async function getSuspendedStages(
  unit: UnitOfWork,
  beforeDate: Date,
): Promise<WorkflowStageRecord[]> {
  const before = encodeInstant(beforeDate, "beforeDate");
  const rows = await allPages(async (after: SuspendedStagePlace | null) => {
    const [page] = await unit.read([{ q: "suspendedStages", before, after }]);
    return fullPage(page, suspendedStagePlace);
  });
  return rows.map(toStageRecord);
}

export async function getFirstSuspendedStageReadyToResume(unit: UnitOfWork, runId: string) {
  const stages = await list(unit, "getFirstSuspendedStageReadyToResume", runId, {
    status: "SUSPENDED",
    withoutNextPoll: true,
    limit: 1,
  });
  return stages[0] ?? null;
}

export async function getFirstFailedStage(unit: UnitOfWork, runId: string) {
  const stages = await list(unit, "getFirstFailedStage", runId, { status: "FAILED", limit: 1 });
  return stages[0] ?? null;
}

export async function getLastCompletedStage(unit: UnitOfWork, runId: string) {
  const stages = await list(unit, "getLastCompletedStage", runId, {
    status: "COMPLETED",
    descending: true,
    limit: 1,
  });
  return stages[0] ?? null;
}

export async function getLastCompletedStageBefore(
  unit: UnitOfWork,
  runId: string,
  executionGroup: number,
) {
  const stages = await list(unit, "getLastCompletedStageBefore", runId, {
    status: "COMPLETED",
    beforeGroup: executionGroup,
    descending: true,
    limit: 1,
  });
  return stages[0] ?? null;
}

export async function deleteStage(unit: UnitOfWork, id: string): Promise<void> {
  const key = splitStageRecordId(requireText("deleteStage", id));
  if (key === null) throw stageNotFound(id);
  const changes = checkedChanges("deleteStage", [{ kind: "deleteStage", ...key, id }]);
  const written = await unit.write({
    guards: [{ on: "stage", ...key, expect: { is: "record", id } }],
    changes,
  });
  if (!written.applied) throw stageNotFound(id);
}
