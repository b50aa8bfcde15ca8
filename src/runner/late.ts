/** What a stage gave after its lease was lost, or its run had ended: refused, and kept on record. */
import type { Change } from "../changes/index.ts";
import type { StageAnswer } from "../engine/delivery.ts";
import { encodeFreeText } from "../model/index.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";
import type { StageCall } from "./delivery.ts";
import { noted } from "./notes.ts";

/** Characters of the answer that the log keeps. */
const SHOWN_MAX = 10_000;

/** The AI calls count all the same: they were made, and paid. */
export async function keepLateAnswer(
  unit: OwnUnit,
  answer: StageAnswer,
  { lease, stage }: StageCall,
): Promise<void> {
  const at = await unit.now();
  const moment = { at, ordinal: () => unit.ordinal(at) };
  const { run, attempt } = lease;
  const text = `A late result of attempt ${stage.attempt} of stage ${stage.stageId} was not taken`;
  const told = { outcome: answer.outcome, deliveredAs: attempt, answer: shown(answer) };
  const log: Change = {
    kind: "createLog",
    row: {
      workflowRunId: run.id,
      ordinal: moment.ordinal(),
      createdAt: at,
      workflowStageId: stage.recordId,
      level: "WARN",
      message: encodeFreeText(text, "message"),
      metadata: JSON.stringify(told),
    },
  };
  const { logs, aiCalls } = answer.notes;
  const paid = { logs, aiCalls, annotations: [], artifacts: [] };
  await unit.write({ changes: [log, ...(await noted(paid, run, stage, moment))] });
}

function shown(answer: StageAnswer): string | null {
  switch (answer.outcome) {
    case "completed":
      return answer.output.slice(0, SHOWN_MAX);
    case "failed":
      return answer.error.slice(0, SHOWN_MAX);
    case "suspended":
      return answer.state?.slice(0, SHOWN_MAX) ?? null;
    case "met":
    case "passed":
    case "waiting":
      return null;
  }
}
