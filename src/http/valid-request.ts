/** Checks a request against the schemas of its operation. */
import type { Context, MiddlewareHandler } from "hono";
import * as z from "zod";
import { isJson } from "./body.ts";
import type { AppEnv } from "./env.ts";
import type { RequestSchemas } from "./operation.ts";
import { HttpFault } from "./problem.ts";

/** An answer repeats at most this much of a request. */
const ECHO_LENGTH_MAX = 500;

const NO_PARAMETERS = z.strictObject({});

type Place = "query" | "param" | "json";

/**
 * Leaves the valid parts for the handler, as Hono's own validators do: `req.valid(place)` has them.
 * The first problem of a request is answered, with the field.
 */
export function validRequest({
  query = NO_PARAMETERS,
  params,
  body,
}: RequestSchemas): MiddlewareHandler<AppEnv> {
  const inBody = body?.content["application/json"].schema;
  return async (context, next) => {
    // Most requests have no query, and most operations take none.
    const none = query === NO_PARAMETERS && !context.req.url.includes("?");
    if (!none) check(context, "query", query, queryOf(context));
    if (params !== undefined) check(context, "param", params, context.req.param());
    if (inBody !== undefined) check(context, "json", inBody, await bodyOf(context));
    await next();
  };
}

/** A parameter that is given more than once is a list, which no schema takes. */
function queryOf({ req }: Context<AppEnv>): Record<string, string | string[]> {
  const told = Object.entries(req.queries());
  return Object.fromEntries(
    told.map(([name, [value = "", ...more]]) => [name, more.length > 0 ? [value, ...more] : value]),
  );
}

/**
 * Without a body and without its type the schema tells what is missing.
 * @throws MALFORMED, UNSUPPORTED_MEDIA_TYPE
 */
async function bodyOf({ req }: Context<AppEnv>): Promise<unknown> {
  if (req.header("Content-Type") === undefined) return {};
  const message = "The body must be JSON, declared as application/json";
  if (!isJson(req.raw)) throw new HttpFault("UNSUPPORTED_MEDIA_TYPE", message);
  // The middleware has parsed it, unless there is none.
  if (req.bodyCache.json === undefined) throw new HttpFault("MALFORMED", message);
  return req.bodyCache.json;
}

/** @throws INVALID_ARGUMENT with the field. */
function check(
  context: Context<AppEnv>,
  place: Place,
  schema: z.ZodType<object>,
  value: unknown,
): void {
  const { success, data, error } = schema.safeParse(value);
  if (!success) throw refused(context, place, error);
  context.req.addValidatedData(place, data);
}

function refused({ req }: Context<AppEnv>, place: Place, { issues }: z.ZodError): HttpFault {
  const [issue] = issues;
  const unknown = issue?.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [];
  const path = [...(issue?.path ?? []), ...unknown].map(String).join(".");
  const where = place === "json" ? "body" : place;
  // Both may repeat names and values of the request, which may have any length.
  const field = path === "" ? where : path.slice(0, ECHO_LENGTH_MAX);
  const repeated = place === "query" && (req.queries(path)?.length ?? 0) > 1;
  const message =
    unknown.length > 0
      ? `the ${where} has no such member`
      : repeated
        ? "is given more than once"
        : issue?.message;
  const what = (message ?? "is invalid").slice(0, ECHO_LENGTH_MAX);
  return new HttpFault("INVALID_ARGUMENT", `${field}: ${what}`, { field });
}
