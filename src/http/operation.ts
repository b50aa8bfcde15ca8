/**
 * How a route says what it answers. A route declares only the problems that its rows can cause.
 * This file adds those that any request may meet, those that follow from the method, the body and
 * the parameters, and the headers.
 */
import { createRoute, type RouteConfig, z } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { answerConditions, refuseConditions } from "./etag.ts";
import { takesKey } from "./idempotency/index.ts";
import { problemSchema } from "./problem.ts";
import { problemKind, type ProblemCode, type ProblemStatus } from "./problem-kinds.ts";
import { hasBody, requireShortLists } from "./body.ts";
import type { AppEnv } from "./env.ts";

const header = (description: string, example: string) => ({
  description,
  schema: { type: "string" as const },
  example,
});

/** Headers of answers, as components of the document. */
export const HEADERS = {
  ETag: header("The record's version. Send it as `If-Match` with an update.", '"v3"'),
  "Idempotent-Replayed": header(
    "`true` where an earlier request with this `Idempotency-Key` did the work, and this is its answer.",
    "true",
  ),
  Location: header("The path of what was created.", "/v1/runs/run-1"),
  "Retry-After": header("Seconds after which a repeat may succeed.", "1"),
  "WWW-Authenticate": header("How to authenticate.", "Bearer"),
  "X-Request-Id": header("Names the request in the service's log.", "0mwwqfjeva1b2c3d4e"),
} as const;
type HeaderName = keyof typeof HEADERS;

/**
 * Headers of requests, as components of the document. Their values are checked where they are read.
 */
export const PARAMETERS = {
  IfMatch: {
    name: "If-Match",
    in: "header" as const,
    description:
      "ETags of versions that the request is meant for, separated by commas; left out or `*`: any. A weak one (`W/`) never matches.",
    schema: { type: "string" as const },
    example: '"v3"',
  },
  IfNoneMatch: {
    name: "If-None-Match",
    in: "header" as const,
    description:
      "ETags of versions that the request is not meant for; `*`: only if there is nothing yet. A read answers 304 then, a change 412.",
    schema: { type: "string" as const },
    example: '"v3"',
  },
  IdempotencyKey: {
    name: "Idempotency-Key",
    in: "header" as const,
    description:
      "Made by the caller, up to about 2,000 bytes. The request has its effect once for 30 days, however often it is sent.",
    schema: { type: "string" as const },
    example: "order-1",
  },
} as const;

const references = (names: readonly HeaderName[]) =>
  Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));

type Headers = Readonly<Record<string, { readonly $ref: string }>>;
interface Answer {
  readonly description: string;
  readonly headers?: Headers;
  readonly content?: Readonly<Record<string, { readonly schema: z.ZodType; example?: unknown }>>;
}

/** A body as JSON. The compiler checks the example. */
export function jsonBody<Schema extends z.ZodType>(
  schema: Schema,
  example: NoInfer<z.input<Schema>>,
) {
  return { body: { required: true, content: { "application/json": { schema, example } } } };
}

interface Success<Schema extends z.ZodType> {
  readonly description: string;
  readonly schema: Schema;
  readonly example: NoInfer<z.output<Schema>>;
  readonly headers?: readonly HeaderName[];
}

/** The success that a route answers, with an example that the compiler checks. */
export function answers<Status extends 200 | 201 | 202, Schema extends z.ZodType>(
  success: Readonly<Record<Status, Success<Schema>>>,
): {
  [S in Status]: { description: string; content: { "application/json": { schema: Schema } } };
};
export function answers(success: Readonly<Record<number, Success<z.ZodType>>>): unknown {
  const told = Object.entries(success).map(([status, value]) => {
    const { description, schema, example, headers = [] } = value;
    const content = { "application/json": { schema, example } };
    return [status, { description, headers: references(headers), content }];
  });
  return Object.fromEntries(told);
}

/** An answer without a body. */
export function done(description: string) {
  return { 204: { description } } as const;
}

/** Problems that any request to any operation may meet. */
const ALWAYS = [
  "UNAUTHENTICATED",
  "FORBIDDEN",
  "FOREIGN_ORIGIN",
  "INVALID_ARGUMENT",
  "RATE_LIMITED",
  "INTERNAL",
  "OVERLOADED",
  "UNAVAILABLE",
  "NOT_CONFIGURED",
  "KEYS_UNAVAILABLE",
] as const satisfies readonly ProblemCode[];

/** Problems that an operation declares, because what it does to its rows can cause them. */
export type DeclaredProblem =
  | "NOT_FOUND"
  | "ALREADY_EXISTS"
  | "LEASE_LOST"
  | "GUARD_FAILED"
  /** It also says that the operation honours `If-Match` and `If-None-Match`. */
  | "STALE_VERSION";

type Declared<Path extends string> = Omit<RouteConfig, "path" | "responses" | "parameters"> & {
  readonly path: Path;
  readonly summary: string;
  readonly operationId: string;
  readonly responses: Readonly<Record<number, Answer>>;
  readonly problems?: readonly DeclaredProblem[];
};

/** What the types of handlers and clients know of problems: any of them may come. */
type ProblemAnswers = {
  readonly [Status in ProblemStatus]: {
    readonly description: string;
    readonly content: { readonly "application/problem+json": { schema: typeof problemSchema } };
  };
};

