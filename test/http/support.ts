/** The HTTP door in process: requests go through the Worker's own app, with its bindings. */
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { connectHttp, type HttpConnectionOptions } from "../../src/client/index.ts";
import { app } from "../../src/http/app.ts";
import type { HttpEnv } from "../../src/http/support.ts";
import type { Scope } from "../../src/changes/scopes.ts";
import { env } from "../support/env.ts";

export const URL_OF_SERVICE = "https://engine.example";

async function sha256(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export interface TokenInput {
  readonly token: string;
  readonly scopes: readonly Scope[];
  readonly expires?: string;
  /** Default: one that tells nothing of the token. */
  readonly name?: string;
}

const nameOf = async (token: string) => `caller-${(await sha256(token)).slice(0, 8)}`;

/** The secret API_TOKENS with these tokens. */
export async function secretOf(...inputs: readonly TokenInput[]): Promise<string> {
  const list = inputs.map(async ({ token, ...rest }) => ({
    name: await nameOf(token),
    sha256: await sha256(token),
    ...rest,
  }));
  return JSON.stringify(await Promise.all(list));
}

export const ADMIN = "secret-of-the-admin";
export const NAME_OF_ADMIN = await nameOf(ADMIN);
export const API_TOKENS = await secretOf({ token: ADMIN, scopes: ["admin"] });

export async function send(request: Request, overrides: Partial<HttpEnv> = {}): Promise<Response> {
  const ctx = createExecutionContext();
  const response = await app.fetch(request, { ...env, API_TOKENS, ...overrides }, ctx);
  await waitOnExecutionContext(ctx);
  return response;
}

export async function call(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  const json = body === undefined ? {} : { "Content-Type": "application/json" };
  return send(
    new Request(URL_OF_SERVICE + path, {
      method,
      headers: { Authorization: `Bearer ${ADMIN}`, ...json, ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }),
  );
}

export function connectInProcess(options: Partial<HttpConnectionOptions> = {}) {
  return connectHttp({
    url: URL_OF_SERVICE,
    token: ADMIN,
    fetch: (request) => send(request),
    ...options,
  });
}

/** The response; of a stream, which has no end, its head alone. */
export async function ended(response: Response): Promise<Response> {
  if (response.headers.get("Content-Type") !== "text/event-stream") return response;
  await response.body?.cancel();
  return new Response(null, response);
}
