/**
 * A run's events on a WebSocket. This Worker stands between its reader and the run's coordinator: what a reader says never gets there, and
 * commits of the run do not wait for it.
 */
import { RECONNECT } from "../worker/index.ts";
import { eventsOf, type Opener } from "./event-stream.ts";

/** Events that a connection carries; then its reader connects again. */
const EVENTS_MAX = 1_000;
/**
 * UTF-16 units that may be on their way to a reader that has not said "ping" since: the platform does not tell how much of it has arrived.
 * A single larger event is sent where nothing is on its way.
 */
const UNHEARD_UNITS_MAX = 1_024 * 1_024;
/** The same of all readers of this isolate together. */
const ALL_UNHEARD_UNITS_MAX = 16 * 1_024 * 1_024;

let allUnheard = 0;

/** The end of a WebSocket for the reader. `finished` ends when the connection has ended; `misused` is told of anything said but "ping". */
export function eventSocket(
  open: Opener,
  after: number,
  misused: () => void,
): { readonly reader: WebSocket; readonly finished: Promise<void> } {
  const { 0: reader, 1: socket } = new WebSocketPair();
  socket.accept();
  return { reader, finished: send(socket, open, after, misused) };
}

async function send(
  socket: WebSocket,
  open: Opener,
  after: number,
  misused: () => void,
): Promise<void> {
  const stopping = new AbortController();
  let unheard = 0;
  const heard = () => {
    allUnheard -= unheard;
    unheard = 0;
  };
  const onMessage = ({ data }: MessageEvent) => {
    if (data === "ping") {
      heard();
      socket.send("pong");
      return;
    }
    // Whatever else is said ends the connection; what follows is not listened to.
    socket.removeEventListener("message", onMessage);
    socket.close(1008, "This end only listens to ping");
    misused();
    stopping.abort();
  };
  socket.addEventListener("message", onMessage);
  const closed = new Promise<void>((resolve) => {
    const over = () => {
      stopping.abort();
      resolve();
    };
    socket.addEventListener("close", over);
    socket.addEventListener("error", over);
  });
  try {
    let events = 0;
    for await (const event of eventsOf(open, after, stopping.signal)) {
      if (stopping.signal.aborted) break;
      if (event === null) continue;
      const units = event.text.length;
      const tooMuch = unheard > 0 && unheard + units > UNHEARD_UNITS_MAX;
      if (events >= EVENTS_MAX || tooMuch || allUnheard + units > ALL_UNHEARD_UNITS_MAX) break;
      events += 1;
      unheard += units;
      allUnheard += units;
      socket.send(event.text);
    }
    if (socket.readyState === WebSocket.OPEN) socket.close(RECONNECT, "reconnect");
    // What is on its way counts until it has arrived, or its reader has gone.
    await closed;
  } finally {
    heard();
  }
}
