/** Effects on signals, on the stages of a run that ends or is run again, and on what a run has cost. */
import type { Effects } from "../../changes/index.ts";
import { setStage } from "../../changes/stages.ts";
import { takenSignalId } from "../../model/ids.ts";
import { isLive } from "../../model/status.ts";
import { checkFits } from "../../model/writer.ts";

export const steeringEffects = {
  sendSignal(writer, { row }) {
    checkFits("signals", row);
    const { workflowRunId, id } = row;
    const ids = [id, takenSignalId(id)];
    if (ids.every((one) => writer.state.signals.get(workflowRunId, one) === undefined))
      writer.put("signals", { ...row });
  },

  takeSignal(writer, { workflowRunId, id, at }) {
    const signal = writer.state.signals.get(workflowRunId, id);
    if (signal === undefined || signal.takenAt !== null) return;
    writer.remove("signals", signal);
    writer.put("signals", { ...signal, id: takenSignalId(id), takenAt: at });
  },

  cancelStages(writer, { workflowRunId, at }) {
    const set = { status: "CANCELLED", completedAt: at, nextPollAt: null } as const;
    for (const stage of writer.state.stages.part(workflowRunId).values()) {
      if (isLive(stage)) setStage(writer, stage, { set, at, bump: 1 });
    }
  },

  archiveStages(writer, { workflowRunId, stageId, group, at }) {
    for (const stage of writer.state.stages.part(workflowRunId).values()) {
      const { executionGroup, status } = stage;
      const over = status === "COMPLETED" || status === "SKIPPED";
      if (executionGroup < group) continue;
      if (executionGroup === group && stage.stageId !== stageId && over) continue;
      const cancelled = { status: "CANCELLED", completedAt: at, nextPollAt: null } as const;
      writer.create("stageAttempts", isLive(stage) ? { ...stage, ...cancelled } : stage);
      writer.remove("stages", stage);
    }
  },

  chargeRun(writer, { id, cost, tokens, calls = [], at }) {
    const { runs, aiCalls } = writer.state;
    const row = runs.get(id, "");
    if (row === undefined) return;
    const fresh = calls.filter((call) => aiCalls.get(call.batchId, call.ordinal) === undefined);
    writer.put("runs", {
      ...row,
      totalCost: row.totalCost + (cost + fresh.reduce((sum, call) => sum + call.cost, 0)),
      totalTokens: row.totalTokens + (tokens + fresh.reduce((sum, call) => sum + call.tokens, 0)),
      updatedAt: at,
      commits: writer.stamp(row.commits),
    });
  },
} satisfies Effects;
