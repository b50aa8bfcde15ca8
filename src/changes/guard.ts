/**
 * A guard is a condition that must hold when a commit lands, as data. All guards are checked before
 * the first change; the first that fails refuses the whole commit.
 */
import * as z from "zod";
import {
  countField,
  idField,
  keyField,
  ordinalField,
  recordIdField,
  statusField,
  wholeField,
} from "../model/fields.ts";
import { COMMIT_ID_CHARS } from "../model/ids.ts";
import {
  artifactRef,
  idempotencyKeyRef,
  jobRef,
  outboxEventRef,
  type RowRef,
  runRef,
  stageRef,
} from "../model/row-ref.ts";
import { type LoadUnit, unitOfList, unitOfRow } from "../queries/load-unit.ts";

const tokenField = z.string().length(COMMIT_ID_CHARS);

const present = z.strictObject({ is: z.literal("present") });
const absent = z.strictObject({ is: z.literal("absent") });
/** The row's token is this one: nobody wrote the row since it was read. */
const unchanged = z.strictObject({ is: z.literal("unchanged"), token: tokenField });
const version = z.strictObject({ is: z.literal("version"), version: wholeField });
const status = z.strictObject({ is: z.literal("status"), status: statusField });
/** A stage's record id: the same pair (run, stageId) may have been deleted and created again. */
const record = z.strictObject({ is: z.literal("record"), id: recordIdField });
/** A job's attempt: the fence of a delivery. */
const attempt = z.strictObject({ is: z.literal("attempt"), attempt: countField });

/** Tokens of rows, in the order of the rows' keys, joined by commas; "" for none. */
const tokensField = z.string().max(COMMIT_ID_CHARS * 100_000);

export const guard = z.discriminatedUnion("on", [
  z.strictObject({
    on: z.literal("run"),
    id: idField,
    expect: z.discriminatedUnion("is", [present, absent, unchanged, version, status]),
  }),
  z.strictObject({
    on: z.literal("stage"),
    workflowRunId: idField,
    stageId: idField,
    expect: z.discriminatedUnion("is", [present, absent, unchanged, version, record]),
  }),
  z.strictObject({
    on: z.literal("artifact"),
    workflowRunId: idField,
    key: keyField,
    expect: z.discriminatedUnion("is", [present, absent, unchanged]),
  }),
  z.strictObject({
    on: z.literal("outboxEvent"),
    workflowRunId: idField,
    sequence: countField,
    expect: z.discriminatedUnion("is", [present, absent, unchanged]),
  }),
  z.strictObject({
    on: z.literal("idempotencyKey"),
    key: keyField,
    commandType: keyField,
    expect: z.discriminatedUnion("is", [absent, unchanged]),
  }),
  z.strictObject({
    on: z.literal("job"),
    workflowRunId: idField,
    ordinal: ordinalField,
    expect: z.discriminatedUnion("is", [present, absent, unchanged, attempt]),
  }),
  /** No live job has the key. */
  z.strictObject({ on: z.literal("dedupeKey"), dedupeKey: keyField }),
  /** The run's rows of one kind (stages by stageId, artifacts by key, annotations and jobs by ordinal) are these, unchanged. */
  z.strictObject({
    on: z.literal("list"),
    list: z.enum(["stages", "artifacts", "annotations", "jobs"]),
    workflowRunId: idField,
    /** Only the stages with this status count. */
    status: statusField.nullable(),
    tokens: tokensField,
  }),
  /** The run's last outbox event has this sequence; 0: it has none. */
  z.strictObject({
    on: z.literal("outboxTail"),
    workflowRunId: idField,
    sequence: countField,
  }),
]);
export type Guard = z.infer<typeof guard>;
/** A guard of one row, by its key. */
export type RowGuard = Extract<Guard, { expect: unknown }>;

/** Whether the guard looks at one row. */
export function isRowGuard(one: Guard): one is RowGuard {
  return "expect" in one;
}

/** The tables whose single rows can be guarded. */
export type GuardedTable =
  | "runs"
  | "stages"
  | "artifacts"
  | "outboxEvents"
  | "idempotencyKeys"
  | "jobs";

/** The row that the guard looks at. */
export function guardedRow(one: RowGuard): RowRef<GuardedTable> {
  switch (one.on) {
    case "run":
      return runRef(one.id);
    case "stage":
      return stageRef(one);
    case "artifact":
      return artifactRef(one);
    case "outboxEvent":
      return outboxEventRef(one);
    case "idempotencyKey":
      return idempotencyKeyRef(one);
    case "job":
      return jobRef(one);
  }
}

/** The unit that a transaction loads to check the guard. */
export function unitOfGuard(one: Guard): LoadUnit | null {
  switch (one.on) {
    case "list":
      return unitOfList(one.list, one.workflowRunId);
    case "outboxTail":
      return { of: "run", id: one.workflowRunId };
    case "dedupeKey":
      return { of: "dedupeKey", dedupeKey: one.dedupeKey };
    default:
      return unitOfRow(guardedRow(one));
  }
}

/** Why a commit was refused. */
export interface Violation {
  /** Which of the commit's guards. */
  readonly guard: number;
  /** What was found: for runs and stages the stored version, for jobs the attempt; -1 for a missing row; otherwise 0. */
  readonly actual: number;
}
