/**
 * What a guard looks at. Apart from the shapes of guards, which only the service checks: callers do
 * not carry them. Pure.
 */
import {
  artifactRef,
  idempotencyKeyRef,
  jobRef,
  outboxEventRef,
  type RowRef,
  runRef,
  stageRef,
} from "../model/row-ref.ts";
import type { Guard, RowGuard } from "./guard.ts";

/** Whether the guard looks at one row. */
export function isRowGuard(one: Guard): one is RowGuard {
  return "expect" in one;
}

/** The tables whose single rows can be guarded. */
export type GuardedTable =
  | "runs"
  | "stages"
  | "artifacts"
  | "outboxEvents"
  | "idempotencyKeys"
  | "jobs";

/** The row that the guard looks at. */
export function guardedRow(one: RowGuard): RowRef<GuardedTable> {
  switch (one.on) {
    case "run":
      return runRef(one.id);
    case "stage":
      return stageRef(one);
    case "artifact":
      return artifactRef(one);
    case "outboxEvent":
      return outboxEventRef(one);
    case "idempotencyKey":
      return idempotencyKeyRef(one);
    case "job":
      return jobRef(one);
  }
}

/** Why a commit was refused. */
export interface Violation {
  /** The index of the guard in its commit. */
  readonly guard: number;
  /**
   * What was found: of runs and stages the stored version, of jobs the attempt; -1 for a missing
   * row; otherwise 0.
   */
  readonly actual: number;
}
