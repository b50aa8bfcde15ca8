/**
 * The columns that no caller gives: the service sets them. They stand apart from those of `rows.ts`
 * since clients need their types alone.
 */
import { costField, countField, instantField, nameField, tallyField } from "./fields.ts";
import { nullable, type ObjectOf, text } from "./shape.ts";

const commits = text();
const stages = { attendAt: nullable(instantField), commits };

export const OWN_COLUMNS = {
  runs: { commits },
  stages,
  stageAttempts: stages,
  signals: {},
  logs: {},
  artifacts: { commits },
  annotations: { commits },
  outboxEvents: { sequence: tallyField, countAfter: nullable(instantField), commits },
  idempotencyKeys: { commits },
  jobs: { resumeAt: nullable(instantField), handOverAt: nullable(instantField), commits },
  aiCalls: {},
  aiCallTotals: {
    topic: nameField,
    modelKey: nameField,
    calls: countField,
    inputTokens: countField,
    outputTokens: countField,
    cost: costField,
  },
};

/** What the service adds to a row of the table. */
export type OwnColumns<Table extends keyof typeof OWN_COLUMNS> = ObjectOf<
  (typeof OWN_COLUMNS)[Table]
>;
