/** The HTTP door: everything that the service can do, for callers that have no binding. */
import { cors } from "hono/cors";
import { secureHeaders } from "hono/secure-headers";
import { newCommitId } from "../changes/index.ts";
import { Connection } from "../client/connection.ts";
import { openStore } from "../queue/index.ts";
import { idempotent } from "./idempotency.ts";
import { HttpFault, problemResponse, toldOf } from "./problem.ts";
import { readiness } from "./readiness.ts";
import { aiCalls } from "./routes/ai-calls.ts";
import { commits } from "./routes/commits.ts";
import { events } from "./routes/events.ts";
import { jobs } from "./routes/jobs.ts";
import { outbox } from "./routes/outbox.ts";
import { pages } from "./routes/pages.ts";
import { records } from "./routes/records.ts";
import { runs } from "./routes/runs.ts";
import { stages } from "./routes/stages.ts";
import { type AppEnv, boundedBody, newRouter } from "./support.ts";
import { authenticate } from "./tokens.ts";
import { authorizationOf } from "./websocket.ts";

const DOCUMENT = {
  openapi: "3.1.0",
  info: {
    title: "workflow-engine-cloudflare",
    version: "1.0.0",
    description:
      "Multi-stage workflows on Cloudflare with no server: runs, stages, jobs, outbox and more in D1, with real transactions.",
    license: { name: "MIT", identifier: "MIT" },
  },
  servers: [{ url: "/", description: "This deployment" }],
};

/** Scalar, the reader of the OpenAPI document. */
const DOCS = `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>workflow-engine-cloudflare API</title></head>
<body>
<script id="api-reference" data-url="/openapi.json"></script>
<script src="https://cdn.jsdelivr.net/npm/@scalar/api-reference@1"></script>
</body>
</html>`;

const app = newRouter();

app.use(async (context, next) => {
  const started = Date.now();
  context.set("requestId", newCommitId(started));
  await next();
  context.header("X-Request-Id", context.var.requestId);
  const { method, path } = context.req;
  const caller = (context.get("caller") as AppEnv["Variables"]["caller"] | undefined)?.name ?? null;
  const { status } = context.res;
  const line = {
    event: "wfe-http",
    requestId: context.var.requestId,
    method,
    path,
    status,
    caller,
  };
  console.log(JSON.stringify({ ...line, ms: Date.now() - started }));
});
app.use(secureHeaders());

app.get("/healthz", (context) => context.json({ status: "ok" }));
app.get("/readyz", async (context) => {
  const state = await readiness(context.env);
  return context.json(state, state.ready ? 200 : 503);
});
app.get("/openapi.json", (context) => context.json(document()));
app.get("/docs", (context) => context.html(DOCS));

app.use("/v1/*", async (context, next) => {
  const origins = (context.env.CORS_ORIGINS ?? "").split(",").map((origin) => origin.trim());
  const allowed = origins.filter((origin) => origin !== "");
  if (allowed.length === 0) return next();
  const exposeHeaders = ["ETag", "Location", "Retry-After", "X-Request-Id"];
  return cors({ origin: allowed, exposeHeaders, maxAge: 600 })(context, next);
});
app.use("/v1/*", async (context, next) => {
  const { env, req } = context;
  const caller = await authenticate(env.API_TOKENS, authorizationOf(req), Date.now());
  context.set("caller", caller);
  const limited = await env.RATE_LIMITER?.limit({ key: caller.name });
  if (limited?.success === false) {
    throw new HttpFault("RATE_LIMITED", "Too many requests", {}, { "Retry-After": "10" });
  }
  const waitUntil = (promise: Promise<unknown>) => context.executionCtx.waitUntil(promise);
  const store = openStore(env, { waitUntil });
  context.set("store", store);
  context.set("backend", new Connection(store, { workerId: caller.name, waitUntil }));
  await next();
});
app.use("/v1/*", boundedBody);
app.use("/v1/*", idempotent);

const api = app
  .route("/v1", commits)
  .route("/v1", pages)
  .route("/v1", runs)
  .route("/v1", stages)
  .route("/v1", records)
  .route("/v1", outbox)
  .route("/v1", events)
  .route("/v1", jobs)
  .route("/v1", aiCalls);

app.openAPIRegistry.registerComponent("securitySchemes", "bearer", {
  type: "http",
  scheme: "bearer",
  description: "A token whose SHA-256 is in the secret API_TOKENS.",
});

app.notFound((context) => {
  const { method, path } = context.req;
  const allowed = methodsOf(path);
  if (allowed.length === 0) {
    return problemResponse(context, {
      code: "NO_SUCH_ROUTE",
      message: `There is nothing at ${path}`,
      details: {},
    });
  }
  const Allow = allowed.join(", ");
  return problemResponse(context, {
    code: "METHOD_NOT_ALLOWED",
    message: `${method} is not for ${path}; ${Allow} is`,
    details: {},
    headers: { Allow },
  });
});
app.onError((error, context) => problemResponse(context, toldOf(error)));

/** The methods that there are at a path. */
function methodsOf(path: string): string[] {
  const routes = app.routes.filter(({ method, path: pattern }) => {
    if (method === "ALL" || pattern.includes("*")) return false;
    return new RegExp(`^${pattern.replace(/:\w+/g, "[^/]+")}$`).test(path);
  });
  return [...new Set(routes.map(({ method }) => method))].toSorted();
}

let cached: ReturnType<typeof app.getOpenAPI31Document> | null = null;

function document() {
  cached ??= app.getOpenAPI31Document(DOCUMENT);
  return cached;
}

export { app };
/** For `hc<App>`, Hono's typed client. */
export type App = typeof api;
