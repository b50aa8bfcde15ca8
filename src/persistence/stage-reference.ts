/** The reference of a log, an artifact or an annotation to a stage of its run. */
import { type Guard } from "../changes/index.ts";
import { splitStageRecordId } from "../model/index.ts";
import { runNotFound } from "./runs.ts";
import { stageNotFound } from "./stages.ts";

export interface Reference {
  readonly guard: Guard;
  readonly error: Error;
}

export function runReference(id: string): Reference {
  return { guard: { on: "run", id, expect: { is: "present" } }, error: runNotFound(id) };
}

/** @throws NOT_FOUND for an id that is no stage's, or a stage's of another run. */
export function stageReference(id: string, workflowRunId?: string): Reference {
  const key = splitStageRecordId(id);
  if (key === null || (workflowRunId !== undefined && key.workflowRunId !== workflowRunId)) {
    throw stageNotFound(id);
  }
  return { guard: { on: "stage", ...key, expect: { is: "record", id } }, error: stageNotFound(id) };
}

/** Each guard once. */
export function distinct(references: readonly Reference[]): Reference[] {
  return [
    ...new Map(
      references.map((reference) => [JSON.stringify(reference.guard), reference]),
    ).values(),
  ];
}
