/**
 * `Idempotency-Key`: a POST with one has its effect once, however often it is sent. The request's work, its key and its answer are one
 * transaction, so there is no instant at which one of them is there without the others.
 */
import type { Context, MiddlewareHandler } from "hono";
import * as z from "zod";
import { KEY_BYTES_MAX, utf8Length } from "../changes/index.ts";
import { digestOf } from "./digest.ts";
import { HttpFault } from "./problem.ts";
import type { AppEnv } from "./support.ts";

/** These name what they do themselves: a commit has an id, and a query changes nothing. */
const NAMED_THEMSELVES = new Set(["/v1/commits", "/v1/settlements", "/v1/queries"]);
/** What acts at once, outside of any transaction: leases are facts, not plans. */
const AT_ONCE = new Set(["/v1/jobs/dequeue", "/v1/jobs/release-stale", "/v1/ai-calls"]);
/** Beside the row's other columns; 1,900,000 bytes fit into a row. */
const ANSWER_BYTES_MAX = 1_800_000;

const kept = z.object({
  /** SHA-256 of the request's body: a key that comes back with another body is a mistake. */
  request: z.string(),
  status: z.int(),
  headers: z.record(z.string(), z.string()),
  body: z.string().nullable(),
});
type Kept = z.infer<typeof kept>;

/** The headers of an answer that belong to it. */
const KEPT_HEADERS = ["Content-Type", "ETag", "Location"];

export const idempotent: MiddlewareHandler<AppEnv> = async (context, next) => {
  const key = context.req.header("Idempotency-Key");
  const { method, path } = context.req;
  if (key === undefined || method !== "POST" || NAMED_THEMSELVES.has(path)) return next();
  const scoped = `${context.var.caller.name}/${key}`;
  if (key === "" || utf8Length(scoped) > KEY_BYTES_MAX) {
    throw new HttpFault("INVALID_ARGUMENT", "Idempotency-Key must have 1 to about 2,000 bytes", {
      field: "Idempotency-Key",
      limit: KEY_BYTES_MAX,
    });
  }
  if (AT_ONCE.has(path)) {
    throw new HttpFault(
      "INVALID_ARGUMENT",
      `POST ${path} takes no Idempotency-Key: it acts at once`,
      {
        field: "Idempotency-Key",
      },
    );
  }
  return once(context, next, { key: scoped, commandType: `POST ${path}` });
};

/** Thrown to take everything back: the request has been refused. */
class Refused extends Error {}

async function once(
  context: Context<AppEnv>,
  next: () => Promise<void>,
  { key, commandType }: { readonly key: string; readonly commandType: string },
): Promise<Response | undefined> {
  const request = await digestOf(context.var.bodyText ?? "");
  const { backend } = context.var;
  let runs = 0;
  let replay: Kept | null = null;
  try {
    await backend.persistence.withTransaction(async (tx) => {
      // A request is handled once. Nothing has been written, so the caller may send it again.
      runs += 1;
      if (runs > 1) throw inUse();
      const acquired = await tx.acquireIdempotencyKey(key, commandType);
      if (acquired.status === "in_progress") throw inUse();
      if (acquired.status === "replay") {
        replay = kept.parse(acquired.result);
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
      await tx.completeIdempotencyKey(key, commandType, await answerOf(context.res, request));
    });
  } catch (error) {
    // The answer says why.
    if (error instanceof Refused) return undefined;
    throw error;
  }
  return replay === null ? undefined : replayed(replay, request);
}

function inUse(): HttpFault {
  const message = "The first request with this Idempotency-Key is under way";
  return new HttpFault("IDEMPOTENCY_KEY_IN_USE", message);
}

async function answerOf(response: Response, request: string): Promise<Kept> {
  const body = response.body === null ? null : await response.clone().text();
  const size = body === null ? 0 : utf8Length(body);
  if (size > ANSWER_BYTES_MAX) {
    const message =
      "The answer is too large to be kept for the Idempotency-Key; nothing was written";
    const details = { field: "Idempotency-Key", size, limit: ANSWER_BYTES_MAX };
    throw new HttpFault("PAYLOAD_TOO_LARGE", message, details);
  }
  const headers = KEPT_HEADERS.flatMap((name) => {
    const value = response.headers.get(name);
    return value === null ? [] : [[name, value] as const];
  });
  return { request, status: response.status, headers: Object.fromEntries(headers), body };
}

function replayed({ request, status, headers, body }: Kept, now: string): Response {
  if (request !== now) {
    throw new HttpFault(
      "INVALID_ARGUMENT",
      "This Idempotency-Key was used for a request with another body",
      { field: "Idempotency-Key" },
    );
  }
  return new Response(body, { status, headers: { ...headers, "Idempotent-Replayed": "true" } });
}
