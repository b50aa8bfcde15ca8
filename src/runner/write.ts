/** A commit of the worker that holds a job, with what it has to know afterwards. */
import type { Change, Guard, Violation } from "../changes/index.ts";
import { isServiceError } from "../contract/index.ts";
import { GROUP_STAGES_MAX } from "../model/limits.ts";
import type { SignalRow } from "../model/index.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";
import type { Lease } from "./lease.ts";
import type { Settled } from "./outcome.ts";

export type Landed =
  /** `kept`: the worker still has the lease. `signal`: what came for the wait before it began. */
  | { readonly applied: true; readonly kept: boolean; readonly signal: SignalRow | null }
  | { readonly applied: false; readonly violation: Violation };

interface Commit {
  readonly guards: readonly Guard[];
  readonly changes: readonly Change[];
}

/** Writes, and asks in the same round trip for what the commit itself decides. */
export async function written(
  unit: OwnUnit,
  commit: Commit,
  after: Settled["after"],
  { run, ordinal, attempt }: Lease,
): Promise<Landed> {
  const workflowRunId = run.id;
  switch (after.does) {
    case "run":
    case "leave": {
      const done = await unit.write(commit);
      return done.applied ? { applied: true, kept: after.does === "run", signal: null } : done;
    }
    case "join": {
      const done = await unit.write({
        ...commit,
        reads: () => [{ q: "job", workflowRunId, ordinal }] as const,
      });
      if (!done.applied) return done;
      const [job] = done.results;
      const kept = job?.status === "RUNNING" && job.attempt === attempt;
      return { applied: true, kept, signal: null };
    }
    case "wait": {
      const name = after.stage.stageId;
      const done = await unit.write({
        ...commit,
        reads: () =>
          [
            { q: "nextSignal", workflowRunId, name },
            { q: "job", workflowRunId, ordinal },
          ] as const,
      });
      if (!done.applied) return done;
      const [signal, job] = done.results;
      const kept = job?.status === "RUNNING" && job.attempt === attempt;
      return { applied: true, kept: kept && signal !== null, signal };
    }
  }
}

interface Impossible {
  readonly reason: string;
}

/**
 * What a stage gives may be small enough by itself, and not beside what is stored already or together
 * with what comes next; and a caller of the contract may have created the next stage. Then nothing is
 * written, and another try would end alike.
 */
export async function unlessImpossible(
  write: () => Promise<Landed>,
  unit: OwnUnit,
  changes: readonly Change[],
): Promise<Landed | Impossible> {
  try {
    return await write();
  } catch (error) {
    if (!isServiceError(error)) throw error;
    const { code, message } = error;
    if (code === "PAYLOAD_TOO_LARGE" || code === "INVALID_ARGUMENT") return { reason: message };
    const taken = code === "INTERNAL" ? await createdByOthers(unit, changes) : undefined;
    if (taken === undefined) throw error;
    return { reason: `Stage ${taken} was created by others before the run came to it` };
  }
}

/** One of the stages that the changes would create, which is there. */
async function createdByOthers(
  unit: OwnUnit,
  changes: readonly Change[],
): Promise<string | undefined> {
  const rows = changes.flatMap((each) => (each.kind === "createStage" ? [each.row] : []));
  const [row] = rows;
  if (row === undefined) return undefined;
  const stageIds = rows.slice(0, GROUP_STAGES_MAX).map(({ stageId }) => stageId);
  const { workflowRunId } = row;
  const [[found]] = await unit.read([{ q: "stageOutputs", workflowRunId, stageIds }]);
  return found?.stageId;
}