const NO_PARAMETERS = z.strictObject({});

/**
 * A route with everything that it may answer.
 * @example
 * const getRun = operation({
 *   method: "get",
 *   path: "/runs/{runId}",
 *   operationId: "getRun",
 *   summary: "Read a run",
 *   ...secured("run"),
 *   request: { params: runKey },
 *   responses: answers({ 200: { description: "The run.", schema: runRecord, example: RUN } }),
 *   problems: ["NOT_FOUND"],
 * });
 */
export function operation<Path extends string, const Route extends Declared<Path>>(
  declared: Route,
): ReturnType<typeof createRoute<Path, Route>> & { readonly responses: ProblemAnswers };
export function operation<Path extends string>(declared: Declared<Path>): unknown {
  const { problems = [], responses, ...rest } = declared;
  // An operation that declares no query parameters takes none.
  const route = { ...rest, request: { query: NO_PARAMETERS, ...rest.request } };
  const content = route.request?.body?.content["application/json"];
  const schema = content !== undefined && "schema" in content ? content.schema : undefined;
  const method = route.method.toUpperCase();
  const codes = new Set<ProblemCode>([...ALWAYS, ...problems]);
  const reads = method === "GET" && hasETag(responses);
  if (reads) codes.add("STALE_VERSION");
  const conditional = codes.has("STALE_VERSION");
  const middleware = [
    route.middleware ?? [],
    reads ? answerConditions : conditional ? [] : refuseConditions,
    schema instanceof z.ZodType ? shortLists(schema) : [],
  ];
  if (hasBody(method)) {
    for (const code of [
      "MALFORMED",
      "PAYLOAD_TOO_LARGE",
      "REQUEST_TIMEOUT",
      "UNSUPPORTED_MEDIA_TYPE",
    ] as const)
      codes.add(code);
  }
  const parameters: { readonly $ref: string }[] = [];
  const headers: HeaderName[] = ["X-Request-Id"];
  if (conditional) {
    parameters.push({ $ref: "#/components/parameters/IfMatch" });
    parameters.push({ $ref: "#/components/parameters/IfNoneMatch" });
  }
  const told = reads ? { ...responses, ...NOT_MODIFIED } : responses;
  if (takesKey(method, `/v1${route.path}`)) {
    codes.add("IDEMPOTENCY_KEY_IN_USE");
    parameters.push({ $ref: "#/components/parameters/IdempotencyKey" });
    headers.push("Idempotent-Replayed");
  }
  return createRoute({
    ...route,
    middleware: middleware.flat(),
    parameters,
    responses: { ...withHeaders(told, references(headers)), ...problemAnswers(codes) },
  });
}

const NOT_MODIFIED = {
  304: {
    description: "The caller has it already, as `If-None-Match` says.",
    headers: references(["ETag"]),
  },
} as const;

function hasETag(responses: Readonly<Record<number, Answer>>): boolean {
  return Object.values(responses).some(({ headers }) => headers?.["ETag"] !== undefined);
}

/**
 * Measures the lists of a body before their members are checked: each wrong member costs more than
 * its text.
 */
function shortLists(schema: z.ZodType): MiddlewareHandler<AppEnv> {
  const longest = new Map<string, number>();
  for (const [name, member] of Object.entries(schema instanceof z.ZodObject ? schema.shape : {})) {
    const checks = member instanceof z.ZodArray ? (member._zod.def.checks ?? []) : [];
    for (const { _zod: check } of checks) {
      if ("maximum" in check.def && typeof check.def.maximum === "number") {
        longest.set(name, check.def.maximum);
      }
    }
  }
  return async (context, next) => {
    if (longest.size > 0) requireShortLists(await context.req.bodyCache.json, longest);
    await next();
  };
}

function withHeaders(responses: Readonly<Record<number, Answer>>, added: Headers) {
  const told = Object.entries(responses).map(([status, response]) => [
    status,
    { ...response, headers: { ...response.headers, ...added } },
  ]);
  return Object.fromEntries(told);
}

function problemAnswers(codes: ReadonlySet<ProblemCode>) {
  const statuses = [...new Set([...codes].map((code) => problemKind(code).status))];
  const told = statuses.map((status) => {
    const own = [...codes].filter((code) => problemKind(code).status === status);
    return [status, problemAnswer(own)];
  });
  return Object.fromEntries(told);
}

/** One status, with an example of each code that it may stand for. */
function problemAnswer(codes: readonly ProblemCode[]) {
  const headers: HeaderName[] = ["X-Request-Id"];
  if (codes.includes("UNAUTHENTICATED")) headers.push("WWW-Authenticate");
  if (codes.some((code) => problemKind(code).retryAfter !== undefined)) headers.push("Retry-After");
  const examples = codes.map((code) => [code, { $ref: `#/components/examples/${code}` }]);
  return {
    description: codes.map((code) => `\`${code}\`: ${problemKind(code).when}`).join("\n\n"),
    headers: references(headers),
    content: {
      "application/problem+json": { schema: problemSchema, examples: Object.fromEntries(examples) },
    },
  };
}
