/** Routes of the HTTP API beside the same call over a kept binding: the service is called by `fetch` over a binding too, so there is no TCP. */
import type { Backend } from "workflow-engine-cloudflare";
import { connect } from "workflow-engine-cloudflare/client";
import { type Protocol, type RouteName, TOKEN, type Way, WAYS } from "../protocol.ts";
import { rotated } from "../statistics.ts";
import type { Env } from "./env.ts";
import { embedded } from "./ours.ts";

interface Route {
  readonly path: (n: number) => string;
  readonly body?: (n: number) => unknown;
  readonly call: (backend: Backend, n: number) => Promise<unknown>;
}

const RUN = "routes";
const WORKFLOW = { workflowId: "bench", workflowName: "Bench", workflowType: "bench" };
const run = { ...WORKFLOW, input: { url: "https://example.com/" } };
const stage = (n: number) => ({
  stageId: `x${n}`,
  stageName: "x",
  stageNumber: n + 10,
  executionGroup: n + 10,
});
const annotation = { workflowRunId: RUN, scope: "run", key: "pages", value: 9 } as const;
const event = {
  workflowRunId: RUN,
  eventType: "stage:completed",
  payload: { pages: 9 },
  causationId: "c",
  occurredAt: new Date(),
};
const job = { workflowRunId: RUN, workflowId: "bench", stageId: "s0" };

const ROUTES: Record<RouteName, Route> = {
  "GET /runs/{id}": {
    path: () => `/runs/${RUN}`,
    call: ({ persistence }) => persistence.getRun(RUN),
  },
  "GET /runs/{id}/status": {
    path: () => `/runs/${RUN}/status`,
    call: ({ persistence }) => persistence.getRunStatus(RUN),
  },
  "GET /runs/{id}/stages/{stage}": {
    path: () => `/runs/${RUN}/stages/s0`,
    call: ({ persistence }) => persistence.getStage(RUN, "s0"),
  },
  "GET /jobs/stats": { path: () => "/jobs/stats", call: ({ jobs }) => jobs.jobStats() },
  "POST /runs": {
    path: () => "/runs",
    body: () => run,
    call: ({ persistence }) => persistence.createRun(run),
  },
  "PATCH /runs/{id}": {
    path: () => `/runs/${RUN}`,
    body: (totalCost) => ({ totalCost }),
    call: ({ persistence }, totalCost) => persistence.updateRun(RUN, { totalCost }),
  },
  "POST /runs/{id}/stages": {
    path: () => `/runs/${RUN}/stages`,
    body: stage,
    call: ({ persistence }, n) => persistence.createStage({ workflowRunId: RUN, ...stage(n) }),
  },
  "POST /outbox-events": {
    path: () => "/outbox-events",
    body: () => ({ events: [event] }),
    call: ({ persistence }) => persistence.appendOutboxEvents([event]),
  },
  "POST /annotations": {
    path: () => "/annotations",
    body: () => ({ annotations: [annotation] }),
    call: ({ persistence }) => persistence.appendAnnotations([annotation]),
  },
  "POST /jobs": {
    path: () => "/jobs",
    body: () => ({ jobs: [job] }),
    call: ({ jobs }) => jobs.enqueue(job),
  },
  "POST /jobs/dequeue": {
    path: () => "/jobs/dequeue",
    body: () => ({}),
    call: ({ jobs }) => jobs.dequeue(),
  },
};

/** Numbers the calls, so that no two write the same. */
let n = 0;

export async function setUpRoutes(env: Env): Promise<void> {
  for (const { persistence } of [embedded(env), connect(env.WORKFLOWS)]) {
    await persistence.createRun({ id: RUN, ...run });
    await persistence.createStage({ workflowRunId: RUN, ...stage(0), stageId: "s0" });
  }
}

export async function timeRoute(
  env: Env,
  ask: Protocol["/route"]["ask"],
): Promise<Record<Way, number>> {
  const callers = WAYS.map((way) => ({ way, call: caller(env, ask.route, way) }));
  const ms: Record<Way, number> = { embedded: 0, bound: 0, http: 0 };
  // The first call opens the session that a kept binding has.
  for (const { call } of callers) await call();
  for (let k = 0; k < ask.calls; k++) {
    for (const { way, call } of rotated(callers, k)) {
      const started = Date.now();
      await call();
      ms[way] += Date.now() - started;
    }
  }
  for (const way of WAYS) ms[way] /= ask.calls;
  return ms;
}

function caller(env: Env, name: RouteName, way: Way): () => Promise<unknown> {
  const route = ROUTES[name];
  switch (way) {
    case "embedded": {
      const backend = embedded(env);
      return () => route.call(backend, ++n);
    }
    case "bound": {
      const backend = connect(env.WORKFLOWS);
      return () => route.call(backend, ++n);
    }
    case "http":
      return () => request(env.SERVICE, name, ++n);
  }
}

async function request(service: Fetcher, name: RouteName, k: number): Promise<unknown> {
  const { path, body } = ROUTES[name];
  const method = name.slice(0, name.indexOf(" "));
  const headers: Record<string, string> = { Authorization: `Bearer ${TOKEN}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await service.fetch(`https://service.example/v1${path(k)}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body(k)) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${name}: ${response.status} ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}
