/** The store behind the HTTP API. */
import {
  type AnyResult,
  type Commit,
  type CommitOutcome,
  type Query,
  type ResultsOf,
  type Settlement,
  type Store,
  withDeadline,
} from "../changes/index.ts";
import { ERROR_CODES, type ErrorCode, type ErrorDetails, ServiceError } from "../contract/index.ts";
import { RemoteClock } from "./remote-clock.ts";

export interface HttpStoreOptions {
  /** Where the service is: `https://workflow-engine-cloudflare.example.workers.dev`. */
  readonly url: string;
  /** A bearer token of the service's, with the scopes that the calls need. */
  readonly token: string;
  /** Default: the platform's. */
  readonly fetch?: (request: Request) => Promise<Response>;
  /** Aborts whatever is under way, and every later call. */
  readonly signal?: AbortSignal;
}

/** Longer than the service waits for a coordinator, and that for D1. */
const DEADLINE_MS = 60_000;
/** The longest that a `Retry-After` is honoured. */
const RETRY_AFTER_MAX_MS = 30_000;
/** Requests of one call that the service turned away before it did anything. */
const TRIES_MAX = 4;

/** What the service says of a fault: RFC 9457 with our code. */
interface Problem {
  readonly code?: unknown;
  readonly detail?: unknown;
  readonly details?: unknown;
}

export class HttpStore implements Store {
  readonly #url: string;
  readonly #options: HttpStoreOptions;
  readonly #clock = new RemoteClock(() => this.#learnOffset());

  constructor(options: HttpStoreOptions) {
    this.#options = options;
    this.#url = `${options.url.replace(/\/+$/, "")}/v1`;
  }

  async now(): Promise<number> {
    return this.#clock.now();
  }

  async #learnOffset(): Promise<number> {
    const asked = Date.now();
    const { now } = await this.#call<{ now: number }>("GET", "/time");
    // The clock was read somewhere on the way, most likely in the middle of it.
    return now - Math.round((asked + Date.now()) / 2);
  }

  async read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    const { results } = await this.#call<{ results: unknown }>("POST", "/queries", { queries });
    // The service answers in the order of the queries.
    return results as ResultsOf<Qs>;
  }

  async attempt(commit: Commit): Promise<CommitOutcome> {
    try {
      const { results } = await this.#call<{ results: AnyResult[] }>("POST", "/commits", commit);
      return { applied: true, results };
    } catch (error) {
      if (!(error instanceof GuardFailed)) throw error;
      return { applied: false, violation: error.violation };
    }
  }

  async settle(commit: Commit): Promise<Settlement> {
    type Found = { settlement: Settlement };
    return (await this.#call<Found>("POST", "/settlements", commit)).settlement;
  }

  /** Repeats only what the service has turned away before it did anything. */
  async #call<T>(method: "GET" | "POST", path: string, body?: unknown): Promise<T> {
    for (let tries = 1; ; tries += 1) {
      const response = await this.#send(method, path, body);
      if (response.ok) return (await this.#read(response)) as T;
      const waitMs = turnedAway(response);
      if (waitMs === null || tries >= TRIES_MAX) throw await this.#fault(response);
      await response.body?.cancel();
      await this.#pause(waitMs);
    }
  }

  /** What is thrown by the network leaves open whether the request arrived. */
  async #send(method: string, path: string, body: unknown): Promise<Response> {
    const { token, signal, fetch: send = (request) => fetch(request) } = this.#options;
    signal?.throwIfAborted();
    const request = new Request(this.#url + path, {
      method,
      headers: {
        Authorization: `Bearer ${token}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
    try {
      return await withDeadline(send(request), DEADLINE_MS, "The service");
    } catch (error) {
      signal?.throwIfAborted();
      throw unavailable(error);
    }
  }

  async #read(response: Response): Promise<unknown> {
    try {
      return await response.json();
    } catch (error) {
      this.#options.signal?.throwIfAborted();
      throw unavailable(error);
    }
  }

  async #fault(response: Response): Promise<Error> {
    const problem = (await response.json().catch(() => null)) as Problem | null;
    const message = typeof problem?.detail === "string" ? problem.detail : response.statusText;
    const details = detailsOf(problem?.details);
    if (problem?.code === "GUARD_FAILED") return new GuardFailed(message, details);
    const known = ERROR_CODES.find((code) => code === problem?.code);
    return new ServiceError(known ?? codeOf(response.status), message, details);
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#options;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      signal?.addEventListener("abort", () => {
        clearTimeout(timer);
        resolve();
      });
    });
    signal?.throwIfAborted();
  }
}

class GuardFailed extends Error {
  readonly violation: { readonly guard: number; readonly actual: number };
  constructor(message: string, details: ErrorDetails) {
    super(message);
    this.violation = { guard: Number(details["guard"]), actual: Number(details["actual"]) };
  }
}

/** How long to wait after an answer that says that nothing was done; null for any other. */
function turnedAway(response: Response): number | null {
  if (response.status !== 429) return null;
  const seconds = Number(response.headers.get("Retry-After") ?? "1");
  return Math.min((Number.isFinite(seconds) ? seconds : 1) * 1_000, RETRY_AFTER_MAX_MS);
}

/** For an answer that is not the service's own: a proxy's, or the platform's. */
function codeOf(status: number): ErrorCode {
  // Nothing was done.
  if (status === 429 || status === 408) return "OVERLOADED";
  return status >= 500 ? "UNAVAILABLE" : "INVALID_ARGUMENT";
}

function detailsOf(details: unknown): ErrorDetails {
  return typeof details === "object" && details !== null ? (details as ErrorDetails) : {};
}

function unavailable(error: unknown): ServiceError {
  const reason = error instanceof Error ? error.message : String(error);
  return new ServiceError("UNAVAILABLE", `The service did not answer: ${reason}`, {}, error);
}
