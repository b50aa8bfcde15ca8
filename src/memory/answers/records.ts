/** Answers about what a run leaves behind. */
import { type AiCallTotalRow, withinBytes } from "../../model/index.ts";
import { byText, type Compare, compareUtf8, inTurn } from "../../model/order.ts";
import { type Rows, without } from "../../model/state.ts";
import { PAGE_ROWS } from "../../queries/members.ts";
import { PAGED } from "../../queries/engine.ts";
import type { StoredAnswers } from "./answers.ts";

const byTopic: Compare<Pick<AiCallTotalRow, "topic" | "modelKey">> = inTurn(
  byText((total) => total.topic),
  byText((total) => total.modelKey),
);

export const recordAnswers = {
  page(state, query): Rows[keyof typeof PAGED][] {
    const { of, workflowRunId, after, descending: backwards, limit, omit } = query;
    const inRow = (row: object) => omit?.filter((name) => name in row);
    const keyOf = (row: object) => String(Reflect.get(row, PAGED[of]));
    const compare = (a: string, b: string) =>
      of === "outboxEvents" ? Number(a) - Number(b) : compareUtf8(a, b);
    const rows: Rows[keyof typeof PAGED][] = [...state[of].part(workflowRunId).values()];
    const listed = rows
      .toSorted((a, b) => compare(keyOf(a), keyOf(b)) * (backwards ? -1 : 1))
      .filter((row) => after === null || compare(keyOf(row), after) * (backwards ? -1 : 1) > 0)
      .slice(0, limit);
    return withinBytes(of, listed, query).map((row) => without(row, inRow(row)));
  },

  aiCallTotals: (state, { prefix, after }): AiCallTotalRow[] =>
    [...state.aiCallTotals.all()]
      .filter((total) => total.topic.startsWith(prefix))
      .filter((total) => after === null || byTopic(total, after) > 0)
      .toSorted(byTopic)
      .slice(0, PAGE_ROWS),

  aiBatch: (state, { batchId }): boolean => state.aiCalls.part(batchId).size > 0,
} satisfies Partial<StoredAnswers>;
