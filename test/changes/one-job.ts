/** One leased job, and what a change does to it. */
import type { Change } from "../../src/changes/index.ts";
import type { JobRow, NewJobRow } from "../../src/model/index.ts";
import { applyChanges } from "./support.ts";
import { STATUSES } from "../../src/model/status.ts";
import { aLeasedJob, aState, id } from "../memory/support.ts";

export const jobKey = { workflowRunId: "run", ordinal: "o1" };
export const RETRY = { baseMs: 1_000, capMs: 3_600_000, jitterPermille: 0 };
export const OPEN = ["PENDING", "RUNNING", "SUSPENDED", "SKIPPED"];

/** The job `row` after commit b with this change. */
export function jobAfter(row: Partial<NewJobRow>, change: Change): JobRow | undefined {
  const state = aState(aLeasedJob(row));
  applyChanges(state, [change], id("b"));
  return state.jobs.get("run", "o1");
}

/** The statuses in which a job is changed at all. */
export function statusesChanged(row: Partial<NewJobRow>, change: Change): string[] {
  return STATUSES.filter((status) => {
    const commits = jobAfter({ ...row, status }, change)?.commits;
    return commits !== id("a");
  });
}
