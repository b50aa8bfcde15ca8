/**
 * How a route says what it answers. A route declares only the problems that its rows can cause.
 * This file adds those that any request may meet, those that follow from the method, the body and
 * the parameters, and the headers.
 */
import type { MiddlewareHandler } from "hono";
import * as z from "zod";
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
interface Media {
  readonly schema: z.ZodType;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly $ref: string }>>;
}
export interface Answer {
  readonly description: string;
  readonly headers?: Headers;
  readonly content?: Readonly<Record<string, Media>>;
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

/** What a request is checked against. */
export interface RequestSchemas {
  /** Left out: no parameters. */
  readonly query?: z.ZodObject;
  readonly params?: z.ZodObject;
  readonly body?: {
    readonly required: boolean;
    readonly content: {
      readonly "application/json": {
        readonly schema: z.ZodType<object>;
        readonly example: unknown;
      };
    };
  };
}

interface About {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  /** As the document has it, from `/v1` on: its parameters in braces. */
  readonly path: string;
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly security: readonly Readonly<Record<string, readonly string[]>>[];
  readonly request?: RequestSchemas;
}

/** What a file of routes says of an operation. */
interface Declared extends About {
  readonly responses: Readonly<Record<number, Answer>>;
  readonly problems?: readonly DeclaredProblem[];
  /** Of `secured`. */
  readonly middleware: MiddlewareHandler<AppEnv>;
}

/** An operation with all that it takes and answers. */
export interface Operation extends About {
  /** Headers that it knows, by reference. */
  readonly parameters: readonly { readonly $ref: string }[];
  readonly responses: Readonly<Record<number, Answer>>;
  readonly middleware: readonly MiddlewareHandler<AppEnv>[];
}

/** What the types of handlers and clients know of problems: any of them may come. */
type ProblemAnswers = {
  readonly [Status in ProblemStatus]: {
    readonly description: string;
    readonly content: { readonly "application/problem+json": { schema: typeof problemSchema } };
  };
};

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
export function operation<const Route extends Declared>(
  declared: Route,
): Omit<Route, "middleware" | "problems"> &
  Pick<Operation, "parameters" | "middleware"> & { readonly responses: ProblemAnswers };
export function operation(declared: Declared): unknown {
  const { problems = [], responses, ...about } = declared;
  const schema = about.request?.body?.content["application/json"].schema;
  const method = about.method.toUpperCase();
  const codes = new Set<ProblemCode>([...ALWAYS, ...problems]);
  const reads = method === "GET" && hasETag(responses);
  if (reads) codes.add("STALE_VERSION");
  const conditional = codes.has("STALE_VERSION");
  const middleware = [
    declared.middleware,
    reads ? answerConditions : conditional ? [] : refuseConditions,
    schema === undefined ? [] : shortLists(schema),
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
  if (takesKey(method, `/v1${about.path}`)) {
    codes.add("IDEMPOTENCY_KEY_IN_USE");
    parameters.push({ $ref: "#/components/parameters/IdempotencyKey" });
    headers.push("Idempotent-Replayed");
  }
  return {
    ...about,
    parameters,
    responses: { ...withHeaders(told, references(headers)), ...problemAnswers(codes) },
    middleware: middleware.flat(),
  } satisfies Operation;
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

function withHeaders(responses: Operation["responses"], added: Headers): Operation["responses"] {
  const told = Object.entries(responses).map(([status, response]) => [
    status,
    { ...response, headers: { ...response.headers, ...added } },
  ]);
  return Object.fromEntries(told);
}

function problemAnswers(codes: ReadonlySet<ProblemCode>): Operation["responses"] {
  const statuses = [...new Set([...codes].map((code) => problemKind(code).status))];
  const told = statuses.map((status) => {
    const own = [...codes].filter((code) => problemKind(code).status === status);
    return [status, problemAnswer(own)];
  });
  return Object.fromEntries(told);
}

/** One status, with an example of each code that it may stand for. */
function problemAnswer(codes: readonly ProblemCode[]): Answer {
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
