/** Paths of the API, wherever a Worker has put its routes. */
import type { Context } from "hono";
import { basePath } from "hono/route";
import type { AppEnv } from "./env.ts";

/**
 * The path under which the routes of the request's API are: `/v1`, or `/engine/v1` after
 * `own.route("/engine", app)`.
 */
export function baseOf(context: Context<AppEnv>): string {
  return canonical(basePath(context));
}

/** The request's path as the document has it, in one spelling: `/v1/runs/a%2Fb`. */
export function ownPath(context: Context<AppEnv>): string {
  return `/v1${canonical(context.req.path.slice(basePath(context).length))}`;
}

/** One spelling of a path: `%2f`, `%2F` and an unnecessary encoding name the same request. */
function canonical(path: string): string {
  return path
    .split("/")
    .map((step) => encodeURIComponent(decodeURIComponent(step)))
    .join("/");
}
