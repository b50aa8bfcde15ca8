/** Answers about stages. */
import { decodeJson, type StageRow } from "../../model/index.ts";
import { byText, compareUtf8 } from "../../model/order.ts";
import { PAGE_ROWS } from "../../queries/members.ts";
import type { StageInput } from "../../queries/engine.ts";
import { byStagePoll, isDueForPoll } from "../../queries/stages.ts";
import type { State } from "../../model/state.ts";
import type { StoredAnswers } from "./answers.ts";

function isFrom(value: unknown): value is { readonly from: readonly unknown[] } {
  return (
    typeof value === "object" && value !== null && "from" in value && Array.isArray(value.from)
  );
}

function outputOf(state: State, workflowRunId: string, stageId: string): StageInput[] {
  const stage = state.stages.get(workflowRunId, stageId);
  if (stage === undefined) return [];
  const { executionGroup, outputData, status, errorMessage } = stage;
  return [{ stageId, executionGroup, outputData, status, errorMessage }];
}

export const stageAnswers = {
  stageInputs(state, { workflowRunId, stageId }): StageInput[] {
    const taker = state.stages.get(workflowRunId, stageId);
    const given = taker?.inputData == null ? null : decodeJson(taker.inputData);
    const from = isFrom(given) ? given.from : [];
    return from.flatMap((source) =>
      typeof source === "string" ? outputOf(state, workflowRunId, source) : [],
    );
  },

  stageOutputs: (state, { workflowRunId, stageIds }): StageInput[] =>
    stageIds.flatMap((stageId) => outputOf(state, workflowRunId, stageId)),

  stageAttempts: (state, { workflowRunId, after, limit }): StageRow[] =>
    [...state.stageAttempts.part(workflowRunId).values()]
      .filter(({ id }) => compareUtf8(id, after) > 0)
      .toSorted(byText(({ id }) => id))
      .slice(0, limit),

  suspendedStages: (state, { before, after, limit = PAGE_ROWS }): StageRow[] =>
    [...state.stages.all()]
      .filter((stage) => isDueForPoll(stage, before))
      .filter((stage) => after === null || byStagePoll(stage, after) > 0)
      .toSorted(byStagePoll)
      .slice(0, limit),
} satisfies Partial<StoredAnswers>;
