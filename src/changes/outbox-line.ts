/** The line of runs with waiting events. */
import type { Change, ChangeOf } from "./change.ts";

/** Whether the run's first waiting event may be another one afterwards, so that the run has to line up anew. */
export function leavesTheLine(
  given: Change,
): given is ChangeOf<"publishOutboxEvent" | "deadLetterOutboxEvent" | "replayOutboxEvent"> {
  const { kind } = given;
  return (
    kind === "publishOutboxEvent" ||
    kind === "deadLetterOutboxEvent" ||
    kind === "replayOutboxEvent"
  );
}
