/** What a furnished sequence begins with: a little of everything, so that what is asked for is often there. */
import type { Interface, Method } from "./calls.ts";
import type { CallPart } from "./perform.ts";
import type { Step } from "./steps.ts";
import { KEYS, TOPICS } from "./values.ts";

const RUN = { workflowId: "w", workflowName: "", workflowType: "", input: null };
const STAGE = { workflowRunId: "r", stageName: "", stageNumber: 1, executionGroup: 1 };
const EVENT = { eventType: "n", payload: 1, causationId: "", occurredAt: new Date(5) };
const JOB = { workflowRunId: "r", workflowId: "w", stageId: "a" };
const CALL = { callType: "", modelId: "", prompt: "", response: "", inputTokens: 1, cost: 0.1 };
const NOW = { ref: "instant", plus: 0 };
const SOON = { ref: "instant", plus: 1 };
/** The stage that was made last. */
const STAGE_ID = { ref: "stage", back: 0 };

const MADE: readonly CallPart[] = [
  ...["r", "s", "s/1"].map((id) => made("persistence", "createRun", { ...RUN, id })),
  made("persistence", "updateRun", "s", { status: "RUNNING" }),
  ...["a", "1/a", "\u{1f600}", "\uff5e"].map((stageId) =>
    made("persistence", "createStage", { ...STAGE, stageId }),
  ),
  suspended("a", NOW),
  suspended("1/a", SOON),
  made("persistence", "saveArtifact", {
    workflowRunId: "r",
    workflowStageId: STAGE_ID,
    key: "k",
    type: "ARTIFACT",
    data: 1,
    size: 1,
  }),
  made(
    "persistence",
    "appendAnnotations",
    KEYS.map((key) => ({
      workflowRunId: "r",
      workflowStageRecordId: STAGE_ID,
      scope: "n",
      key,
      value: 1,
      idempotencyKey: "i",
    })),
  ),
  made("persistence", "createLog", { workflowStageId: STAGE_ID, level: "INFO", message: "" }),
  made(
    "persistence",
    "appendOutboxEvents",
    ["r", "r", "s", "\u{1f600}", "\uff5e"].map((workflowRunId) => ({ ...EVENT, workflowRunId })),
  ),
  made("persistence", "acquireIdempotencyKey", "k", "c"),
  made("jobs", "enqueueParallel", [
    JOB,
    JOB,
    { ...JOB, scheduledFor: SOON },
    { ...JOB, workflowRunId: "s", scheduledFor: SOON },
  ]),
];

export const FURNITURE: readonly Step[] = [
  alone({
    kind: "transaction",
    connection: 0,
    calls: MADE.map(({ call }) => ({ call, caught: false, nested: false })),
    together: false,
    end: "return",
    after: null,
  }),
  alone(
    made(
      "aiCalls",
      "logBatchResults",
      "b",
      TOPICS.map((topic) => ({ ...CALL, topic, modelKey: "m", outputTokens: 1 })),
    ),
  ),
  // Delivered to the first worker, taken from it, and delivered to the second.
  alone(made("jobs", "dequeue")),
  alone(made("jobs", "releaseStaleJobs", -1)),
  alone({ ...made("jobs", "dequeue"), connection: 1 }),
];

function suspended(stageId: string, nextPollAt: unknown): CallPart {
  const update = { status: "SUSPENDED", nextPollAt };
  return made("persistence", "updateStageByRunAndStageId", "r", stageId, update);
}

function alone(part: Step["parts"][number]): Step {
  return { tick: 0, parts: [part] };
}

function made(on: Interface, method: Method, ...args: readonly unknown[]): CallPart {
  return { kind: "call", connection: 0, call: { on, method, args }, outage: false };
}
