/** A run's events as they happen: server-sent events, or a WebSocket. */
import * as z from "zod";
import type { HonoRequest } from "hono";
import { idField } from "../../model/fields.ts";
import { openWatch } from "../../worker/index.ts";
import { requireOwnOrigin } from "../authentication.ts";
import { eventSocket } from "../event-socket.ts";
import { eventStream, opened } from "../event-stream.ts";
import { HttpFault } from "../problem.ts";
import { operation } from "../operation.ts";
import { EVENT, runKey } from "../schemas/index.ts";
import { Router } from "../router.ts";
import { secured } from "../secured.ts";
import { asksForProtocol, isUpgrade, WATCH_PROTOCOL } from "../websocket.ts";

const position = z.string().regex(/^(?:0|[1-9]\d{0,14})$/, "must be a sequence: 0, 1, 2, ...");

const watch = operation({
  method: "get",
  path: "/runs/{runId}/events",
  operationId: "watchRun",
  tags: ["outbox"],
  summary: "A run's outbox events as they happen",
  description: [
    "First the events that exist, then each as it is committed, by sequence, without a gap or a repetition. As server-sent events: the `id` is the sequence, the `data` the event.",
    "With `Upgrade: websocket`, as a WebSocket on which each message is an event; after close code 4000, and after any other, connect again from the last sequence.",
    "A run that does not exist yet has no events yet.",
  ].join("\n\n"),
  ...secured("page"),
  request: {
    params: runKey,
    query: z.strictObject({
      after: position.optional().meta({
        description:
          "The sequence after which to begin. Default 0: with the first event. The header Last-Event-ID, which an EventSource sends when it connects again, counts more.",
        example: "17",
      }),
    }),
  },
  responses: {
    101: { description: "The WebSocket." },
    200: {
      description: "The stream. It ends now and then; connect again with Last-Event-ID.",
      content: {
        "text/event-stream": {
          schema: z.string(),
          example: `id: ${EVENT.sequence}\ndata: ${JSON.stringify(EVENT)}\n\n`,
        },
      },
    },
  },
});

export const events = new Router().serve(watch, async (context) => {
  const { req, env } = context;
  const { runId } = req.valid("param");
  if (idField.check(runId) !== null) throw unacceptable("runId", "must be the id of a run");
  const begin = lastEventId(req) ?? Number(req.valid("query").after ?? 0);
  const open = (after: number) => openWatch(env, runId, { after });
  if (isUpgrade(req)) {
    requireOwnOrigin(env, req.raw);
    const { reader, finished } = eventSocket({
      open: await opened(open, begin),
      after: begin,
      misused: () => {
        // A misuse counts as one more request of the caller.
        const counted = env.RATE_LIMITER?.limit({ key: context.var.caller.name });
        if (counted !== undefined) context.executionCtx.waitUntil(counted);
      },
      abort: () => abortInvocation(context.executionCtx),
    });
    context.executionCtx.waitUntil(finished);
    const headers = asksForProtocol(req) ? { "Sec-WebSocket-Protocol": WATCH_PROTOCOL } : {};
    return new Response(null, { status: 101, webSocket: reader, headers });
  }
  return context.body(eventStream(open, begin), 200, {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    // Proxies must not collect it.
    "X-Accel-Buffering": "no",
  });
});

/** Where the platform can. Otherwise the invocation ends when its reader has gone. */
function abortInvocation(ctx: object): void {
  const abort: unknown = Reflect.get(ctx, "abort");
  if (typeof abort === "function") abort.call(ctx, "A reader does not read");
}

/**
 * The sequence that the reader has got; null when it does not say. An EventSource that has got
 * nothing may send it empty.
 */
function lastEventId(request: HonoRequest): number | null {
  const id = request.header("Last-Event-ID") ?? "";
  if (id === "") return null;
  const parsed = position.safeParse(id);
  if (parsed.success) return Number(parsed.data);
  throw unacceptable("Last-Event-ID", "must be a sequence: 0, 1, 2, ...");
}

function unacceptable(field: string, what: string): HttpFault {
  return new HttpFault("INVALID_ARGUMENT", `${field}: ${what}`, { field });
}
