/** The bindings and variables of the API, and what its middleware leaves for its routes. */
import type { Store } from "../changes/index.ts";
import type { Backend, CreateAICallInput } from "../contract/index.ts";
import type { WorkflowEngineEnv } from "../worker/index.ts";
import type { AccessEnv } from "./access.ts";
import type { Room } from "./room.ts";
import type { Caller } from "./tokens.ts";

/** https://developers.cloudflare.com/workers/runtime-apis/bindings/rate-limit/ */
export interface RateLimiter {
  limit(options: { key: string }): Promise<{ readonly success: boolean }>;
}

export interface HttpEnv extends WorkflowEngineEnv, AccessEnv {
  /** A secret: see {@link authenticate}. */
  readonly API_TOKENS?: string;
  /** Origins that browsers may call from, separated by commas; absent: none. */
  readonly CORS_ORIGINS?: string;
  readonly RATE_LIMITER?: RateLimiter;
  /** The folder `assets`, with what the page `/docs` needs. */
  readonly ASSETS?: Pick<Fetcher, "fetch">;
}

export interface AppEnv {
  Bindings: HttpEnv;
  Variables: {
    requestId: string;
    caller: Caller;
    store: Store;
    backend: Backend;
    room: Room;
    /** Records an AI call with the request's Idempotency-Key. */
    recordAiCall?: (call: CreateAICallInput) => Promise<void>;
    /** The request's body, read once; undefined where there can be none. */
    bodyText?: string;
  };
}
