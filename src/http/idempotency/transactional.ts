/**
 * `Idempotency-Key`: a POST with one has its effect once, however often it is sent. The request's
 * work, its key and its answer are one transaction, so at no time is one of them there without the
 * others. Requests that act outside of transactions are in `non-transactional.ts`.
 */
import type { Context, MiddlewareHandler } from "hono";
import { KEY_BYTES_MAX, utf8Length } from "../../model/index.ts";
import { actOnce, AT_ONCE } from "./non-transactional.ts";
import { digestOf } from "../digest.ts";
import {
  ANSWER_BYTES_MAX,
  answerOf,
  inUse,
  type Kept,
  keptOf,
  type KeyedRequest,
  replayed,
  typeOf,
} from "./responses.ts";
import { HttpFault } from "../problem.ts";
import { ownPath } from "../own-path.ts";
import type { AppEnv } from "../env.ts";

/** A repeat of these changes nothing: a settlement is final, and a query only reads. */
const WITHOUT_EFFECT = new Set(["/v1/settlements", "/v1/queries"]);

/** Whether a request may have an `Idempotency-Key`. */
export function takesKey(method: string, path: string): boolean {
  return method === "POST" && !WITHOUT_EFFECT.has(path);
}

/**
 * Runs the request once for its key. A repeat gets the first answer, with the header
 * `Idempotent-Replayed`.
 * @throws INVALID_ARGUMENT for a malformed key, or one that was used with another body;
 * IDEMPOTENCY_KEY_IN_USE while the first request is under way.
 */
export const idempotent: MiddlewareHandler<AppEnv> = async (context, next) => {
  const key = context.req.header("Idempotency-Key");
  if (key === undefined) return next();
  const { method } = context.req;
  const path = ownPath(context);
  if (!takesKey(method, path)) return next();
  // Encoded, so that no other pair of name and key makes the same text.
  const scoped = `${encodeURIComponent(context.var.caller.name.toWellFormed())}/${key}`;
  if (
    !/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(key) ||
    utf8Length(scoped) > KEY_BYTES_MAX
  ) {
    const message = "Idempotency-Key must have 1 to about 2,000 characters of ASCII";
    const details = { field: "Idempotency-Key", limit: KEY_BYTES_MAX };
    throw new HttpFault("INVALID_ARGUMENT", message, details);
  }
  const request = await digestOf(`${canonicalQuery(context.req.url)}${context.var.bodyText ?? ""}`);
  const keyed = { key: scoped, commandType: typeOf(method, path), request };
  const atOnce = AT_ONCE.get(path);
  return atOnce === undefined
    ? inTransaction(context, next, keyed)
    : actOnce(context, next, keyed, atOnce);
};

/** The query in one order and one spelling; "" for none. */
function canonicalQuery(url: string): string {
  const { searchParams } = new URL(url);
  searchParams.sort();
  return searchParams.toString();
}

/** Thrown to take everything back: the request was refused. */
class Refused extends Error {}

async function inTransaction(
  context: Context<AppEnv>,
  next: () => Promise<void>,
  { key, commandType, request }: KeyedRequest,
): Promise<Response | undefined> {
  const { backend } = context.var;
  let runs = 0;
  let replay: Kept | null = null;
  try {
    await backend.persistence.withTransaction(async (tx) => {
      // A request is handled once. Nothing was written, so the caller may send it again.
      runs += 1;
      if (runs > 1) throw inUse();
      const acquired = await tx.acquireIdempotencyKey(key, commandType);
      if (acquired.status === "in_progress") throw inUse();
      if (acquired.status === "replay") {
        replay = keptOf(acquired.result);
        return;
      }
      context.set("backend", {
        persistence: tx,
        jobs: backend.jobs,
        aiCalls: backend.aiCalls,
        audit: () => backend.audit(),
      });
      await next();
      if (context.res.status >= 400) throw new Refused();
      await tx.completeIdempotencyKey(key, commandType, await smallAnswer(context.res, request));
    });
  } catch (error) {
    // The answer itself says why.
    if (error instanceof Refused) return undefined;
    throw error;
  }
  return replay === null ? undefined : replayed(replay, request);
}

/** @throws PAYLOAD_TOO_LARGE for an answer that no row can keep. Nothing was written then. */
async function smallAnswer(response: Response, request: string): Promise<Kept> {
  const answer = await answerOf(response, request);
  const size = utf8Length(answer.body ?? "");
  if (size <= ANSWER_BYTES_MAX) return answer;
  const message = "The answer is too large to be kept for the Idempotency-Key; nothing was written";
  const details = { field: "Idempotency-Key", size, limit: ANSWER_BYTES_MAX };
  throw new HttpFault("PAYLOAD_TOO_LARGE", message, details);
}
