/** Queries of signals. Pure. */
import { idField } from "../model/fields.ts";
import { nextSignal, type SignalRow } from "../model/index.ts";
import { queryKind } from "./query-kind.ts";
import { ofRun } from "./members.ts";

export const signalQueries = {
  /** The run's untaken signal of the name that came first, or null. */
  nextSignal: queryKind(
    "nextSignal",
    { ...ofRun, name: idField },
    {
      answer: (state, { workflowRunId, name }): SignalRow | null =>
        nextSignal(state.signals.part(workflowRunId).values(), name),
    },
  ),
};
