/** Answers about signals. */
import { nextSignal } from "../../model/index.ts";
import type { StoredAnswers } from "./answers.ts";

export const signalAnswers = {
  nextSignal: (state, { workflowRunId, name }) =>
    nextSignal(state.signals.part(workflowRunId).values(), name),
} satisfies Partial<StoredAnswers>;
