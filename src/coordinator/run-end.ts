/** Waits for the end of a run on its events, as its coordinator sends them. */
import { ALIVE, PASSED_ON, PASSED_ON_UNITS } from "./watch-protocol.ts";

/** The events that tell that a run has ended. */
const ENDS = new Set(["workflow:completed", "workflow:failed", "workflow:cancelled"]);

/** Resolves when such an event comes, when the connection ends, or after this time. */
export async function untilEnd(socket: WebSocket, withinMs: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, withinMs);
  let waiting = 0;
  socket.addEventListener("message", ({ data }) => {
    if (typeof data !== "string" || data === ALIVE) return;
    if (isEnd(data)) resolve();
    waiting += data.length;
    if (waiting < PASSED_ON_UNITS) return;
    waiting = 0;
    socket.send(PASSED_ON);
  });
  socket.addEventListener("close", () => resolve());
  socket.addEventListener("error", () => resolve());
  socket.accept();
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    socket.close(1000);
  }
}

function isEnd(data: string): boolean {
  const event: unknown = JSON.parse(data);
  return (
    typeof event === "object" &&
    event !== null &&
    "eventType" in event &&
    typeof event.eventType === "string" &&
    ENDS.has(event.eventType)
  );
}
