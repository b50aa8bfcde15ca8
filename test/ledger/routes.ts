/** A request of every route, on the live rows: what a call costs over HTTP. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { vi } from "vitest";
import { app } from "../../src/http/app.ts";
import { ADMIN, secretOf } from "../http/support.ts";
import type { Call } from "./calls.ts";
import {
  aiCall,
  annotation,
  artifact,
  BATCH,
  event,
  job,
  newRun,
  NOW,
  PENDING_RUNS,
  recordedEnv,
  RUN,
  stage,
  TOPIC,
  type World,
} from "./live.ts";

export interface RouteCall extends Call {
  /** The operation of the OpenAPI document. */
  readonly operation: string;
  /** The call of the contract that it costs as much as; null: it has figures of its own. */
  readonly as: string | null;
  /** Its page is full only where there are finished runs. */
  readonly fills: boolean;
}

interface Asked {
  /** JSON, or what makes it of the world's ids. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly as?: string;
  readonly fills?: boolean;
  readonly before?: Call["before"];
}

const segment = encodeURIComponent;
/** Idempotency keys begin with their owner's name, and rows of this name are live rows. */
const API_TOKENS = await secretOf({ token: ADMIN, name: "live", scopes: ["admin"] });

/** `path`: with the world's ids; `operation`: as the document has it, with what tells its calls apart in parentheses. */
function route(
  operation: string,
  path: string | ((world: World) => string),
  { body, headers = {}, as, fills = false, before }: Asked = {},
): RouteCall {
  const [method = ""] = operation.split(" ");
  return {
    name: operation,
    operation: operation.replace(/ \(.*\)$/, ""),
    as: as ?? null,
    fills,
    ...(before === undefined ? {} : { before }),
    call: async (world) => {
      const content: unknown = typeof body === "function" ? body(world) : body;
      const target = typeof path === "string" ? path : path(world);
      const request = new Request(`https://engine.example/v1${target}`, {
        method,
        headers: {
          Authorization: `Bearer ${ADMIN}`,
          ...(content === undefined ? {} : { "Content-Type": "application/json" }),
          ...headers,
        },
        ...(content === undefined ? {} : { body: JSON.stringify(content) }),
      });
      const context = createExecutionContext();
      vi.setSystemTime(NOW);
      try {
        const bindings = { ...recordedEnv(world.recorder), API_TOKENS };
        const response = await app.fetch(request, bindings, context);
        if (!response.ok) throw new Error(`${operation}: ${await response.text()}`);
        await response.text();
        await waitOnExecutionContext(context);
      } finally {
        vi.useRealTimers();
      }
    },
  };
}

const ofRun = `/runs/${RUN}`;
const { workflowRunId: _run, ...newStage } = stage("new", 6);
const { workflowRunId: _its, key: _key, ...newArtifact } = artifact("new");
const events = { events: [event()] };
const commit = {
  id: "0mwwqfjeva1b2c3d4e",
  guards: [{ on: "run", id: RUN, expect: { is: "present" } }],
  changes: [{ kind: "updateRun", id: RUN, set: { totalCost: 2 }, at: NOW, bump: 1 }],
  reads: [{ q: "runStatus", id: RUN }],
};
const leased = (verb: string) => (world: World) => `/jobs/${segment(world.leased)}/${verb}`;
const analyse = (world: World) => `/stages/${segment(world.stages.analyse)}`;

/** Those that cost what a call of the contract costs. */
const AS_THE_CONTRACT: readonly RouteCall[] = [
  route("POST /runs", "/runs", { body: newRun("live-new"), as: "createRun" }),
  route("GET /runs/{runId}", ofRun, { as: "getRun" }),
  route("PATCH /runs/{runId}", ofRun, { body: { totalCost: 2 }, as: "updateRun (cost)" }),
  route("PATCH /runs/{runId} (If-Match, status)", ofRun, {
    headers: { "If-Match": '"v2"' },
    body: { status: "COMPLETED", completedAt: new Date(NOW) },
    as: "updateRun (status)",
  }),
  route("GET /runs/{runId}/status", `${ofRun}/status`, { as: "getRunStatus" }),
  route("POST /runs/{runId}/claim", `/runs/${PENDING_RUNS[0] ?? ""}/claim`, {
    as: "claimPendingRun",
  }),
  route("POST /runs/claim", "/runs/claim", { as: "claimNextPendingRun" }),
  route("GET /stuck-runs", `/stuck-runs?since=${new Date(NOW - 1_800_000).toISOString()}`, {
    as: "getStuckRuns",
  }),
  route("POST /runs/{runId}/stages", `${ofRun}/stages`, { body: newStage, as: "createStage" }),
  route("GET /runs/{runId}/stages (select)", `${ofRun}/stages?select=first-failed`, {
    as: "getFirstFailedStage",
  }),
  route("GET /runs/{runId}/stages/{stageId}", `${ofRun}/stages/analyse`, { as: "getStage" }),
  route("PUT /runs/{runId}/stages/{stageId}", `${ofRun}/stages/new`, {
    body: { create: without(newStage, "stageId"), update: {} },
    as: "upsertStage (new)",
  }),
  route("PATCH /runs/{runId}/stages/{stageId}", `${ofRun}/stages/analyse`, {
    body: { status: "COMPLETED" },
    as: "updateStageByRunAndStageId",
  }),
  route("GET /stages/{id}", analyse, { as: "getStageById" }),
  route("PATCH /stages/{id}", analyse, {
    body: { status: "COMPLETED", outputData: { pages: 9 } },
    as: "updateStage",
  }),
  route("DELETE /stages/{id}", ({ stages }) => `/stages/${segment(stages.poll)}`, {
    as: "deleteStage (just written)",
  }),
  route("GET /stages/suspended", `/stages/suspended?before=${new Date(NOW).toISOString()}`, {
    as: "getSuspendedStages",
  }),
  route("POST /logs", "/logs", {
    body: { workflowRunId: RUN, level: "INFO", message: "Three" },
    as: "createLog",
  }),
  route("PUT /runs/{runId}/artifacts/{key}", `${ofRun}/artifacts/new`, {
    body: newArtifact,
    as: "saveArtifact (new)",
  }),
  route("GET /runs/{runId}/artifacts/{key}", `${ofRun}/artifacts/output`, { as: "loadArtifact" }),
  route("GET /runs/{runId}/artifacts/{key}/exists", `${ofRun}/artifacts/output/exists`, {
    as: "hasArtifact",
  }),
  route("DELETE /runs/{runId}/artifacts/{key}", `${ofRun}/artifacts/output`, {
    as: "deleteArtifact (just written)",
  }),
  route("GET /runs/{runId}/stages/{stageId}/record-id", `${ofRun}/stages/analyse/record-id`, {
    as: "getStageIdForArtifact",
  }),
  route("PUT /runs/{runId}/stages/{stageId}/output", `${ofRun}/stages/analyse/output`, {
    body: { workflowType: "report", output: { pages: 9 } },
    as: "saveStageOutput",
  }),
  route("POST /annotations", "/annotations", {
    body: { annotations: [annotation("more")] },
    as: "appendAnnotations (1)",
  }),
  route("POST /outbox-events", "/outbox-events", { body: events, as: "appendOutboxEvents (1)" }),
  route("GET /outbox-events/next", "/outbox-events/next", { as: "getUnpublishedOutboxEvents" }),
  route("POST /outbox-events/publish", "/outbox-events/publish", {
    body: { ids: [`${RUN}/3`] },
    as: "markOutboxEventsPublished (1)",
  }),
  route("POST /outbox-events/{id}/retry-count", `/outbox-events/${RUN}%2F3/retry-count`, {
    as: "incrementOutboxRetryCount",
  }),
  route("POST /outbox-events/{id}/dead-letter", `/outbox-events/${RUN}%2F3/dead-letter`, {
    as: "moveOutboxEventToDLQ",
  }),
  route("POST /outbox-events/replay", "/outbox-events/replay", {
    body: { maxEvents: 10 },
    as: "replayDLQEvents (1)",
  }),
  route("POST /idempotency-keys/acquire", "/idempotency-keys/acquire", {
    body: { key: "live-new", commandType: "run.create" },
    as: "acquireIdempotencyKey",
  }),
  route("POST /idempotency-keys/complete", "/idempotency-keys/complete", {
    body: { key: "live-key", commandType: "run.create", result: {} },
    as: "completeIdempotencyKey",
  }),
  route("POST /idempotency-keys/release", "/idempotency-keys/release", {
    body: { key: "live-key", commandType: "run.create" },
    as: "releaseIdempotencyKey (just acquired)",
  }),
  route("POST /jobs", "/jobs", { body: { jobs: [job("new")] }, as: "jobs.enqueue" }),
  route("POST /jobs/dequeue", "/jobs/dequeue", { body: { count: 1 }, as: "jobs.dequeue" }),
  route("POST /jobs/complete", "/jobs/complete", {
    body: ({ leased: jobId }: World) => ({ jobs: [{ jobId, attempt: 1 }] }),
    as: "jobs.completeMany (1)",
  }),
  route("POST /jobs/{jobId}/complete", leased("complete"), { body: {}, as: "jobs.complete" }),
  route("POST /jobs/{jobId}/suspend", leased("suspend"), {
    body: { nextPollAt: new Date(NOW + 60_000) },
    as: "jobs.suspend",
  }),
  route("POST /jobs/{jobId}/fail", leased("fail"), {
    body: { error: "Timeout", shouldRetry: true },
    as: "jobs.fail (retries)",
  }),
  route("POST /jobs/{jobId}/touch", leased("touch"), { body: {}, as: "jobs.touchJob" }),
  route("GET /jobs/suspended", "/jobs/suspended", { as: "jobs.getSuspendedJobsReadyToPoll" }),
  route("POST /jobs/release-stale", "/jobs/release-stale", {
    body: {},
    as: "jobs.releaseStaleJobs (1)",
  }),
  route("GET /jobs/stats", "/jobs/stats", { as: "jobs.jobStats" }),
  route("POST /runs/{runId}/jobs/cancel", `${ofRun}/jobs/cancel`, { as: "jobs.cancelByRun" }),
  route("GET /audit", "/audit", { as: "audit" }),
  route("POST /ai-calls", "/ai-calls", { body: aiCall("How?"), as: "aiCalls.logCall" }),
  route("PUT /ai-batches/{batchId}", "/ai-batches/live-other", {
    body: { results: [aiCall("How?")] },
    as: "aiCalls.logBatchResults (1)",
  }),
  route("GET /ai-batches/{batchId}", `/ai-batches/${BATCH}`, { as: "aiCalls.isRecorded" }),
  route("GET /ai-stats", `/ai-stats?topicPrefix=${TOPIC}`, { as: "aiCalls.getStats" }),
];

const created = new URLSearchParams({ createdFrom: new Date(NOW - 60_000).toISOString() });

/** Those that have figures of their own. */
const OF_THEIR_OWN: readonly RouteCall[] = [
  route("GET /runs", "/runs?limit=10", { fills: true }),
  route("GET /runs (createdFrom)", `/runs?limit=10&${created.toString()}`, { fills: true }),
  route("GET /runs (status)", "/runs?limit=10&status=PENDING"),
  route("GET /runs (workflowId)", "/runs?limit=10&workflowId=report"),
  route("GET /runs (workflowType)", "/runs?limit=10&workflowType=report"),
  route("GET /runs (name)", "/runs?limit=10&name=epo", { fills: true }),
  route("GET /runs (annotation)", "/runs?limit=10&annotationKey=note&annotationValue=1", {
    fills: true,
  }),
  route("GET /runs (workflowId, name: none)", "/runs?workflowId=report&name=nobody", {
    fills: true,
  }),
  route("GET /runs/{runId}/stages", `${ofRun}/stages`),
  route("GET /runs/{runId}/artifacts", `${ofRun}/artifacts`),
  route("GET /runs/{runId}/annotations", `${ofRun}/annotations`),
  route("GET /runs/{runId}/jobs", `${ofRun}/jobs`),
  route("GET /runs/{runId}/logs", `${ofRun}/logs`),
  route("GET /logs", "/logs"),
  route("GET /runs/{runId}/outbox-events", `${ofRun}/outbox-events`),
  route("GET /outbox-events", "/outbox-events"),
  route("GET /outbox-events (dead-letter)", "/outbox-events?state=dead-letter"),
  route("POST /commits", "/commits", { body: commit }),
  route("POST /settlements", "/settlements", { body: commit }),
  route("POST /queries", "/queries", { body: { queries: commit.reads } }),
  route("GET /time", "/time"),
  route("POST /runs (Idempotency-Key)", "/runs", {
    body: newRun("live-new"),
    headers: { "Idempotency-Key": "live" },
  }),
  route("POST /jobs/dequeue (Idempotency-Key)", "/jobs/dequeue", {
    body: { count: 1 },
    headers: { "Idempotency-Key": "live" },
  }),
];

export const ROUTES: readonly RouteCall[] = [...AS_THE_CONTRACT, ...OF_THEIR_OWN];

function without<T extends object, Name extends keyof T>(value: T, name: Name): Omit<T, Name> {
  const { [name]: _gone, ...rest } = value;
  return rest;
}
