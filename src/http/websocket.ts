/**
 * What is special about a request that becomes a WebSocket: a browser lets a page set no header of
 * it.
 */
import type { HonoRequest } from "hono";

/** The subprotocol that the service speaks. */
export const WATCH_PROTOCOL = "workflow-engine";
/** A subprotocol that carries the token: this, then the token in base64url. */
const BEARER = "bearer.";

export function isUpgrade(request: HonoRequest): boolean {
  return request.header("Upgrade")?.toLowerCase() === "websocket";
}

/** The request's `Authorization`. A WebSocket may have the token among its subprotocols instead. */
export function authorizationOf(request: HonoRequest): string | undefined {
  const authorization = request.header("Authorization");
  if (authorization !== undefined || !isUpgrade(request)) return authorization;
  const encoded = protocolsOf(request).find((protocol) => protocol.startsWith(BEARER));
  const token = encoded === undefined ? null : fromBase64Url(encoded.slice(BEARER.length));
  return token === null ? undefined : `Bearer ${token}`;
}

/**
 * Whether the client asks for the service's subprotocol. A browser that asks for any must be
 * answered with one of them.
 */
export function asksForProtocol(request: HonoRequest): boolean {
  return protocolsOf(request).includes(WATCH_PROTOCOL);
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
