/** Answers that a store bounds. A transaction's copy answers its own callers, who set no bounds. */
import { type LongTextTable, withinBytes } from "../../model/index.ts";
import { without } from "../../model/state.ts";
import { answer } from "../../queries/index.ts";
import { bySequence, takenInLine } from "../../queries/outbox.ts";
import type { CutAnswers } from "./answers.ts";

/** What bounds a list. */
interface Bounds {
  readonly omit?: readonly string[] | undefined;
  readonly bytesMax?: number | undefined;
}

/** The rows that fit, without the columns that are left out. */
function cut<Row extends object>(
  table: LongTextTable,
  rows: readonly Row[],
  bounds: Bounds,
): Row[] {
  return withinBytes(table, rows, bounds).map((row) => without(row, bounds.omit));
}

export const cutAnswers: CutAnswers = {
  stages: (state, query) => cut("stages", answer(state, query), query),

  annotations: (state, query) => cut("annotations", answer(state, query), query),

  unpublishedEvents: (state, query) =>
    cut("outboxEvents", takenInLine(state, query.limit), query).toSorted(bySequence),
};
