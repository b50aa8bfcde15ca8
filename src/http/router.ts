/** A router whose routes are operations: each says what it takes and what it answers. */
import { type Handler, Hono } from "hono";
import type { BlankInput, BlankSchema, Schema, ToSchema, TypedResponse } from "hono/types";
import type { StatusCode } from "hono/utils/http-status";
import type { JSONParsed } from "hono/utils/types";
import type * as z from "zod";
import type { AppEnv } from "./env.ts";
import type { Operation } from "./operation.ts";
import { validRequest } from "./valid-request.ts";

/** The path as Hono writes it: `/runs/:runId` for `/runs/{runId}`. */
type PathOf<Path extends string> = Path extends `${infer Start}/{${infer Name}}${infer Rest}`
  ? `${Start}/:${Name}${PathOf<Rest>}`
  : Path;

/** What a schema takes, and what the handler gets of it, under Hono's name for the place. */
interface Checked<Place extends string, Of extends z.ZodType> {
  in: { [P in Place]: { [Name in keyof z.input<Of>]: z.input<Of>[Name] } };
  out: { [P in Place]: z.output<Of> };
}
type ParamsOf<Request> = Request extends { params: infer Of extends z.ZodType }
  ? Checked<"param", Of>
  : BlankInput;
type QueryOf<Request> = Request extends { query: infer Of extends z.ZodType }
  ? Checked<"query", Of>
  : BlankInput;
type BodyOf<Request> = Request extends {
  body: { content: { "application/json": { schema: infer Of extends z.ZodType } } };
}
  ? { in: { json: z.input<Of> }; out: { json: z.output<Of> } }
  : BlankInput;
type InputOf<R> = R extends { request: infer Request }
  ? ParamsOf<Request> & QueryOf<Request> & BodyOf<Request>
  : BlankInput;

/** One answer as `hc` knows it: JSON by its schema; any other content is a plain response. */
type Answered<
  Content,
  Status extends StatusCode,
> = keyof Content extends `application/${string}json`
  ? Content[keyof Content] extends { schema: infer Of extends z.ZodType }
    ? TypedResponse<JSONParsed<z.output<Of>>, Status, "json">
    : never
  : Response;
type AnswersOf<Responses> = {
  [Status in keyof Responses & StatusCode]: Responses[Status] extends { content: infer Content }
    ? Answered<Content, Status>
    : TypedResponse<BlankInput, Status, string>;
}[keyof Responses & StatusCode];
/** What a handler may return: where some answer has no body, any response too. */
type HandledOf<Responses> = Responses extends { readonly [Status: number]: { content: object } }
  ? AnswersOf<Responses>
  : AnswersOf<Responses> | Response;

/**
 * Every file of routes has its own.
 * @example
 * export const time = new Router().serve(getTime, async (context) =>
 *   context.json({ now: await context.var.store.now() }, 200),
 * );
 */
export class Router<S extends Schema = BlankSchema> extends Hono<AppEnv, S> {
  /** For the document. */
  readonly operations: Operation[] = [];

  /** Adds a route. The handler gets a request that is valid, and the compiler knows its parts. */
  serve<R extends Operation>(
    operation: R,
    handler: Handler<
      AppEnv,
      PathOf<R["path"]>,
      InputOf<R>,
      HandledOf<R["responses"]> | Promise<HandledOf<R["responses"]>>
    >,
  ): Router<S & ToSchema<R["method"], PathOf<R["path"]>, InputOf<R>, AnswersOf<R["responses"]>>>;
  serve(operation: Operation, handler: Handler<AppEnv>): unknown {
    this.operations.push(operation);
    const path = operation.path.replaceAll(/\{(\w+)\}/g, ":$1");
    const valid = validRequest(operation.request ?? {});
    return this.on([operation.method], [path], ...operation.middleware, valid, handler);
  }
}
