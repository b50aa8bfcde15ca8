/** A run's events as they happen, over the HTTP API: in Node, Deno, Bun, Workers and browsers. */
import { createParser } from "eventsource-parser";
import { isId, parseInstant, unlessLate, withDeadline } from "../model/index.ts";
import { requireRuntime } from "../model/runtime.ts";
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

/**
 * Which run is watched, and from where.
 * @example
 * const options: WatchOptions = { url: "https://engine.example", token, runId: "run-1", after: 12 };
 * for await (const event of watchEvents(options)) console.log(event.sequence);
 */
export interface WatchOptions {
  /** Where the service is: `https://workflow-engine-cloudflare.example.workers.dev`. */
  readonly url: string;
  /** A bearer token of the service, with the scope `read`. */
  readonly token: string;
  readonly runId: string;
  /** Begin after the event with this sequence. Default 0: with the run's first event. */
  readonly after?: number;
  /** Ends the watch: the loop ends, and nothing is thrown. */
  readonly signal?: AbortSignal;
  /** Default: the platform's. */
  readonly fetch?: (request: Request) => Promise<Response>;
}

/**
 * The service says every 15 s that it is there. After a silence of this long the connection is
 * given up.
 */
const SILENCE_MAX_MS = 60_000;
/** The pause before the next connection, when the last one was good. */
const PAUSE_MS = 500;
/** After this many failures in a row the watch gives up. */
const FAILURES_MAX = 10;
/** Codes of errors that may be gone the next time. */
const PASSING = new Set(["OVERLOADED", "UNAVAILABLE", "INTERNAL"]);

/**
 * The run's outbox events: first those that exist, then each as it is committed; every one once, by
 * sequence. When the connection breaks, it connects again after the last event that it gave. It
 * ends by `signal`, or when the loop over it is left. The run need not exist yet.
 * @throws ServiceError: INVALID_ARGUMENT for an id that no run can have; the code of a refusal,
 * such as UNAUTHENTICATED; and after ten failures in a row the last of them, UNAVAILABLE where the
 * service could not be reached or something else answered in its place.
 * @example
 * const watch = { url, token, runId: "run-1" };
 * for await (const { sequence, eventType } of watchEvents(watch)) {
 *   console.log(sequence, eventType);
 *   if (eventType === "run.completed") break;
 * }
 */
export async function* watchEvents(
  options: WatchOptions,
): AsyncGenerator<OutboxRecord, void, void> {
  requireRuntime();
  const { signal, runId } = options;
  if (typeof runId !== "string" || !isId(runId)) {
    const message = "watchEvents: runId must be the id of a run";
    throw new ServiceError("INVALID_ARGUMENT", message, { field: "runId" });
  }
  let after = options.after ?? 0;
  let failures = 0;
  for (;;) {
    if (signal?.aborted === true) return;
    const connection = yield* streamed(options, after);
    ({ after } = connection);
    if (connection.failure === null) {
      failures = 0;
      await rest(PAUSE_MS, signal);
    } else {
      failures += 1;
      if (failures >= FAILURES_MAX) throw connection.failure.fault;
      await rest(waitMs(connection.failure, failures), signal);
    }
  }
}

/**
 * The events of one connection, until it ends. Answers the sequence of the last one, and why there was
 * no stream.
 * @throws an error that would come again the next time.
 */
export async function* streamed(
  options: WatchOptions,
  after: number,
): AsyncGenerator<OutboxRecord, { after: number; failure: Failure | null }, void> {
  const answer = await ask(options, after);
  if (!(answer instanceof ReadableStream)) return { after, failure: answer };
  let last = after;
  for await (const data of dataOf(answer, options.signal)) {
    const record = recordOf(data);
    last = record.sequence;
    yield record;
  }
  return { after: last, failure: null };
}

/** @throws UNAVAILABLE for data that is not an event of the service. */
function recordOf(data: string): OutboxRecord {
  let cause: unknown;
  try {
    const record = eventOf(JSON.parse(data));
    if (record !== null) return record;
  } catch (error) {
    cause = error;
  }
  const message = "An event is not the service's, or is incomplete";
  throw new ServiceError("UNAVAILABLE", message, {}, cause);
}

/** Null for a value that is not an event. */
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

/** Undefined for a value that is neither an instant nor null. */
function instantIn(value: unknown): Date | null | undefined {
  if (value === null) return null;
  const time = typeof value === "string" ? parseInstant(value) : null;
  return time === null ? undefined : new Date(time);
}

/** Why a connection failed this time. Its headers may ask for a pause. */
interface Failure {
  readonly fault: Error;
  readonly headers: Headers;
}

/**
 * The stream, or why there is none this time.
 * @throws an error that would come again the next time.
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

/**
 * The data of each event, until the stream ends: by itself, with its network, in silence, or by
 * `signal`.
 */
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
    // The stream may have failed already. Whatever it was, the next connection goes on from here.
    await reader.cancel().catch(() => undefined);
  }
}

/** The chunk; null when the stream breaks off, or says nothing for too long. */
async function withinSilence<T>(
  read: () => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T | null> {
  const silent = () => new ServiceError("UNAVAILABLE", "The service says nothing any more");
  try {
    return await unlessLate(unlessAborted(signal, read), SILENCE_MAX_MS, silent);
  } catch {
    // Any failure ends this connection; the next one goes on from the same place.
    return null;
  }
}

/** Waits, and ends early when the signal aborts; the loop looks at the signal itself. */
async function rest(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await pause(ms, signal);
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
}
