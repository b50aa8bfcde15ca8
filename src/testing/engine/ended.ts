/** What a run under test has come to, as a value or an error. Pure. */
import { shown } from "../../engine/duration.ts";
import type { RunOutput } from "../../engine/runs.ts";
import type { FailedTry } from "../../engine/work.ts";

export const PAUSED = "The run is paused: resume it with run.resume()";

/** Nothing but a signal moves the run on, or its time. */
export class WaitsForSignal extends Error {
  constructor({ stageId, at }: { readonly stageId: string; readonly at: number }) {
    const until = new Date(at).toISOString();
    super(
      `The run waits for the signal ${shown(stageId)} until ${until}: send it with signal(), or let the time pass with advance()`,
    );
  }
}

/**
 * What a run gave that has ended.
 * @param failure the last try of a stage that failed.
 * @throws Error with the reason; where a stage has failed, with its id, and with what it threw as cause.
 */
export function valueOf<Out>(ended: RunOutput<Out>, failure: FailedTry | null): Out {
  switch (ended.status) {
    case "COMPLETED":
      return ended.value;
    case "FAILED": {
      const { reason, stage } = ended;
      const where = stage === null ? "" : ` (in stage ${shown(stage)})`;
      const cause = failure?.delivery.stageId === stage ? failure?.thrown : undefined;
      throw new Error(`The run is FAILED: ${reason}${where}`, { cause });
    }
    case "CANCELLED":
      throw new Error(`The run is CANCELLED: ${ended.reason}`);
    case "PENDING":
    case "RUNNING":
    case "SUSPENDED":
      throw new Error(`The run is ${ended.status}`);
  }
}
