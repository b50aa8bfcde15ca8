/** Changes of runs. Pure. */
import { idField, instantField, tallyField } from "../model/fields.ts";
import { attendAtOf, defined, newRunRow, runSet } from "../model/index.ts";
import { runRef } from "../model/row-ref.ts";
import { isLive } from "../model/status.ts";
import { changeKind } from "./change-kind.ts";

export const runChanges = {
  /** Inserts the run. A guard of the commit says that its id is free. */
  createRun: changeKind(
    "createRun",
    { row: newRunRow },
    {
      row: ({ row }) => runRef(row.id),
      recorded: "insert",
      texts: ({ row }) => [{ table: "runs", values: row }],
      apply(writer, { row }) {
        writer.create("runs", { ...row, commits: writer.commitId });
      },
    },
  ),

  /**
   * Sets the columns, updatedAt = at, version + bump. If the status is live, suspended stages of
   * the run that had left the sweep's line get their attendAt again.
   */
  updateRun: changeKind(
    "updateRun",
    { id: idField, set: runSet, at: instantField, bump: tallyField },
    {
      row: ({ id }) => runRef(id),
      recorded: "merge",
      texts: ({ set }) => [{ table: "runs", values: set }],
      apply(writer, { id, set, at, bump }) {
        const row = writer.state.runs.get(id, "");
        if (row === undefined) return;
        writer.put("runs", {
          ...row,
          ...defined(set),
          updatedAt: at,
          version: row.version + bump,
          commits: writer.stamp(row.commits),
        });
        const { status } = set;
        if (status === undefined || !isLive({ status })) return;
        for (const stage of writer.state.stages.part(id).values()) {
          if (stage.attendAt !== null || attendAtOf(stage) === null) continue;
          writer.put("stages", { ...stage, attendAt: attendAtOf(stage) });
        }
      },
    },
  ),
};
