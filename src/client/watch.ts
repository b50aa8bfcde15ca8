/** A run's events as they happen, over the HTTP API: in Node, Deno, Bun, Workers and browsers. */
import { createParser } from "eventsource-parser";
import { isId, parseInstant, unlessLate, withDeadline } from "../model/index.ts";
import { type OutboxRecord, ServiceError } from "../contract/index.ts";
import {
  type Answer,
  answerOf,
  bearerToken,
  pause,
  serviceUrl,
  unanswered,
  unlessAborted,
} from "./http-exchange.ts";
import { faultOf, GuardFailed, waitMs } from "./http-faults.ts";

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
/** The pause before connecting again, when the last connection was a good one. */
const PAUSE_MS = 500;
/** Failures in a row before it is given up. */
const FAILURES_MAX = 10;
/** What may be otherwise the next time. */
const PASSING = new Set(["OVERLOADED", "UNAVAILABLE", "INTERNAL"]);

/**
 * The run's outbox events: those that there are, then each as it is committed; every one once, in the order of their sequences. It connects again
 * by itself, after the last event it gave, and ends only by `signal`, or when the loop over it is left.
 * @throws ServiceError: INVALID_ARGUMENT for an id that no run can have; for a request that is refused; and what was the last of ten failures in a row: UNAVAILABLE where the service could
 * not be reached, or something else answered in its place.
 * @example
 * for await (const { sequence, eventType } of watchEvents({ url, token, runId: "run-1" })) console.log(sequence, eventType);
 */
export async function* watchEvents(
  options: WatchOptions,
): AsyncGenerator<OutboxRecord, void, void> {
  const { signal, runId } = options;
  if (typeof runId !== "string" || !isId(runId)) {
    const message = "watchEvents: runId must be the id of a run";
    throw new ServiceError("INVALID_ARGUMENT", message, { field: "runId" });
  }
  let after = options.after ?? 0;
  let failures = 0;
  for (;;) {
    if (signal?.aborted === true) return;
    const answer = await ask(options, after);
    if (answer instanceof ReadableStream) {
      failures = 0;
      for await (const data of dataOf(answer, signal)) {
        const record = recordOf(data);
        after = record.sequence;
        yield record;
      }
      await rest(PAUSE_MS, signal);
    } else {
      failures += 1;
      if (failures >= FAILURES_MAX) throw answer.fault;
      await rest(waitMs(answer, failures), signal);
    }
  }
}

/** @throws UNAVAILABLE for what is no event of the service's. */
function recordOf(data: string): OutboxRecord {
  let cause: unknown;
  try {
    const record = eventOf(JSON.parse(data));
    if (record !== null) return record;
  } catch (error) {
    cause = error;
  }
  const message = "What came as an event is not the service's, or not the whole of it";
  throw new ServiceError("UNAVAILABLE", message, {}, cause);
}

/** Null for what is no event. */
function eventOf(value: unknown): OutboxRecord | null {
  if (typeof value !== "object" || value === null || !("payload" in value)) return null;
  const { payload, ...members }: Readonly<Record<string, unknown>> = { ...value };
  const { id, workflowRunId, sequence, eventType, causationId, retryCount } = members;
  const [occurredAt, publishedAt, dlqAt] = ["occurredAt", "publishedAt", "dlqAt"].map((name) =>
    instantIn(members[name]),
  );
  const texts =
    typeof id === "string" &&
    typeof workflowRunId === "string" &&
    typeof eventType === "string" &&
    typeof causationId === "string";
  const counts = isWhole(sequence) && isWhole(retryCount);
  const instants = occurredAt instanceof Date && publishedAt !== undefined && dlqAt !== undefined;
  if (!texts || !counts || !instants) return null;
  const names = { id, workflowRunId, sequence, eventType, payload, causationId };
  return { ...names, occurredAt, publishedAt, retryCount, dlqAt };
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value);
}

/** Undefined for what is neither an instant nor null. */
function instantIn(value: unknown): Date | null | undefined {
  if (value === null) return null;
  const time = typeof value === "string" ? parseInstant(value) : null;
  return time === null ? undefined : new Date(time);
}

interface Failure {
  readonly fault: Error;
  readonly headers: Headers;
}

/**
 * The stream, or why there is none this time.
 * @throws what would be refused the next time as well.
 */
async function ask(
  { url, token, runId, signal, fetch: send = (request) => fetch(request) }: WatchOptions,
  after: number,
): Promise<ReadableStream<Uint8Array> | Failure> {
  const path = `/v1/runs/${encodeURIComponent(runId)}/events?after=${after}`;
  const request = new Request(serviceUrl(url) + path, {
    headers: { Authorization: `Bearer ${bearerToken(token)}`, Accept: "text/event-stream" },
    // Not followed: the token is for the service alone.
    redirect: "manual",
    ...(signal === undefined ? {} : { signal }),
  });
  let answer: Answer;
  try {
    const response = await withDeadline(send(request), SILENCE_MAX_MS, "The service");
    const type = response.headers.get("Content-Type") ?? "";
    const streams = response.ok && /^text\/event-stream\b/i.test(type);
    if (streams && response.body !== null) return response.body;
    answer = await withDeadline(answerOf(response), SILENCE_MAX_MS, "The service");
  } catch (error) {
    return { fault: unanswered(error), headers: new Headers() };
  }
  const fault = faultOf(answer);
  if (fault instanceof GuardFailed || !PASSING.has(fault.code)) throw fault;
  return { fault, headers: answer.headers };
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
      const chunk = await withinSilence(async () => reader.read(), signal);
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
  read: () => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T | null> {
  const silent = () => new ServiceError("UNAVAILABLE", "The service says nothing any more");
  try {
    return await unlessLate(unlessAborted(signal, read), SILENCE_MAX_MS, silent);
  } catch {
    // Whatever it was, the next connection goes on where this one was.
    return null;
  }
}

/** Ends early when the signal aborts, which the loop sees. */
async function rest(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await pause(ms, signal);
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
}
