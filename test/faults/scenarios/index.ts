import { aiCallScenarios } from "./ai-calls.ts";
import { jobScenarios } from "./jobs.ts";
import { recordScenarios } from "./records.ts";
import { runScenarios } from "./runs.ts";
import type { Scenario } from "./scenario.ts";
import { stageScenarios } from "./stages.ts";
import { transactionScenarios } from "./transactions.ts";

export { nameOf, type Scenario } from "./scenario.ts";

/** At least one for every method of the three interfaces; `matrix.test.ts` counts. */
export const scenarios: readonly Scenario[] = [
  ...runScenarios,
  ...stageScenarios,
  ...recordScenarios,
  ...jobScenarios,
  ...aiCallScenarios,
  ...transactionScenarios,
];
