/**
 * `workflow-engine-cloudflare/engine`: what defines workflows. A workflow is a chain of stages whose
 * types fit one another, and is built into a plan; a stage is a function. `work.ts` in this folder runs
 * one stage. `runner/` takes a run from stage to stage.
 * Imports `model/` and `contract/`, and nothing of the platform, so workflows are defined and tested
 * in plain Node.
 * @example
 * import * as z from "zod";
 * import { workflow } from "workflow-engine-cloudflare/engine";
 *
 * export const hello = workflow("hello", { input: z.object({ name: z.string() }) })
 *   .stage("greet", ({ input }) => ({ text: `Hello ${input.name}` }))
 *   .stage("shout", ({ input }) => input.text.toUpperCase(), { retry: { attempts: 5 } })
 *   .build();
 */
export type {
  Awaitable,
  DecisionContext,
  InlineContext,
  NotReady,
  PollContext,
  RunContext,
  StageAICall,
  StageContext,
  StageEnv,
  Suspended,
} from "./context.ts";
export type { Duration } from "./duration.ts";
export { Fatal, isFatal, isRetryAfter, RetryAfter } from "./failure.ts";
export type { Run, RunOutput, Runs, StartOptions } from "./runs.ts";
export { stage, type Stage, type StageOptions, type StageRetry, type StageTakes } from "./stage.ts";
export type { SchemaIssue, SchemaResult, StandardSchema } from "./standard-schema.ts";
export {
  type ConfigOf,
  type InputOf,
  type OutputOf,
  type OutputsOf,
  type SignalsOf,
  type StagesOf,
  type Waited,
  workflow,
  type Workflow,
  type WorkflowBuilder,
  type WorkflowOptions,
} from "./workflow.ts";
