/**
 * A guard is a condition that must hold when a commit lands, as data. All guards are checked before
 * the first change; the first that does not hold refuses the whole commit.
 */
import { object, nullable, text, oneOf, literal, variants, type TypeOf } from "../model/shape.ts";
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

const tokenField = text((token) =>
  token.length === COMMIT_ID_CHARS ? null : { message: "must be a token" },
);

const present = object({ is: literal("present") });
const absent = object({ is: literal("absent") });
/** The row's token is this one: nobody has written the row since it was read. */
const unchanged = object({ is: literal("unchanged"), token: tokenField });
const version = object({ is: literal("version"), version: wholeField });
const status = object({ is: literal("status"), status: statusField });
/** The stage's record id. The same pair (run, stageId) may have been deleted and made anew. */
const record = object({ is: literal("record"), id: recordIdField });
/** The same, and the stage has this status. */
const recordIn = object({ is: literal("recordIn"), id: recordIdField, status: statusField });
/** The job's attempt, which fences a delivery: a later attempt makes this fail. */
const attempt = object({ is: literal("attempt"), attempt: countField });
/** The job is RUNNING at this stage, and this attempt has its lease. */
const leased = object({ is: literal("leased"), attempt: countField, stageId: idField });

/** Far more than the rows that a transaction can load. */
const TOKENS_CHARS_MAX = COMMIT_ID_CHARS * 100_000;
/** Tokens of rows in the order of the rows' keys, with commas between; "" for none. */
const tokensField = text(({ length }) =>
  length <= TOKENS_CHARS_MAX ? null : { message: "must be tokens", limit: TOKENS_CHARS_MAX },
);

export const guard = variants("on", {
  run: object({
    on: literal("run"),
    id: idField,
    expect: variants("is", { present, absent, unchanged, version, status }),
  }),
  stage: object({
    on: literal("stage"),
    workflowRunId: idField,
    stageId: idField,
    expect: variants("is", { present, absent, unchanged, version, record, recordIn, status }),
  }),
  artifact: object({
    on: literal("artifact"),
    workflowRunId: idField,
    key: keyField,
    expect: variants("is", { present, absent, unchanged }),
  }),
  outboxEvent: object({
    on: literal("outboxEvent"),
    workflowRunId: idField,
    sequence: countField,
    expect: variants("is", { present, absent, unchanged }),
  }),
  idempotencyKey: object({
    on: literal("idempotencyKey"),
    key: keyField,
    commandType: keyField,
    expect: variants("is", { absent, unchanged }),
  }),
  job: object({
    on: literal("job"),
    workflowRunId: idField,
    ordinal: ordinalField,
    expect: variants("is", { present, absent, unchanged, attempt, leased }),
  }),
  /** The run has no untaken signal of the name. */
  noSignal: object({ on: literal("noSignal"), workflowRunId: idField, name: idField }),
  /** No live job has the key. */
  dedupeKey: object({ on: literal("dedupeKey"), dedupeKey: keyField }),
  /**
   * The run's rows of one kind are exactly these, unchanged: stages by stageId, artifacts by key,
   * annotations and jobs by ordinal.
   */
  list: object({
    on: literal("list"),
    list: oneOf(["stages", "artifacts", "annotations", "jobs"]),
    workflowRunId: idField,
    /** Only stages with this status count; null: all. */
    status: nullable(statusField),
    tokens: tokensField,
  }),
  /**
   * The run's last outbox event has this sequence; 0: it has none. So nobody has taken the next
   * sequence.
   */
  outboxTail: object({
    on: literal("outboxTail"),
    workflowRunId: idField,
    sequence: countField,
  }),
});
/** Any guard. */
export type Guard = TypeOf<typeof guard>;
/** A guard of one row, by its key. */
export type RowGuard = Extract<Guard, { expect: unknown }>;
