/**
 * What a transaction loads of the database at a time. Once a unit is loaded, the transaction's
 * local copy knows all of it, rows that do not exist included.
 */
import type { RowRef } from "../model/row-ref.ts";

/** Units may overlap: a run's jobs are a unit, and so is one job. */
export type LoadUnit =
  | { readonly of: "run"; readonly id: string }
  | { readonly of: "stage"; readonly workflowRunId: string; readonly stageId: string }
  | { readonly of: "stages"; readonly workflowRunId: string }
  | { readonly of: "artifact"; readonly workflowRunId: string; readonly key: string }
  | { readonly of: "artifacts"; readonly workflowRunId: string }
  | { readonly of: "annotations"; readonly workflowRunId: string }
  | { readonly of: "outboxEvent"; readonly workflowRunId: string; readonly sequence: number }
  /** The sequence of the run's last outbox event. */
  | { readonly of: "outboxTail"; readonly workflowRunId: string }
  | { readonly of: "idempotencyKey"; readonly key: string; readonly commandType: string }
  | { readonly of: "job"; readonly workflowRunId: string; readonly ordinal: string }
  | { readonly of: "jobs"; readonly workflowRunId: string }
  /** The live job with this dedupe key. */
  | { readonly of: "dedupeKey"; readonly dedupeKey: string };

/** One text per unit, for sets and maps. */
export function unitName(unit: LoadUnit): string {
  return JSON.stringify(Object.values(unit));
}

/** The larger unit that includes this one; null when there is none. */
export function unitAround(unit: LoadUnit): LoadUnit | null {
  switch (unit.of) {
    case "stage":
      return { of: "stages", workflowRunId: unit.workflowRunId };
    case "artifact":
      return { of: "artifacts", workflowRunId: unit.workflowRunId };
    case "job":
      return { of: "jobs", workflowRunId: unit.workflowRunId };
    default:
      return null;
  }
}

/** The smallest unit with the row; null for rows that a transaction never reads back. */
export function unitOfRow(row: RowRef | null): LoadUnit | null {
  if (row === null) return null;
  const { table, part, key } = row;
  switch (table) {
    case "runs":
      return { of: "run", id: part };
    case "stages":
      return { of: "stage", workflowRunId: part, stageId: key };
    case "artifacts":
      return { of: "artifact", workflowRunId: part, key };
    case "annotations":
      return { of: "annotations", workflowRunId: part };
    case "outboxEvents":
      return { of: "outboxEvent", workflowRunId: part, sequence: Number(key) };
    case "idempotencyKeys":
      return { of: "idempotencyKey", key: part, commandType: key };
    case "jobs":
      return { of: "job", workflowRunId: part, ordinal: key };
    case "logs":
    case "stageAttempts":
    case "signals":
    case "aiCalls":
    case "aiCallTotals":
      return null;
  }
}

/** A list of a run's rows on which a transaction can depend. */
export type ListName = "stages" | "artifacts" | "annotations" | "jobs";

/** The unit with the whole list. */
export function unitOfList(list: ListName, workflowRunId: string): LoadUnit {
  return { of: list, workflowRunId };
}
