/** Signals to a run, and its end, pause and resumption. */
import { ServiceError } from "../contract/index.ts";
import { checkedSignal } from "../engine/checked.ts";
import type { SignalsOf, Workflow } from "../engine/workflow.ts";
import { keyField } from "../model/fields.ts";
import { encodeJson, signalId } from "../model/index.ts";
import { isLive } from "../model/status.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";
import { checkedChanges } from "../persistence/encode.ts";
import { act, definitionOf, requireField, wrongStatus } from "./act.ts";
import { event } from "./rows.ts";

export async function sendSignal<W extends Workflow>(
  unit: OwnUnit,
  workflow: W,
  id: string,
  name: keyof SignalsOf<W> & string,
  payload: SignalsOf<W>[keyof SignalsOf<W> & string],
  { key }: { readonly key?: string } = {},
): Promise<void> {
  const given = await checkedSignal(workflow, name, payload);
  if (key !== undefined) requireField(keyField, key, "key");
  await act(unit, id, async (found, { at, ordinal }) => {
    const { row } = found;
    if (!isLive(row)) throw wrongStatus(id, row.status, "takes no signals");
    // A run of an earlier definition waits for what that says.
    const own = definitionOf(found, workflow) ?? workflow;
    const checked = own === workflow ? given : await checkedSignal(own, name, payload);
    const made = ordinal();
    const signal = {
      workflowRunId: id,
      id: signalId(name, key ?? made),
      name,
      ordinal: made,
      receivedAt: at,
      payload: encodeJson(checked, "payload"),
      takenAt: null,
    };
    return checkedChanges("signal", [
      { kind: "sendSignal", row: signal },
      { kind: "dueJobs", workflowRunId: id, stageId: name, wakes: 1, at },
    ]);
  });
}

export async function cancel(unit: OwnUnit, id: string, reason?: string): Promise<void> {
  const told = reason ?? "cancelled";
  if (typeof told !== "string") {
    throw new ServiceError("INVALID_ARGUMENT", "reason must be a string", { field: "reason" });
  }
  await act(unit, id, async ({ row, run }, { at }) => {
    if (row.status === "CANCELLED") return null;
    if (!isLive(row)) throw wrongStatus(id, row.status, "cannot be cancelled any more");
    const duration = at - row.createdAt;
    return checkedChanges("cancel", [
      {
        kind: "updateRun",
        id,
        set: { status: "CANCELLED", completedAt: at, duration },
        at,
        bump: 1,
      },
      { kind: "cancelStages", workflowRunId: id, at },
      { kind: "cancelJobs", workflowRunId: id, leased: true, at },
      event(run, at, "workflow:cancelled", { reason: told }),
    ]);
  });
}

export async function pause(unit: OwnUnit, id: string): Promise<void> {
  await act(unit, id, async ({ row, run }, { at }) => {
    if (row.status === "SUSPENDED") return null;
    if (row.status !== "RUNNING") throw wrongStatus(id, row.status, "cannot be paused");
    return [
      { kind: "updateRun", id, set: { status: "SUSPENDED" }, at, bump: 1 },
      event(run, at, "workflow:suspended", {}),
    ];
  });
}

/** The jobs that a paused run has left lying are due again: each gets a wake-up. */
export async function resume(unit: OwnUnit, id: string): Promise<void> {
  await act(unit, id, async ({ row, run }, { at }) => {
    if (row.status === "RUNNING") return null;
    if (row.status !== "SUSPENDED") throw wrongStatus(id, row.status, "cannot be resumed");
    const [jobs] = await unit.read([{ q: "jobs", workflowRunId: id }]);
    const wakes = jobs.filter(({ status }) => status === "SUSPENDED").length;
    return [
      { kind: "updateRun", id, set: { status: "RUNNING" }, at, bump: 1 },
      { kind: "dueJobs", workflowRunId: id, stageId: null, wakes, at },
      event(run, at, "workflow:resumed", {}),
    ];
  });
}
