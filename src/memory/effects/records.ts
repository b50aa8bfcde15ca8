/** Effects on stages, AI calls and idempotency keys. */
import type { Effects } from "../../changes/index.ts";
import { setStage } from "../../changes/stages.ts";
import { attendAtOf } from "../../model/index.ts";
import { byNumber } from "../../model/order.ts";
import { isLive } from "../../model/status.ts";
import { checkFits } from "../../model/writer.ts";

export const recordEffects = {
  upsertStage(writer, { row, set }) {
    checkFits("stages", row);
    const found = writer.state.stages.get(row.workflowRunId, row.stageId);
    if (found !== undefined) setStage(writer, found, { set, at: row.updatedAt, bump: 1 });
    else writer.put("stages", { ...row, attendAt: attendAtOf(row), commits: writer.commitId });
  },

  attendStage(writer, { workflowRunId, stageId, seenAt, dueAt }) {
    const row = writer.state.stages.get(workflowRunId, stageId);
    if (row?.attendAt !== seenAt) return;
    const run = writer.state.runs.get(workflowRunId, "");
    if (dueAt === null && run !== undefined && isLive(run)) return;
    writer.put("stages", { ...row, attendAt: dueAt });
  },

  recordAiCall(writer, { row }) {
    const { aiCalls, aiCallTotals } = writer.state;
    checkFits("aiCalls", row);
    if (aiCalls.get(row.batchId, row.ordinal) !== undefined) return;
    writer.put("aiCalls", { ...row });
    const total = aiCallTotals.get(row.topic, row.modelKey);
    writer.put("aiCallTotals", {
      topic: row.topic,
      modelKey: row.modelKey,
      calls: (total?.calls ?? 0) + 1,
      inputTokens: (total?.inputTokens ?? 0) + row.inputTokens,
      outputTokens: (total?.outputTokens ?? 0) + row.outputTokens,
      cost: (total?.cost ?? 0) + row.cost,
    });
  },

  purgeExpired(writer, { keysBefore, limit }) {
    const expired = [...writer.state.idempotencyKeys.all()]
      .filter(({ acquiredAt }) => acquiredAt < keysBefore)
      .toSorted(byNumber((row) => row.acquiredAt));
    const last = expired[limit - 1]?.acquiredAt ?? keysBefore;
    for (const row of expired) if (row.acquiredAt <= last) writer.remove("idempotencyKeys", row);
  },
} satisfies Effects;
