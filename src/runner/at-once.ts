/**
 * A Worker that works stages itself begins a run's first stages at once, in the invocation that starts
 * the run, as far as they say that they are short: an invocation that has answered lives half a minute
 * longer, and a stage that is cut off there would have to be run twice.
 */
import type { StageRunner } from "../engine/delivery.ts";
import type { Workflow } from "../engine/workflow.ts";
import { isLive } from "../model/status.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";
import type { StageCall } from "./delivery.ts";
import { driveOn } from "./drive.ts";
import type { Lease } from "./lease.ts";
import type { StartingWorker } from "./start.ts";

export interface AtOnceOptions {
  /** Works the stages of this workflow. */
  readonly runnerOf: (workflow: Workflow) => StageRunner;
  /** Keeps the invocation alive. */
  readonly waitUntil: (promise: Promise<unknown>) => void;
  /** Milliseconds after which a lease expires. Default: not known, and each lease is a whole one. */
  readonly leaseMs?: number;
}

/** All stages that are begun at once must have ended within this time. */
const AT_ONCE_MS = 20_000;
/** An invocation may ask D1 1,000 times; a stage that uses no tools asks once. */
const STAGES_MAX = 150;
/** The worker learns within this time that its run was cancelled. */
const LOOK_MS = 10_000;

/** For one request: all runs that it starts share what its invocation may do. */
export function workingAtOnce({ runnerOf, waitUntil, leaseMs }: AtOnceOptions): StartingWorker {
  let stagesLeft = STAGES_MAX;
  return {
    waitUntil,
    ...(leaseMs === undefined ? {} : { leaseMs }),
    takes({ timeoutMs }) {
      if (timeoutMs === null || timeoutMs > AT_ONCE_MS || stagesLeft <= 0) return false;
      stagesLeft -= 1;
      return true;
    },
    async drive(workflow: Workflow, unit: OwnUnit, from: StageCall) {
      const until = Date.now() + AT_ONCE_MS;
      const watched = abortedWhenLost(unit, from.lease);
      try {
        return await driveOn(from, {
          unit,
          runner: runnerOf(workflow),
          signal: watched.signal,
          goesOn: (stage) =>
            stage.timeoutMs !== null && Date.now() + stage.timeoutMs <= until && this.takes(stage),
        });
      } finally {
        watched.stop();
      }
    },
  };
}

/** Looks whether the lease is still there, and the run has not ended. A look that fails is made up for by the next one. */
function abortedWhenLost(unit: OwnUnit, { run, ordinal, attempt }: Lease) {
  const controller = new AbortController();
  const look = async (): Promise<void> => {
    const [job, status] = await unit.read([
      { q: "job", workflowRunId: run.id, ordinal },
      { q: "runStatus", id: run.id },
    ]);
    const leased = job?.status === "RUNNING" && job.attempt === attempt;
    if (leased && status !== null && isLive({ status })) return;
    controller.abort(new Error("The lease is lost, or the run has ended"));
  };
  const timer = setInterval(() => {
    look().catch((error: unknown) => console.warn("wfe-look-failed", run.id, error));
  }, LOOK_MS);
  return { signal: controller.signal, stop: () => clearInterval(timer) };
}
