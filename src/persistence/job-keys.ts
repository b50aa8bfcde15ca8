/** A job's id and its key. */
import { joinId, splitId } from "../model/index.ts";
import type { ServiceError } from "../contract/index.ts";
import { requireText } from "./encode.ts";
import { notFound } from "./faults.ts";

export type JobKey = { readonly workflowRunId: string; readonly ordinal: string };

export function idOf({ workflowRunId, ordinal }: JobKey): string {
  return joinId(workflowRunId, ordinal);
}

/**
 * The key of the job with this id.
 * @throws NOT_FOUND for an id that this service cannot have made.
 */
export function requireKey(method: string, jobId: string): JobKey {
  const key = splitId(requireText(method, jobId));
  if (key === null) throw jobNotFound(jobId);
  return key;
}

/** Whether this service can have made the id. */
export function isJobId(method: string, jobId: string): boolean {
  return splitId(requireText(method, jobId)) !== null;
}

export function jobNotFound(id: string): ServiceError {
  return notFound("Job", id);
}
