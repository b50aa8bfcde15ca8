/** Calls the example app over HTTP, and carries on through moments when it cannot be reached. */
import { setTimeout as sleep } from "node:timers/promises";
import { Complaint } from "./complaint.ts";
import type { DocumentInput } from "../examples/documents/src/stages/parse.ts";
import type { CorpusProgress, SubmittedCorpus } from "../examples/documents/src/api.ts";

/** An outbox event, as JSON carries it. */
export interface PublishedEvent {
  readonly id: string;
  readonly workflowRunId: string;
  readonly sequence: number;
  readonly eventType: string;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** An answer that repeating the call would not change. */
export class AppError extends Complaint {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

interface Call {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

const PAUSE_MS = 200;
const CALL_TIMEOUT_MS = 60_000;

export class AppClient {
  readonly #url: string;
  readonly #patienceMs: number;
  /** Calls that had to be repeated because the app, or the service behind it, was away. */
  repeats = 0;

  constructor(url: string, patienceMs = 60_000) {
    this.#url = url;
    this.#patienceMs = patienceMs;
  }

  /** Safe to repeat with the same key: the corpus is taken in once. */
  async submit(documents: readonly DocumentInput[], key: string): Promise<SubmittedCorpus> {
    const headers = { "Idempotency-Key": key };
    const call = { method: "POST", path: "/corpus", body: { documents }, headers } as const;
    return (await this.#json(call)) as SubmittedCorpus;
  }

  async progress(corpusId: string): Promise<CorpusProgress> {
    return (await this.#json({ method: "GET", path: `/corpus/${corpusId}` })) as CorpusProgress;
  }

  async run(runId: string): Promise<Record<string, unknown>> {
    return (await this.#json({ method: "GET", path: `/runs/${runId}` })) as Record<string, unknown>;
  }

  async report(corpusId: string): Promise<string> {
    return await (await this.#call({ method: "GET", path: `/report/${corpusId}` })).text();
  }

  /** Publishes all waiting outbox events, each run's in order. */
  async relayEvents(publish: (event: PublishedEvent) => void): Promise<void> {
    for (;;) {
      const events = (await this.#json({ method: "GET", path: "/events" })) as PublishedEvent[];
      if (events.length === 0) return;
      for (const event of events) publish(event);
      const ids = events.map((event) => event.id);
      await this.#call({ method: "POST", path: "/events/published", body: { ids } });
    }
  }

  async #json(call: Call): Promise<unknown> {
    return await (await this.#call(call)).json();
  }

  async #call(call: Call): Promise<Response> {
    const deadline = Date.now() + this.#patienceMs;
    for (;;) {
      const response = await this.#once(call);
      if (response?.ok === true) return response;
      if (response !== null && !isOutage(response)) {
        throw new AppError(
          response.status,
          `The app refuses ${call.method} ${call.path} with ${response.status}: ${errorIn(await response.text())}.`,
        );
      }
      const reason = response === null ? "no answer" : await response.text();
      if (Date.now() > deadline) {
        throw new AppError(
          503,
          `The app does not answer ${call.method} ${call.path} (${errorIn(reason)}): look at what it printed, and start again.`,
        );
      }
      this.repeats++;
      await sleep(PAUSE_MS);
    }
  }

  async #once({ method, path, body, headers }: Call): Promise<Response | null> {
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    const type = body === undefined ? {} : { "Content-Type": "application/json" };
    const signal = AbortSignal.timeout(CALL_TIMEOUT_MS);
    const init = { method, headers: { ...type, ...headers }, signal, ...json };
    return await fetch(`${this.#url}${path}`, init).catch(() => null);
  }
}

/**
 * The app says 503 when the service is away. `wrangler dev` answers for the app when it has lost it,
 * with a 500 in plain text. Either way the outcome is unknown, and every call may be repeated.
 */
function isOutage(response: Response): boolean {
  const fromApp = response.headers.get("Content-Type")?.startsWith("application/json") === true;
  return response.status === 503 || (response.status >= 500 && !fromApp);
}

/** The message of an answer of the app: the `error` of its JSON. */
function errorIn(text: string): string {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    if (typeof error === "string") return error;
  } catch {
    // wrangler answers plain text; its first line is the message.
  }
  return text.split("\n")[0] ?? "";
}

interface State {
  readonly done: boolean;
}

export interface FollowOptions {
  readonly corpusId: string;
  onProgress?(progress: CorpusProgress): void;
  onEvent?(event: PublishedEvent): void;
}

/**
 * Follows a corpus until none of its runs will change any more, and relays its events. The service's
 * queue and the app's stages do the work. Resolves to the final progress, when every event has been
 * published.
 */
export async function follow(app: AppClient, options: FollowOptions): Promise<CorpusProgress> {
  const state = { done: false };
  const watching = watch(app, options).finally(() => (state.done = true));
  const relay = keepRelaying(app, state, options);
  try {
    const [progress] = await Promise.all([watching, relay]);
    return progress;
  } finally {
    state.done = true;
  }
}

async function watch(app: AppClient, options: FollowOptions): Promise<CorpusProgress> {
  for (;;) {
    const progress = await app.progress(options.corpusId);
    options.onProgress?.(progress);
    if (progress.done) return progress;
    await sleep(PAUSE_MS / 2);
  }
}

/** The last round begins after the runs are done, so that it finds their last events. */
async function keepRelaying(app: AppClient, state: State, options: FollowOptions): Promise<void> {
  for (let last = false; !last;) {
    last = state.done;
    await app.relayEvents((event) => options.onEvent?.(event));
    if (!last) await sleep(PAUSE_MS);
  }
}
