/**
 * The HTTP API as one Hono app: everything that the service can do, for callers without a binding.
 * A request passes the middleware in this order: access log, caller, rate limit, room in memory,
 * route.
 */
import { Hono } from "hono";
import { cors } from "hono/cors";
import { methodNotAllowed } from "hono/method-not-allowed";
import { secureHeaders } from "hono/secure-headers";
import { isServiceError } from "../contract/index.ts";
import { newCommitId, withDeadline } from "../model/index.ts";
import { Connection } from "../persistence/connection.ts";
import { openStore } from "../worker/index.ts";
import { type ApiDocument, documentOf } from "./document.ts";
import { DOCS_FILES, DOCS_PAGE, DOCS_POLICY } from "./docs-page.ts";
import { callerOf, corsOrigins } from "./authentication.ts";
import { checkAccessLog, isLogged, logLine } from "./log-line.ts";
import { HEADERS } from "./operation.ts";
import { HttpFault, problemResponse, toldOf } from "./problem.ts";
import { readiness } from "./readiness.ts";
import { Room, RoomyStore } from "./room.ts";
import {
  aiCalls,
  annotations,
  artifacts,
  audit,
  commits,
  events,
  idempotencyKeys,
  jobLeases,
  jobs,
  logs,
  outbox,
  runs,
  stages,
} from "./routes/index.ts";
import { decodablePath } from "./body.ts";
import type { AppEnv } from "./env.ts";
import { authorizationOf } from "./websocket.ts";

/**
 * How long a request waits for the rate limiter's answer. Then it is refused, and nothing was done.
 */
const LIMITER_DEADLINE_MS = 2_000;

const app = new Hono<AppEnv>();

app.use(async (context, next) => {
  const started = Date.now();
  const requestId = newCommitId(started);
  context.set("requestId", requestId);
  await next();
  // Hono's own method would make the answer anew for each header.
  const { headers } = context.res;
  headers.set("X-Request-Id", requestId);
  // With the cookie of Cloudflare Access there is no Authorization that would keep shared caches
  // away.
  if (!headers.has("Cache-Control")) headers.set("Cache-Control", "no-store");
  const { method, path } = context.req;
  const { status } = context.res;
  if (!isLogged(context.env, status)) return;
  const caller = (context.get("caller") as AppEnv["Variables"]["caller"] | undefined)?.name ?? null;
  const ms = Date.now() - started;
  console.log(logLine({ event: "wfe-http", requestId, method, path, status, caller, ms }));
});
app.use(secureHeaders());
app.use(
  methodNotAllowed({
    app,
    onMethodNotAllowed(context, methods) {
      const { method, path } = context.req;
      // HEAD is answered where GET is, without being listed.
      const Allow = methods
        .filter((each) => each !== "HEAD")
        .toSorted()
        .join(", ");
      const message = `${method} is not for ${path}; ${Allow} is`;
      return problemResponse(context, {
        code: "METHOD_NOT_ALLOWED",
        message,
        details: {},
        headers: { Allow },
      });
    },
  }),
);

app.get("/healthz", (context) => context.json({ status: "ok" }));
app.get("/readyz", async (context) => {
  const state = await readiness(context.env);
  return context.json(state, state.ready ? 200 : 503);
});
app.get("/", (context) => context.redirect("/docs"));
app.get("/openapi.json", (context) => context.json(openApiDocument()));
app.get("/docs", secureHeaders({ contentSecurityPolicy: DOCS_POLICY }), (context) =>
  context.html(DOCS_PAGE),
);
for (const path of DOCS_FILES.map((file) => `/docs/${file}`)) {
  app.get(path, async (context) => {
    const { ASSETS } = context.env;
    // The assets do not know under which path the app is mounted.
    const asset = new URL(path, context.req.url);
    const { headers } = context.req.raw;
    const answer = await ASSETS?.fetch(new Request(asset, { headers }));
    if (answer !== undefined && answer.status !== 404) return new Response(answer.body, answer);
    throw new HttpFault("NO_SUCH_ROUTE", `This deployment has no asset ${path}`);
  });
}

