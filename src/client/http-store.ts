/** The store behind the HTTP API: `/v1/queries`, `/v1/commits` and `/v1/settlements`. */
import type { Commit, CommitOutcome, EventStreams, Settlement, Store } from "../changes/index.ts";
import type { AnyResult, Query, ResultsOf } from "../queries/index.ts";
import { ServiceError } from "../contract/index.ts";
import {
  type Answer,
  bearerToken,
  exchange,
  type HttpStoreOptions,
  pause,
  serviceUrl,
} from "./http-exchange.ts";
import { faultOf, GuardFailed, waitMs } from "./http-faults.ts";
import { type ClockReading, monotonic, RemoteClock } from "./remote-clock.ts";

export type { HttpStoreOptions } from "./http-exchange.ts";

/** How often a request is sent that was turned away before anything was done. */
const TRIES_MAX = 4;

type Members = Readonly<Record<string, unknown>>;

/** The members of an answer, and when its request was sent and answered. */
interface Exchanged extends Omit<ClockReading, "now"> {
  readonly members: Members;
}

export class HttpStore implements Store {
  readonly streams: EventStreams;
  readonly #url: string;
  readonly #token: string;
  readonly #options: HttpStoreOptions;
  readonly #clock = new RemoteClock(() => this.#readClock());

  /** @throws INVALID_ARGUMENT for a url or a token that cannot be one. */
  constructor(options: HttpStoreOptions) {
    this.#options = options;
    this.#url = `${serviceUrl(options.url)}/v1`;
    this.#token = bearerToken(options.token);
    this.streams = options;
  }

  async now(): Promise<number> {
    return this.#clock.now();
  }

  async #readClock(): Promise<ClockReading> {
    const { members, askedAt, answeredAt } = await this.#exchange("GET", "/time");
    const { now } = members;
    if (typeof now !== "number" || !Number.isFinite(now)) throw unexpected("GET /time");
    return { now, askedAt, answeredAt };
  }

  async read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    const { results } = await this.#call("POST", "/queries", { queries });
    // The service answers in the order of the queries.
    return listOf(results, queries.length, "POST /queries") as unknown as ResultsOf<Qs>;
  }

  async attempt(commit: Commit): Promise<CommitOutcome> {
    try {
      const { results } = await this.#call("POST", "/commits", commit);
      return { applied: true, results: listOf(results, commit.reads.length, "POST /commits") };
    } catch (error) {
      if (!(error instanceof GuardFailed)) throw error;
      return { applied: false, violation: error.violation };
    }
  }

  async settle(commit: Commit): Promise<Settlement> {
    const { settlement } = await this.#call("POST", "/settlements", commit);
    const known = (["applied", "fenced", "unknown"] as const).find((one) => one === settlement);
    if (known === undefined) throw unexpected("POST /settlements");
    return known;
  }

  async #call(method: "GET" | "POST", path: string, body?: object): Promise<Members> {
    return (await this.#exchange(method, path, body)).members;
  }

  /**
   * Repeats only requests that were turned away before anything was done. The instants are those of
   * the request that was answered.
   */
  async #exchange(method: "GET" | "POST", path: string, body?: object): Promise<Exchanged> {
    const init = this.#init(method, body);
    const { signal } = this.#options;
    for (let tries = 1; ; tries += 1) {
      const askedAt = monotonic();
      const answer = await exchange(this.#url + path, init, this.#options);
      const answeredAt = monotonic();
      if (answer.ok) {
        return { members: membersOf(answer, `${method} ${path}`), askedAt, answeredAt };
      }
      const fault = faultOf(answer);
      if (fault instanceof GuardFailed || fault.code !== "OVERLOADED" || tries >= TRIES_MAX) {
        throw fault;
      }
      await pause(waitMs(answer, tries), signal);
    }
  }

  #init(method: string, body: object | undefined): RequestInit {
    const Authorization = `Bearer ${this.#token}`;
    if (body === undefined) return { method, headers: { Authorization } };
    const headers = { Authorization, "Content-Type": "application/json" };
    return { method, headers, body: JSON.stringify(body) };
  }
}

/**
 * @throws UNAVAILABLE for a success that is not the service's, or breaks off: it leaves open what
 * the service did.
 */
function membersOf({ text }: Answer, what: string): Members {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw unexpected(what, error);
  }
  if (typeof value !== "object" || value === null) throw unexpected(what);
  return { ...value };
}

function listOf(results: unknown, length: number, what: string): AnyResult[] {
  if (!Array.isArray(results) || results.length !== length) throw unexpected(what);
  return results as AnyResult[];
}

/** An answer that this client cannot read. It says nothing of what was done. */
function unexpected(what: string, cause?: unknown): ServiceError {
  const message = `${what}: the answer is not the service's, or is incomplete`;
  return new ServiceError("UNAVAILABLE", message, {}, cause);
}
