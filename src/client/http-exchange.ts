/** One request to the service, and its whole answer. */
import { messageOf, withDeadline } from "../model/index.ts";
import { isServiceError, ServiceError } from "../contract/index.ts";
import { invalid } from "../persistence/encode.ts";

/**
 * How the service is reached over HTTP.
 * @example
 * const options: HttpStoreOptions = { url: "https://engine.example", token };
 */
export interface HttpStoreOptions {
  /**
   * Where the service is: `https://workflow-engine-cloudflare.example.workers.dev`. It may have a
   * path, if something in front of the service removes it.
   */
  readonly url: string;
  /** A bearer token of the service, with the scopes that the calls need. */
  readonly token: string;
  /** Default: the platform's. */
  readonly fetch?: (request: Request) => Promise<Response>;
  /** Aborts all that is under way, and every later call. Each then throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** An answer: the service sent it, or something on the way. */
export interface Answer {
  readonly ok: boolean;
  readonly status: number;
  readonly statusText: string;
  readonly headers: Headers;
  /** It points elsewhere. It was not followed. */
  readonly redirects: boolean;
  readonly text: string;
}

/** Longer than the service waits for a coordinator, which is longer than that waits for D1. */
const DEADLINE_MS = 60_000;

/**
 * The service's url, without a slash at its end.
 * @throws INVALID_ARGUMENT unless it is an absolute URL of http or https, without credentials,
 * query and fragment.
 */
export function serviceUrl(url: string): string {
  const parsed = typeof url === "string" ? URL.parse(url) : null;
  const http = parsed?.protocol === "https:" || parsed?.protocol === "http:";
  if (parsed === null || !http) {
    throw invalid("url must be that of the service, as in https://engine.example", {
      field: "url",
    });
  }
  if (`${parsed.username}${parsed.password}${parsed.search}${parsed.hash}` !== "") {
    throw invalid("url must have no user, password, query or fragment", { field: "url" });
  }
  return parsed.origin + parsed.pathname.replace(/\/+$/, "");
}

/**
 * The token.
 * @throws INVALID_ARGUMENT unless it can be sent in a header. The message does not repeat it.
 */
export function bearerToken(token: string): string {
  if (typeof token === "string" && /^[\x21-\x7e]+$/.test(token)) return token;
  throw invalid("token must be a text of visible ASCII characters, and not empty", {
    field: "token",
  });
}

/**
 * Sends the request and reads the whole answer, within a minute.
 * @throws the signal's reason as soon as it aborts; UNAVAILABLE for an error of the network, which
 * leaves open whether the request arrived.
 */
export async function exchange(
  url: string,
  init: RequestInit,
  { fetch: send = (request) => fetch(request), signal }: HttpStoreOptions,
): Promise<Answer> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  try {
    // A redirect is not followed: the request, and the token in it, are for the service alone.
    const request = new Request(url, { ...init, redirect: "manual", signal: controller.signal });
    return await withDeadline(
      unlessAborted(signal, async () => answerOf(await send(request))),
      DEADLINE_MS,
      "The service",
    );
  } catch (error) {
    // Nothing waits for the rest of the answer any more.
    controller.abort(error);
    signal?.throwIfAborted();
    if (isServiceError(error)) throw error;
    throw unanswered(error);
  }
}

/** An error of the network leaves open whether the request arrived. */
export function unanswered(cause: unknown): ServiceError {
  const message = `The service did not answer: ${messageOf(cause)}`;
  return new ServiceError("UNAVAILABLE", message, {}, cause);
}

/** The answer with all of its text. */
export async function answerOf(response: Response): Promise<Answer> {
  const { ok, status, statusText, headers } = response;
  // Browsers hide where a redirect points to, behind a type that the types of Workers do not know.
  const type: string = response.type;
  const redirects = type === "opaqueredirect" || (status >= 300 && status < 400);
  return { ok, status, statusText, headers, redirects, text: await response.text() };
}

/** Waits. When the signal aborts, its reason is thrown at once. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  try {
    await unlessAborted(signal, async () => over);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Ends the wait for the work when the signal is aborted, even if the work itself goes on. It leaves
 * no listener on the signal, which may live for long.
 */
export async function unlessAborted<T>(
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (signal === undefined) return work();
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const stop = () => {
    reject(signal.reason);
  };
  signal.addEventListener("abort", stop);
  try {
    return await Promise.race([work(), aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
