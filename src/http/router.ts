/** A router whose routes say what is wrong with a request. */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { AppEnv } from "./env.ts";
import { problemResponse } from "./problem.ts";

/** An answer repeats at most this much of a request. */
const ECHO_LENGTH_MAX = 500;

/** Every file of routes has its own. The first problem of a request is answered, with the field. */
export function newRouter() {
  return new OpenAPIHono<AppEnv>({
    defaultHook(result, context) {
      if (result.success) return undefined;
      const issue = result.error.issues[0];
      const unknown = issue?.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [];
      const path = [...(issue?.path ?? []), ...unknown].map(String).join(".");
      const place = result.target === "json" ? "body" : result.target;
      // Both may repeat names and values of the request, which may have any length.
      const field = path === "" ? place : path.slice(0, ECHO_LENGTH_MAX);
      const repeated = result.target === "query" && (context.req.queries(path)?.length ?? 0) > 1;
      const message =
        unknown.length > 0
          ? `the ${place} has no such member`
          : repeated
            ? "is given more than once"
            : issue?.message;
      const what = (message ?? "is invalid").slice(0, ECHO_LENGTH_MAX);
      return problemResponse(context, {
        code: "INVALID_ARGUMENT",
        message: `${field}: ${what}`,
        details: { field },
      });
    },
  });
}
