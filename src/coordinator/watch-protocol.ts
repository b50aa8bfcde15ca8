/** How a run's events come over a WebSocket: what its two ends have agreed on. */

/** The subprotocol that a client may ask for; who asks for any must be answered with one. */
export const WATCH_PROTOCOL = "workflow-engine";
/** The close code after as much as one connection carries: connect again, from the last sequence. */
export const RESUME = 4000;
/** Said now and then to who asks for it: D1 has been asked, and all that there was has been sent. */
export const ALIVE = "alive";
export interface Watch {
  /** Events with a higher sequence are sent. */
  readonly after: number;
  /** Whether {@link ALIVE} is wanted. */
  readonly alive: boolean;
  /** Whether {@link WATCH_PROTOCOL} was asked for. */
  readonly protocol: boolean;
}

/** The request that opens a watch. Its answer has status 101 and a WebSocket, on which each message is the JSON of one event. */
export function watchRequest({ after, alive, protocol }: Watch): Request {
  const url = new URL("https://coordinator/events");
  url.searchParams.set("after", String(after));
  if (alive) url.searchParams.set("alive", "");
  return new Request(url, {
    headers: {
      Upgrade: "websocket",
      ...(protocol ? { "Sec-WebSocket-Protocol": WATCH_PROTOCOL } : {}),
    },
  });
}

/** Null for a request that is none of {@link watchRequest}'s. */
export function watchOf(request: Request): Watch | null {
  const { searchParams } = new URL(request.url);
  const after = Number(searchParams.get("after") ?? Number.NaN);
  const upgrades = request.headers.get("Upgrade")?.toLowerCase() === "websocket";
  if (!upgrades || !Number.isSafeInteger(after) || after < 0) return null;
  const protocol = request.headers.get("Sec-WebSocket-Protocol") === WATCH_PROTOCOL;
  return { after, alive: searchParams.has("alive"), protocol };
}