app.use("/v1/*", async (context, next) => {
  const allowed = corsOrigins(context.env);
  if (allowed.length === 0) return next();
  const exposeHeaders = Object.keys(HEADERS);
  const allowMethods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
  return cors({ origin: allowed, allowMethods, exposeHeaders, maxAge: 600 })(context, next);
});
app.use("/v1/*", async (context, next) => {
  const { env, req } = context;
  checkAccessLog(env);
  const caller = await callerOf(env, req.raw, authorizationOf(req), Date.now());
  context.set("caller", caller);
  const limited = env.RATE_LIMITER?.limit({ key: caller.name });
  if (limited !== undefined) {
    const { success } = await withDeadline(limited, LIMITER_DEADLINE_MS, "The rate limiter");
    if (!success) throw new HttpFault("RATE_LIMITED", "Too many requests");
  }
  const waitUntil = (promise: Promise<unknown>) => context.executionCtx.waitUntil(promise);
  const room = new Room(caller.name);
  const store = new RoomyStore(
    (answerBytesMax) => configured(() => openStore(env, { waitUntil, answerBytesMax })),
    room,
  );
  context.set("room", room);
  context.set("store", store);
  context.set(
    "backend",
    new Connection(store, { workerId: caller.name, waitUntil, assumes: false }),
  );
  await next();
});
app.use("/v1/*", decodablePath);

const api = app
  .route("/v1", commits)
  .route("/v1", runs)
  .route("/v1", stages)
  .route("/v1", logs)
  .route("/v1", artifacts)
  .route("/v1", annotations)
  .route("/v1", outbox)
  .route("/v1", events)
  .route("/v1", idempotencyKeys)
  .route("/v1", jobs)
  .route("/v1", jobLeases)
  .route("/v1", aiCalls)
  .route("/v1", audit);

/** What the document shows, in its order. */
const ROUTERS = [
  commits,
  runs,
  stages,
  logs,
  artifacts,
  annotations,
  outbox,
  events,
  idempotencyKeys,
  jobs,
  jobLeases,
  aiCalls,
  audit,
];

app.notFound((context) => {
  const message = `There is nothing at ${context.req.path}`;
  return problemResponse(context, { code: "NO_SUCH_ROUTE", message, details: {} });
});
app.onError((error, context) => problemResponse(context, toldOf(error)));

/** @throws NOT_CONFIGURED for a setting that is refused: the caller is not at fault. */
function configured<T>(open: () => T): T {
  try {
    return open();
  } catch (error) {
    if (!isServiceError(error) || error.code !== "INVALID_ARGUMENT") throw error;
    throw new HttpFault("NOT_CONFIGURED", error.message, { ...error.details });
  }
}

let cached: ApiDocument | null = null;

/** The OpenAPI document. Made when it is first asked for: most isolates never need it. */
export function openApiDocument(): ApiDocument {
  cached ??= documentOf(ROUTERS.flatMap(({ operations }) => operations));
  return cached;
}

/**
 * The HTTP API: everything under `/v1`, and `/healthz`, `/readyz`, `/openapi.json` and `/docs`.
 * @example
 * import { app, type HttpEnv } from "workflow-engine-cloudflare/http";
 *
 * export { RunCoordinator } from "workflow-engine-cloudflare";
 * export default { fetch: app.fetch } satisfies ExportedHandler<HttpEnv>;
 */
export { app };
/**
 * The type of all routes under `/v1`, for `hc<App>`, Hono's typed client.
 * @example
 * import { hc } from "hono/client";
 * import type { App } from "workflow-engine-cloudflare/http";
 *
 * const { runs } = hc<App>("https://engine.example", {
 *   headers: { Authorization: `Bearer ${token}` },
 * }).v1;
 * const answer = await runs.$post({
 *   json: { workflowId: "digest", workflowName: "Digest", workflowType: "digest", input: {} },
 * });
 * console.log(answer.status);
 */
export type App = typeof api;
