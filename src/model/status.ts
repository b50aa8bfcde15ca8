/**
 * The statuses of runs, stages and jobs, and which of them are live or final. The one list: shapes,
 * SQL and the HTTP API take it from here, and the compiler compares it with the contract's.
 */
import type { Status } from "../contract/index.ts";

export const STATUSES = [
  "PENDING",
  "RUNNING",
  "SUSPENDED",
  "COMPLETED",
  "FAILED",
  "CANCELLED",
  "SKIPPED",
] as const satisfies readonly Status[];
/** Of a run, a stage or a job that goes on. */
export const LIVE = ["PENDING", "RUNNING", "SUSPENDED"] as const satisfies readonly Status[];
/** Of a job that has ended. */
export const TERMINAL = ["COMPLETED", "FAILED", "CANCELLED"] as const satisfies readonly Status[];

interface WithStatus {
  readonly status: Status;
}

export function isLive({ status }: WithStatus): boolean {
  return LIVE.some((live) => live === status);
}

export function isTerminal({ status }: WithStatus): boolean {
  return TERMINAL.some((terminal) => terminal === status);
}
