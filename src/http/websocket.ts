/** What is special about a request that becomes a WebSocket: browsers let its sender set no header. */
import type { HonoRequest } from "hono";

/** The subprotocol that a client may ask for; a client that asks for any must be answered with one. */
export const WATCH_PROTOCOL = "workflow-engine";
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
