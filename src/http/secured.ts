/** Which callers may use a route, and how much of an isolate its requests may take. */
import type { Context, MiddlewareHandler } from "hono";
import { type Act, type AnyOf, scopesFor } from "../changes/index.ts";
import { bodyMs, boundedBody, parseBody } from "./body.ts";
import type { AppEnv } from "./env.ts";
import { idempotent } from "./idempotency/index.ts";
import { BODIES } from "./room.ts";
import { requireAnyOf } from "./tokens.ts";

/** What one request of a route may take. */
interface Limits {
  /** Bytes of the body, and of the text that it becomes. */
  readonly bytes: number;
  /** Values in the body's JSON. Each takes many times the memory of its text. */
  readonly values: number;
  /** Bytes that its queries answer. JSON that the route parses takes many times that. */
  readonly answer: number;
}

/** The largest row, and some small ones with it. */
const ANSWER = 2_500_000;
/** Rows are answered as they are stored, without being parsed. */
const STORED = 8_000_000;

/**
 * - `small`: keys, filters and instants.
 * - `record`: the rows of one request, each with up to 1.9 MB of text.
 * - `queries`: a hundred of them.
 * - `commit`: as many rows as fit into an isolate's memory a few times over.
 */
export const LIMITS = {
  small: { bytes: 64_000, values: 1_000, answer: ANSWER },
  record: { bytes: 4_000_000, values: 200_000, answer: ANSWER },
  queries: { bytes: 1_000_000, values: 20_000, answer: STORED },
  commit: { bytes: 13_000_000, values: 200_000, answer: STORED },
} as const satisfies Readonly<Record<string, Limits>>;

/**
 * The scopes of a route in the document, and the middleware that checks them before the body is
 * read. So the kept answer of an earlier request needs these scopes, too.
 * @param act what the route does; or scopes of which a caller needs one, where the route itself
 * looks closer.
 * @param limits what a request may take.
 */
export function secured(act: Act | AnyOf, limits: Limits = LIMITS.small) {
  const needed = typeof act === "string" ? scopesFor(act) : act;
  const middleware: MiddlewareHandler<AppEnv> = async (context, next) => {
    requireAnyOf(context.get("caller"), needed);
    return inRoom(context, limits, async () => idempotent(context, next));
  };
  const security = needed.flatMap((scope) => [{ bearer: [scope] }, { access: [scope] }]);
  return { security, middleware };
}

/** Does the request's work when there is room for it. */
async function inRoom(
  context: Context<AppEnv>,
  limits: Limits,
  work: () => Promise<unknown>,
): Promise<Response | undefined> {
  const room = context.get("room");
  const bytes = await BODIES.take(context.get("caller").name, 0, bodyMs(limits.bytes));
  const { promise: over, resolve: end } = Promise.withResolvers<void>();
  // Also when the client goes away: what the request holds is to be given back.
  context.executionCtx.waitUntil(over);
  try {
    const chunks = await boundedBody(context, limits.bytes, bytes);
    const size = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    await room.enter(size, limits.answer);
    parseBody(context, chunks, limits);
    bytes.release();
    const answered = await work();
    // A handler's own answer; whatever runs later, Hono answers what is in the context.
    if (answered instanceof Response) return await room.leaveWith(answered);
    if (room.isLarge) context.res = await room.leaveWith(context.res);
    return undefined;
  } finally {
    bytes.release();
    room.leave();
    end();
  }
}
