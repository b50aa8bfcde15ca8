/** How a job of a batch is to be settled, and what came of it. */
import type { JobOutcome, SettledJob } from "../contract/index.ts";
import type { UnwrittenJob } from "../model/index.ts";

/** A job of a batch, and how it is to be settled. */
export interface Settling {
  readonly jobId: string;
  readonly outcome: Exclude<JobOutcome, { status: "settled" }>;
  /** The job failed because its worker died. Default: false. */
  readonly died?: boolean;
}

/** A job that a commit did not write, as it is. */
export type Unwritten = Pick<UnwrittenJob, "status" | "attempt">;

export const UNKNOWN: Unwritten = { status: null, attempt: null };

/** What a job's state after the commit says of the settling. */
export function outcomeOf(
  unwritten: Unwritten | undefined,
  attempt: number | undefined,
): SettledJob["outcome"] {
  if (unwritten === undefined) return "settled";
  if (unwritten.status === null) return "not-found";
  return attempt !== undefined && unwritten.attempt !== attempt ? "lease-lost" : "over";
}
