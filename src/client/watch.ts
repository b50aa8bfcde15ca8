/** A run's events as they happen, over the HTTP API: in Node, Deno, Bun, Workers and browsers. */
import { createParser } from "eventsource-parser";
import * as z from "zod";
import { ERROR_CODES, type OutboxRecord, ServiceError } from "../contract/index.ts";

export interface WatchOptions {
  /** Where the service is: `https://workflow-engine-cloudflare.example.workers.dev`. */
  readonly url: string;
  /** A bearer token of the service's with the scope `read`. */
  readonly token: string;
  readonly runId: string;
  /** The sequence after which to begin. Default 0: with the run's first event. */
  readonly after?: number;
  /** Ends the watch. */
  readonly signal?: AbortSignal;
  /** Default: the platform's. */
  readonly fetch?: (request: Request) => Promise<Response>;
}

/** The service says every 15 s that it is there. */
const SILENCE_MAX_MS = 60_000;
/** The pause before connecting again, when the last connection was a good one. Each failure doubles it. */
const PAUSE_MS = 500;
const PAUSE_MAX_MS = 30_000;
/** Failures in a row before it is given up. */
const FAILURES_MAX = 10;

const instant = z.iso.datetime().transform((text) => new Date(text));
const event = z.object({
  id: z.string(),
  workflowRunId: z.string(),
  sequence: z.int(),
  eventType: z.string(),
  payload: z.unknown(),
  causationId: z.string(),
  occurredAt: instant,
  publishedAt: instant.nullable(),
  retryCount: z.int(),
  dlqAt: instant.nullable(),
}) satisfies z.ZodType<OutboxRecord>;

/**
 * The run's outbox events: those that there are, then each as it is committed; every one once, in the order of their sequences. It connects again
 * by itself, after the last event it gave, and ends only by `signal`, or when the loop over it is left.
 * @throws ServiceError for a request that is refused (4xx), and UNAVAILABLE when the service cannot be reached ten times in a row.
 * @example
 * for await (const { sequence, eventType } of watchEvents({ url, token, runId: "run-1" })) console.log(sequence, eventType);
 */
export async function* watchEvents(
  options: WatchOptions,
): AsyncGenerator<OutboxRecord, void, void> {
  const { signal } = options;
  let after = options.after ?? 0;
  let failures = 0;
  for (;;) {
    if (signal?.aborted === true) return;
    const answer = await ask(options, after);
    if (answer instanceof ReadableStream) {
      failures = 0;
      for await (const data of dataOf(answer, signal)) {
        const record = event.parse(JSON.parse(data));
        after = record.sequence;
        yield record;
      }
      await pause(PAUSE_MS, signal);
    } else {
      failures += 1;
      if (failures >= FAILURES_MAX) throw answer.fault;
      const backoffMs = Math.min(PAUSE_MS * 2 ** failures, PAUSE_MAX_MS);
      await pause(answer.retryAfterMs ?? backoffMs * (1 + Math.random() / 5), signal);
    }
  }
}

interface Failure {
  readonly fault: ServiceError;
  readonly retryAfterMs: number | null;
}

/** The stream, or why there is none this time. */
async function ask(
  { url, token, runId, signal, fetch: send = (request) => fetch(request) }: WatchOptions,
  after: number,
): Promise<ReadableStream<Uint8Array> | Failure> {
  const path = `/v1/runs/${encodeURIComponent(runId)}/events?after=${after}`;
  const request = new Request(url.replace(/\/+$/, "") + path, {
    headers: { Authorization: `Bearer ${token}`, Accept: "text/event-stream" },
    ...(signal === undefined ? {} : { signal }),
  });
  let response: Response;
  try {
    response = await send(request);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const message = `The service did not answer: ${reason}`;
    return { fault: new ServiceError("UNAVAILABLE", message, {}, error), retryAfterMs: null };
  }
  if (response.ok && response.body !== null) return response.body;
  const fault = await faultOf(response);
  if (response.status < 500 && response.status !== 429) throw fault;
  const seconds = Number(response.headers.get("Retry-After") ?? Number.NaN);
  const retryAfterMs = Number.isFinite(seconds) ? Math.min(seconds * 1_000, PAUSE_MAX_MS) : null;
  return { fault, retryAfterMs };
}

const problem = z.object({
  code: z.enum(ERROR_CODES).optional().catch(undefined),
  detail: z.string(),
  details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
});

async function faultOf(response: Response): Promise<ServiceError> {
  const text = await response.text().catch(() => "");
  const { data } = problem.safeParse(parsed(text));
  const fallback = response.status >= 500 ? "UNAVAILABLE" : "INVALID_ARGUMENT";
  const code = data?.code ?? (response.status === 429 ? "OVERLOADED" : fallback);
  return new ServiceError(code, data?.detail ?? `HTTP ${response.status}`, data?.details ?? {});
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's answer, not the service's; the status says what is to be said.
    return null;
  }
}

/** The data of each event until the stream ends: by itself, by its network, by its silence, or by `signal`. */
async function* dataOf(
  stream: ReadableStream<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<string, void, void> {
  const arrived: string[] = [];
  const parser = createParser({ onEvent: ({ data }) => arrived.push(data) });
  const decoder = new TextDecoder();
  const reader = stream.getReader();
  try {
    for (;;) {
      const chunk = await withinSilence(reader.read(), signal);
      if (chunk === null || chunk.done) return;
      parser.feed(decoder.decode(chunk.value, { stream: true }));
      yield* arrived.splice(0);
    }
  } finally {
    // It may have failed already: whatever it was, the next connection goes on where this one was.
    await reader.cancel().catch(() => undefined);
  }
}

/** Null for a stream that breaks off, or says nothing for too long. */
async function withinSilence<T>(
  read: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T | null> {
  const { promise: ended, resolve: end } = Promise.withResolvers<null>();
  const stop = () => end(null);
  const timer = setTimeout(stop, SILENCE_MAX_MS);
  signal?.addEventListener("abort", stop);
  if (signal?.aborted === true) stop();
  try {
    return await Promise.race([read.catch(() => null), ended]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  signal?.addEventListener("abort", () => resolve());
  if (signal?.aborted === true) resolve();
  await over;
  clearTimeout(timer);
}
