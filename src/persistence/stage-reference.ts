/** The reference of a log, an artifact or an annotation to its run and to a stage of it. */
import { type RowGuard } from "../changes/index.ts";
import { splitStageRecordId } from "../model/index.ts";
import { runNotFound } from "./runs.ts";
import { stageNotFound } from "./stages.ts";

/** The guard that what is referred to exists, and the error if it does not. */
export interface Reference {
  readonly guard: RowGuard;
  readonly error: Error;
}

export function runReference(id: string): Reference {
  return { guard: { on: "run", id, expect: { is: "present" } }, error: runNotFound(id) };
}

/** @throws NOT_FOUND for an id that is no stage's, or that belongs to another run. */
export function stageReference(id: string, workflowRunId?: string): Reference {
  const key = splitStageRecordId(id);
  if (key === null || (workflowRunId !== undefined && key.workflowRunId !== workflowRunId)) {
    throw stageNotFound(id);
  }
  return { guard: { on: "stage", ...key, expect: { is: "record", id } }, error: stageNotFound(id) };
}

/** The references, each guard once. */
export function distinct(references: readonly Reference[]): Reference[] {
  return [
    ...new Map(
      references.map((reference) => [JSON.stringify(reference.guard), reference]),
    ).values(),
  ];
}
