/**
 * How a run's events come from its coordinator over a WebSocket: what the two ends have agreed on.
 * The other end is always a Worker of this service, which passes the events on to the reader.
 */

/**
 * The close code of a connection that was too slow, or has carried enough. Connect again, from the
 * last sequence.
 */
export const RECONNECT = 4000;
/**
 * The Worker says this when it has passed on everything that it was sent: nothing waits for its
 * reader.
 */
export const PASSED_ON = "passed-on";
/**
 * The Worker says it whenever nothing waits and at least this many UTF-16 units have come since it
 * last did. It never says it for fewer, so the coordinator may wait for it only after it has sent
 * as many.
 */
export const PASSED_ON_UNITS = 8 * 1_024;
/**
 * The coordinator says this now and then: D1 was asked, and all events that there are were sent.
 */
export const ALIVE = "alive";
/** Where a watch begins. */
export interface Watch {
  /** Events with a higher sequence are sent. */
  readonly after: number;
}

/**
 * The request that opens a watch. The answer has status 101 and a WebSocket, on which each message
 * is the JSON of one event, besides {@link ALIVE}.
 */
export function watchRequest({ after }: Watch): Request {
  const url = new URL("https://coordinator/events");
  url.searchParams.set("after", String(after));
  return new Request(url, { headers: { Upgrade: "websocket" } });
}

/** The watch that a request opens; null for any other request. */
export function watchOf(request: Request): Watch | null {
  const { searchParams } = new URL(request.url);
  const after = Number(searchParams.get("after") ?? Number.NaN);
  const upgrades = request.headers.get("Upgrade")?.toLowerCase() === "websocket";
  if (!upgrades || !Number.isSafeInteger(after) || after < 0) return null;
  return { after };
}
