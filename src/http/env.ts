/** The bindings and variables of the API, and what its middleware leaves for its routes. */
import type { Store } from "../changes/index.ts";
import type { Backend, CreateAICallInput } from "../contract/index.ts";
import type { WorkflowEngineEnv } from "../worker/index.ts";
import type { AccessEnv } from "./access.ts";
import type { LogEnv } from "./log-line.ts";
import type { Room } from "./room.ts";
import type { Caller } from "./tokens.ts";

/**
 * A rate limiter, as far as it is used:
 * https://developers.cloudflare.com/workers/runtime-apis/bindings/rate-limit/
 * @example
 * const never: RateLimiter = { limit: async () => ({ success: true }) };
 */
export interface RateLimiter {
  limit(options: { key: string }): Promise<{ readonly success: boolean }>;
}

/**
 * The bindings and variables of a Worker with the HTTP API in it.
 * @example
 * import { app, type HttpEnv } from "workflow-engine-cloudflare/http";
 *
 * export default { fetch: app.fetch } satisfies ExportedHandler<HttpEnv>;
 */
export interface HttpEnv extends WorkflowEngineEnv, AccessEnv, LogEnv {
  /** A secret: the JSON list of tokens. See {@link authenticate}. */
  readonly API_TOKENS?: string;
  /** Origins that browsers may call from, with commas between. Absent: none. */
  readonly CORS_ORIGINS?: string;
  /** Limits the requests of each caller, by name. Absent: no limit. */
  readonly RATE_LIMITER?: RateLimiter;
  /**
   * The folder `assets`, with the files of the page `/docs`. Absent: the page only links to the
   * document.
   */
  readonly ASSETS?: Pick<Fetcher, "fetch">;
}

export interface AppEnv {
  Bindings: HttpEnv;
  Variables: {
    /** Answered as `X-Request-Id`, and in every line that the log has of the request. */
    requestId: string;
    caller: Caller;
    store: Store;
    /** A connection of the request's own, whose `workerId` is the caller's name. */
    backend: Backend;
    /** What the request takes of the isolate's memory. */
    room: Room;
    /** Records an AI call together with the request's Idempotency-Key. Absent without one. */
    recordAiCall?: (call: CreateAICallInput) => Promise<void>;
    /** The text of the body, if the request has an Idempotency-Key; undefined without one. */
    bodyText?: string;
  };
}
