/**
 * The queries of typed workflows, and of lists of the HTTP API. No method of the contract asks them:
 * callers do not carry them. Pure.
 */
import { flag, list, nullable, oneOf, optional, text, whole } from "../model/shape.ts";
import { idField, keyField, runOrNoneField } from "../model/fields.ts";
import type { SignalRow, StageRow } from "../model/index.ts";
import { GROUP_STAGES_MAX, LONG_COLUMNS_MAX } from "../model/limits.ts";
import type { Rows } from "../model/state.ts";
import { storedQuery } from "./query-kind.ts";
import { ofRun, rowLimit } from "./members.ts";

/** What a stage gives to the one after it, and how it has ended. */
export type StageInput = Pick<
  StageRow,
  "stageId" | "executionGroup" | "outputData" | "status" | "errorMessage"
>;

/** The tables that are read page by page, with the second part of their key. */
export const PAGED = {
  logs: "ordinal",
  artifacts: "key",
  outboxEvents: "sequence",
  jobs: "ordinal",
} as const;
export type PagedTable = keyof typeof PAGED;

export const engineQueries = {
  /**
   * The stages whose outputs the stage takes, as its inputData names them: `{"from": [stageId, ...]}`.
   * In no particular order.
   */
  stageInputs: storedQuery<StageInput[]>()("stageInputs", { ...ofRun, stageId: idField }),

  /** What those of these stages gave that the run has, in no particular order. */
  stageOutputs: storedQuery<StageInput[]>()("stageOutputs", {
    ...ofRun,
    stageIds: list(idField, GROUP_STAGES_MAX),
  }),

  /**
   * Stages of the run as they were before it was run again, by record id, those after `after`, the
   * first `limit`.
   */
  stageAttempts: storedQuery<StageRow[]>()("stageAttempts", {
    ...ofRun,
    /** "" for the beginning. */
    after: text(),
    limit: rowLimit,
  }),

  /** The run's untaken signal of the name that came first, or null. */
  nextSignal: storedQuery<SignalRow | null>()("nextSignal", { ...ofRun, name: idField }),

  /**
   * Rows of one kind of a run by key (ordinal, key or sequence), the first `limit` after the given
   * one.
   */
  page: storedQuery<Rows[PagedTable][]>()("page", {
    of: oneOf(["logs", "artifacts", "outboxEvents", "jobs"]),
    /** "" for the logs of no run. */
    workflowRunId: runOrNoneField,
    /** A key as text. Null: from the beginning, or with `descending` from the end. */
    after: nullable(keyField),
    descending: flag,
    limit: whole({ min: 0, max: 1_000 }),
    /** Long columns that are answered as the JSON null. */
    omit: optional(list(oneOf(["message", "metadata", "data", "payload"]), LONG_COLUMNS_MAX)),
    bytesMax: optional(whole({ min: 1 })),
  }),
};
