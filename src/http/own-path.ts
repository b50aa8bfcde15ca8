/** Paths of the API, wherever a Worker has put its routes. */
import type { Context } from "hono";
import { routePath } from "hono/route";
import type { AppEnv } from "./env.ts";

/**
 * The path under which the routes of the request's API are: `/v1`, or `/engine/v1` after
 * `own.route("/engine", app)`.
 */
export function baseOf(context: Context<AppEnv>): string {
  return stepsOf(context)
    .slice(0, versionAt(context) + 1)
    .join("/");
}

/** The request's path as the document has it, in one spelling: `/v1/runs/a%2Fb`. */
export function ownPath(context: Context<AppEnv>): string {
  return `/${stepsOf(context).slice(versionAt(context)).join("/")}`;
}

/** One spelling of a path: `%2f`, `%2F` and an unnecessary encoding name the same request. */
function stepsOf({ req }: Context<AppEnv>): string[] {
  return req.path.split("/").map((step) => encodeURIComponent(decodeURIComponent(step)));
}

/** Where `v1` stands. The route's path has names, such as `:runId`, where the request's has ids. */
function versionAt(context: Context<AppEnv>): number {
  return routePath(context).split("/").lastIndexOf("v1");
}
