/**
 * `workflow-engine-cloudflare/http`: the HTTP API as a Hono app, to mount in a Worker that has the bindings itself, and its type, for `hc`,
 * Hono's typed client.
 * @example
 * import { hc } from "hono/client";
 * import type { App } from "workflow-engine-cloudflare/http";
 * const client = hc<App>(url, { headers: { Authorization: `Bearer ${token}` } });
 */
export { type App, app } from "./app.ts";
export type { Problem, ProblemCode } from "./problem.ts";
export type { HttpEnv, RateLimiter } from "./env.ts";
