/** Answers about stages. */
import type { StageRow } from "../../model/index.ts";
import { PAGE_ROWS } from "../../queries/members.ts";
import { byStagePoll, isDueForPoll } from "../../queries/stages.ts";
import type { StoredAnswers } from "./answers.ts";

export const stageAnswers = {
  suspendedStages: (state, { before, after, limit = PAGE_ROWS }): StageRow[] =>
    [...state.stages.all()]
      .filter((stage) => isDueForPoll(stage, before))
      .filter((stage) => after === null || byStagePoll(stage, after) > 0)
      .toSorted(byStagePoll)
      .slice(0, limit),
} satisfies Partial<StoredAnswers>;
