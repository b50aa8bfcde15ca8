/** A row's name, which exists before anybody has read the row: its table and its key. */
import type { Rows, TableName } from "./state.ts";

/** A table and the two parts of a key in it. `key` is "" where the first part is the whole key. */
export interface RowRef<Table extends TableName = TableName> {
  readonly table: Table;
  readonly part: string;
  readonly key: string;
}

/** The name as one text, for sets and maps. Ids hold no NUL, so no two rows share one. */
export function rowName({ table, part, key }: RowRef): string {
  return `${table}\0${part}\0${key}`;
}

export function runRef(id: string): RowRef<"runs"> {
  return { table: "runs", part: id, key: "" };
}

export function stageRef(row: Pick<Rows["stages"], "workflowRunId" | "stageId">): RowRef<"stages"> {
  return { table: "stages", part: row.workflowRunId, key: row.stageId };
}

export function signalRef(row: Pick<Rows["signals"], "workflowRunId" | "id">): RowRef<"signals"> {
  return { table: "signals", part: row.workflowRunId, key: row.id };
}

export function logRef(row: Pick<Rows["logs"], "workflowRunId" | "ordinal">): RowRef<"logs"> {
  return { table: "logs", part: row.workflowRunId, key: row.ordinal };
}

export function artifactRef(
  row: Pick<Rows["artifacts"], "workflowRunId" | "key">,
): RowRef<"artifacts"> {
  return { table: "artifacts", part: row.workflowRunId, key: row.key };
}

export function annotationRef(
  row: Pick<Rows["annotations"], "workflowRunId" | "ordinal">,
): RowRef<"annotations"> {
  return { table: "annotations", part: row.workflowRunId, key: row.ordinal };
}

export function outboxEventRef(
  row: Pick<Rows["outboxEvents"], "workflowRunId" | "sequence">,
): RowRef<"outboxEvents"> {
  return { table: "outboxEvents", part: row.workflowRunId, key: String(row.sequence) };
}

export function idempotencyKeyRef(
  row: Pick<Rows["idempotencyKeys"], "key" | "commandType">,
): RowRef<"idempotencyKeys"> {
  return { table: "idempotencyKeys", part: row.key, key: row.commandType };
}

export function jobRef(row: Pick<Rows["jobs"], "workflowRunId" | "ordinal">): RowRef<"jobs"> {
  return { table: "jobs", part: row.workflowRunId, key: row.ordinal };
}

export function aiCallRef(row: Pick<Rows["aiCalls"], "batchId" | "ordinal">): RowRef<"aiCalls"> {
  return { table: "aiCalls", part: row.batchId, key: row.ordinal };
}
