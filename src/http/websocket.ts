/** What is special about a request that becomes a WebSocket: browsers let its sender set no header, and send it to anybody. */
import type { Context, HonoRequest } from "hono";
import { WATCH_PROTOCOL } from "../queue/index.ts";
import { HttpFault } from "./problem.ts";
import type { AppEnv } from "./support.ts";

/** A subprotocol that carries the token: this and the base64url of it. */
const BEARER = "bearer.";

export function isUpgrade(request: HonoRequest): boolean {
  return request.header("Upgrade")?.toLowerCase() === "websocket";
}

/** The request's `Authorization`; a WebSocket may have the token among its subprotocols instead. */
export function authorizationOf(request: HonoRequest): string | undefined {
  const authorization = request.header("Authorization");
  if (authorization !== undefined || !isUpgrade(request)) return authorization;
  const encoded = protocolsOf(request).find((protocol) => protocol.startsWith(BEARER));
  const token = encoded === undefined ? null : fromBase64Url(encoded.slice(BEARER.length));
  return token === null ? undefined : `Bearer ${token}`;
}

/** Whether it asks for the subprotocol that the service speaks. A browser that asks for any must be answered with one. */
export function asksForProtocol(request: HonoRequest): boolean {
  return protocolsOf(request).includes(WATCH_PROTOCOL);
}

/**
 * For browsers CORS does not apply to WebSockets, so their origin is looked at here.
 * @throws FORBIDDEN for a page of another origin that is not among `CORS_ORIGINS`.
 */
export function requireOrigin({ req, env }: Context<AppEnv>): void {
  const origin = req.header("Origin");
  if (origin === undefined || origin === new URL(req.url).origin) return;
  const allowed = (env.CORS_ORIGINS ?? "").split(",").map((one) => one.trim());
  if (allowed.includes(origin)) return;
  throw new HttpFault("FORBIDDEN", "Pages of this origin are not among CORS_ORIGINS", { origin });
}

function protocolsOf(request: HonoRequest): string[] {
  const offered = request.header("Sec-WebSocket-Protocol") ?? "";
  return offered.split(",").map((protocol) => protocol.trim());
}

function fromBase64Url(text: string): string | null {
  try {
    return atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  } catch {
    // Not base64: no token, which is what the answer says.
    return null;
  }
}
