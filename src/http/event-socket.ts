/**
 * A run's events on a WebSocket. This Worker stands between the reader and the run's coordinator:
 * what a reader says never gets to the coordinator, and commits of the run do not wait for readers.
 */
import { RECONNECT } from "../worker/index.ts";
import { deliverEvents, type Opener } from "./event-stream.ts";

/**
 * A connection carries this many events, or UNITS_MAX UTF-16 units, or one larger event. Then its
 * reader connects again.
 */
const EVENTS_MAX = 1_000;
const UNITS_MAX = 1_024 * 1_024;
/**
 * The same for all connections of this isolate together. The platform does not tell how much has
 * arrived, so everything that was sent counts until its connection has ended.
 */
const ALL_UNITS_MAX = 16 * 1_024 * 1_024;
/** How long a reader may take to close its end. Then all that waits for it is dropped. */
const CLOSING_MS = 10_000;

let allUnits = 0;

/** Where the events come from, and what is done about a reader that misbehaves. */
export interface EventSocketOptions {
  readonly open: Opener;
  readonly after: number;
  /** Called when a reader says anything but "ping". */
  readonly misused: () => void;
  /**
   * Ends this invocation with all that waits in it. Nothing else drops what was sent and is not
   * read.
   */
  readonly abort: () => void;
}

/** The reader's end of a WebSocket. `finished` resolves when the connection has ended. */
export function eventSocket(options: EventSocketOptions): {
  readonly reader: WebSocket;
  readonly finished: Promise<void>;
} {
  const { 0: reader, 1: socket } = new WebSocketPair();
  socket.accept();
  return { reader, finished: send(socket, options) };
}

async function send(
  socket: WebSocket,
  { open, after, misused, abort }: EventSocketOptions,
): Promise<void> {
  const stopping = new AbortController();
  let pings = 0;
  socket.addEventListener("message", ({ data }) => {
    if (stopping.signal.aborted) {
      // The reader goes on talking after its end.
      abort();
      return;
    }
    pings += 1;
    if (data === "ping" && pings <= EVENTS_MAX) {
      if (socket.readyState === WebSocket.OPEN) socket.send("pong");
      return;
    }
    stopping.abort();
    socket.close(1008, "This end only listens to ping");
    misused();
  });
  const closed = new Promise<void>((resolve) => {
    const over = () => {
      stopping.abort();
      resolve();
    };
    socket.addEventListener("close", over);
    socket.addEventListener("error", over);
  });
  let events = 0;
  let units = 0;
  let full = false;
  try {
    const sending = deliverEvents(open, after, stopping.signal, ({ text: { length }, text }) => {
      const carried = events >= EVENTS_MAX || (units > 0 && units + length > UNITS_MAX);
      full = stopping.signal.aborted || carried || allUnits + length > ALL_UNITS_MAX;
      if (full) return;
      events += 1;
      units += length;
      allUnits += length;
      socket.send(text);
    });
    for await (const _ of sending) if (full || stopping.signal.aborted) break;
    if (socket.readyState === WebSocket.OPEN) socket.close(RECONNECT, "reconnect");
    // What is on its way counts until it has arrived, or its reader has gone.
    const timer = setTimeout(abort, CLOSING_MS);
    await closed;
    clearTimeout(timer);
  } finally {
    allUnits -= units;
  }
}
