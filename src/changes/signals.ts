/** Changes of signals: what a run is sent while it runs. Pure. */
import { idField, instantField, keyField } from "../model/fields.ts";
import { signalRow } from "../model/index.ts";
import { signalRef } from "../model/row-ref.ts";
import { checkFits } from "../model/writer.ts";
import { changeKind } from "./change-kind.ts";
import { WORK, WRITE } from "./scope.ts";

export const signalChanges = {
  /** Inserts the signal; nothing if the run has one of this id, taken or not. */
  sendSignal: changeKind(
    "sendSignal",
    { row: signalRow },
    {
      scope: WRITE,
      row: ({ row }) => signalRef(row),
      trace: "row?",
      recorded: "never",
      shownIn: () => null,
      texts: ({ row }) => [{ table: "signals", values: row }],
      apply(writer, { row }) {
        checkFits("signals", row);
        const { workflowRunId, id } = row;
        if (writer.state.signals.get(workflowRunId, id) === undefined)
          writer.put("signals", { ...row });
      },
    },
  ),

  /** takenAt = at, unless it is taken. Nothing for an unknown signal. */
  takeSignal: changeKind(
    "takeSignal",
    { workflowRunId: idField, id: keyField, at: instantField },
    {
      scope: WORK,
      row: (change) => signalRef(change),
      trace: "none",
      recorded: "never",
      shownIn: () => null,
      apply(writer, { workflowRunId, id, at }) {
        const signal = writer.state.signals.get(workflowRunId, id);
        if (signal === undefined || signal.takenAt !== null) return;
        writer.put("signals", { ...signal, takenAt: at });
      },
    },
  ),
};
