/**
 * What a change came to, where its kind alone does not tell: on random rows, a move by a lease that
 * is over says nothing about moves.
 */
import type { Change, Commit } from "../../src/changes/index.ts";
import { isLive } from "../../src/model/status.ts";
import type { State } from "../../src/model/state.ts";
import { hasTexts } from "../../src/store/long-texts.ts";

/** What random commits must have come to. */
export const EFFECTS = [
  "moveJob running",
  "moveJob pending",
  "moveJob suspended",
  "moveJob suspended unless a signal is there: it is",
  "moveJob suspended unless a signal is there: it is not",
  "moveJob without the lease",
  "leaveGroup beside an open sibling",
  "leaveGroup as the last",
  "dueJobs of a suspended job",
  "cancelJobs of a leased job",
  "chargeRun of a run",
  "sendSignal of a taken id",
  "sendSignal of a free id",
  "takeSignal of an untaken one",
  "cancelStages of an open stage",
  "archiveStages of a stage",
  "archiveStages of a stage with a text beside it",
  "archiveStages beside a stage that stays",
] as const;
export type Effect = (typeof EFFECTS)[number];

/** Call it before the commit, and what it returns after it. */
export function watch(state: State, { changes }: Commit): () => Effect[] {
  const watching = changes.map((change) => watchOne(state, change));
  return () => watching.flatMap((found) => found());
}

const nothing = () => [];

function watchOne(state: State, change: Change): () => Effect[] {
  switch (change.kind) {
    case "moveJob":
    case "leaveGroup": {
      const before = state.jobs.get(change.workflowRunId, change.ordinal);
      const leased = before?.status === "RUNNING" && before.attempt === change.attempt;
      return () => {
        const after = state.jobs.get(change.workflowRunId, change.ordinal);
        if (!leased) return change.kind === "moveJob" ? ["moveJob without the lease"] : [];
        if (change.kind === "leaveGroup") {
          const open = after?.status === "COMPLETED";
          return [open ? "leaveGroup beside an open sibling" : "leaveGroup as the last"];
        }
        const { to } = change;
        if (to.state !== "suspended") return [`moveJob ${to.state}`];
        if (to.unlessSignal === null) return ["moveJob suspended"];
        const is = after?.status === "RUNNING" ? "it is" : "it is not";
        return [`moveJob suspended unless a signal is there: ${is}`];
      };
    }
    case "dueJobs": {
      const jobs = [...state.jobs.part(change.workflowRunId).values()];
      const some = jobs.some(
        ({ status, stageId }) => status === "SUSPENDED" && (change.stageId ?? stageId) === stageId,
      );
      return () => (some ? ["dueJobs of a suspended job"] : []);
    }
    case "cancelJobs": {
      const jobs = [...state.jobs.part(change.workflowRunId).values()];
      const some = change.leased === true && jobs.some(({ status }) => status === "RUNNING");
      return () => (some ? ["cancelJobs of a leased job"] : []);
    }
    case "chargeRun":
      return () => (state.runs.get(change.id, "") === undefined ? [] : ["chargeRun of a run"]);
    case "sendSignal": {
      const { workflowRunId, id } = change.row;
      const there = state.signals.get(workflowRunId, id) !== undefined;
      return () => [there ? "sendSignal of a taken id" : "sendSignal of a free id"];
    }
    case "takeSignal": {
      const untaken = state.signals.get(change.workflowRunId, change.id)?.takenAt === null;
      return () => (untaken ? ["takeSignal of an untaken one"] : []);
    }
    case "cancelStages": {
      const open = [...state.stages.part(change.workflowRunId).values()].some(isLive);
      return () => (open ? ["cancelStages of an open stage"] : []);
    }
    case "archiveStages": {
      const before = [...state.stages.part(change.workflowRunId).values()];
      return () => {
        const gone = before.filter(
          ({ workflowRunId, id, stageId }) =>
            state.stageAttempts.get(workflowRunId, id) !== undefined &&
            state.stages.get(workflowRunId, stageId) === undefined,
        );
        const effects: Effect[] = [];
        if (gone.length === 0) return effects;
        effects.push("archiveStages of a stage");
        if (gone.some((stage) => hasTexts("stages", stage))) {
          effects.push("archiveStages of a stage with a text beside it");
        }
        const stays = before.length > gone.length;
        if (stays) effects.push("archiveStages beside a stage that stays");
        return effects;
      };
    }
    default:
      return nothing;
  }
}
