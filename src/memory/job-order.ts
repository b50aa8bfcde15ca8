/** The orders in which jobs are claimed, polled and resumed. */
import type { JobRow } from "../model/index.ts";
import { byNumber, byText, type Compare, descending, inTurn } from "../model/order.ts";
import { byKey } from "../queries/jobs.ts";

/** The order in which due jobs are claimed. */
export const byUrgency = inTurn<JobRow>(
  descending(byNumber((job) => job.priority)),
  byText((job) => job.ordinal),
  byText((job) => job.workflowRunId),
);

type PollKey = Pick<JobRow, "workflowRunId" | "ordinal" | "nextPollAt">;

/** The order in which suspended jobs are listed for a poll, and delayed ones become ready. */
export const byPoll: Compare<PollKey> = inTurn<PollKey>(
  byNumber((job) => job.nextPollAt ?? 0),
  byKey,
);

/** The order in which the sweep resumes suspended jobs. */
export const byResumption = inTurn<JobRow>(
  byNumber((job) => job.resumeAt ?? 0),
  byKey,
);

export function isResumable({ status, resumeAt }: JobRow, now: number): boolean {
  return status === "SUSPENDED" && resumeAt !== null && resumeAt <= now;
}
