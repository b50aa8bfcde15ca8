/** Changes of signals: what a run is sent while it runs. Pure. */
import { idField, instantField, signalIdField } from "../model/fields.ts";
import { signalRow } from "../model/index.ts";
import { signalRef } from "../model/row-ref.ts";
import { serviceChange } from "./served-kind.ts";
import { WORK, WRITE } from "./scope.ts";

export const signalChanges = {
  /** Inserts the signal; nothing if the run has one of this id, taken or not. */
  sendSignal: serviceChange(
    "sendSignal",
    { row: signalRow },
    {
      scope: WRITE,
      row: ({ row }) => signalRef(row),
      trace: "row?",
      shownIn: () => null,
      texts: ({ row }) => [{ table: "signals", values: row }],
    },
  ),

  /**
   * takenAt = at, and the id that a taken signal has. Nothing for a signal that is unknown, or taken.
   */
  takeSignal: serviceChange(
    "takeSignal",
    { workflowRunId: idField, id: signalIdField, at: instantField },
    {
      scope: WORK,
      row: (change) => signalRef(change),
      trace: "none",
      shownIn: () => null,
    },
  ),
};
