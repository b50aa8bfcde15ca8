/**
 * `workflow-engine-cloudflare/http`: the HTTP API as a Hono app, to mount in a Worker that has the
 * bindings itself, and its type, for `hc`, Hono's typed client. docs/http.md tells how it is used.
 * Not here: what the methods mean (`persistence/`), and the client (`client/`). Imports `worker/`,
 * `queue/`, `persistence/`, `changes/`, `queries/`, `model/` and `contract/`, and Hono, Zod
 * and jose.
 * @example
 * import { hc } from "hono/client";
 * import type { App } from "workflow-engine-cloudflare/http";
 *
 * const { runs } = hc<App>(url, { headers: { Authorization: `Bearer ${token}` } }).v1;
 * const answer = await runs[":runId"].$get({ param: { runId: "run-1" } });
 * if (answer.status === 200) console.log((await answer.json()).status);
 */
export { type App, app } from "./app.ts";
export type { Problem, ProblemCode } from "./problem.ts";
export type { HttpEnv, RateLimiter } from "./env.ts";
