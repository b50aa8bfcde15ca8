/** Annotations, over a unit of work. */
import {
  ANNOTATIONS_LIST_DEFAULT,
  ANNOTATIONS_LIST_MAX,
  encoded,
  encodeJson,
  encodeNullableJson,
  toAnnotationRecord,
  unsignedZero,
} from "../model/index.ts";
import { annotationFilters } from "../queries/index.ts";
import type {
  AnnotationFilters,
  CreateAnnotationInput,
  WorkflowAnnotationRecord,
} from "../contract/index.ts";
import { checkedChanges, checkedQuery, invalid, requireList, requireObject } from "./encode.ts";
import { distinct, runReference, stageReference } from "./stage-reference.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/**
 * Annotations with an idempotency key that is there are dropped by the change itself, so this never
 * conflicts.
 * @throws NOT_FOUND for a run or stage that does not exist.
 */
export async function appendAnnotations(
  unit: UnitOfWork,
  inputs: readonly CreateAnnotationInput[],
): Promise<void> {
  if (requireList("appendAnnotations", inputs).length === 0) return;
  for (const input of inputs) requireObject("appendAnnotations", input);
  const now = await unit.now();
  const changes = checkedChanges(
    "appendAnnotations",
    inputs.map((input) => ({ kind: "appendAnnotation" as const, row: newRow(unit, now, input) })),
  );
  const references = distinct(
    inputs.flatMap(({ workflowRunId, workflowStageRecordId }) => [
      runReference(workflowRunId),
      ...(workflowStageRecordId === undefined || workflowStageRecordId === null
        ? []
        : [stageReference(workflowStageRecordId, workflowRunId)]),
    ]),
  );
  const written = await unit.write({ guards: references.map(({ guard }) => guard), changes });
  if (!written.applied) throw references[written.violation.guard]?.error;
}

function newRow(unit: UnitOfWork, now: number, input: CreateAnnotationInput) {
  return {
    workflowRunId: input.workflowRunId,
    ordinal: unit.ordinal(now),
    createdAt: now,
    workflowStageRecordId: input.workflowStageRecordId ?? null,
    attempt: unsignedZero(input.attempt ?? 0),
    scope: input.scope,
    scopeId: input.scopeId ?? null,
    actorKind: input.actor?.kind ?? null,
    actorId: input.actor?.id ?? null,
    actorVersion: input.actor?.version ?? null,
    key: input.key,
    value: encodeJson(input.value, "value"),
    payload: encodeNullableJson(input.payload, "payload"),
    idempotencyKey: input.idempotencyKey ?? null,
  };
}

/** @throws INVALID_ARGUMENT for a limit beyond ANNOTATIONS_LIST_MAX. */
export async function listAnnotations(
  unit: UnitOfWork,
  workflowRunId: string,
  filters?: AnnotationFilters,
): Promise<WorkflowAnnotationRecord[]> {
  if (workflowRunId === "") return [];
  const limit = filters?.limit ?? ANNOTATIONS_LIST_DEFAULT;
  if (limit > ANNOTATIONS_LIST_MAX) {
    throw invalid(`listAnnotations: limit must be at most ${ANNOTATIONS_LIST_MAX}`, {
      field: "limit",
      limit: ANNOTATIONS_LIST_MAX,
    });
  }
  const [rows] = await unit.read([
    checkedQuery("listAnnotations", {
      q: "annotations",
      workflowRunId,
      filters: encoded(annotationFilters, { ...filters, limit }),
    }),
  ]);
  return rows.map(toAnnotationRecord);
}
