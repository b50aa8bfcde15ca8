/**
 * A run's events as server-sent events
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html). The coordinator's WebSocket may
 * close at any time: when the coordinator is reset or deployed, or the socket has carried as much
 * as one may. Then the stream connects again after the last event that it passed on, and its reader
 * notices nothing. No more waits for a slow reader than one connection carries.
 */
import * as z from "zod";
import { ALIVE, PASSED_ON, PASSED_ON_UNITS, RECONNECT } from "../worker/index.ts";

/** Opens a WebSocket on which the events after a sequence arrive. */
export type Opener = (after: number) => Promise<WebSocket>;

/**
 * Opens the first connection at once, so that a coordinator that is away can be answered as a
 * problem.
 */
export async function opened(open: Opener, begin: number): Promise<Opener> {
  let first: WebSocket | null = await open(begin);
  return async (after) => {
    const socket = first ?? (await open(after));
    first = null;
    return socket;
  };
}

/** How soon an EventSource connects again after the stream has ended. Milliseconds. */
const RETRY_MS = 1_000;
/** A reader gets a comment when no event has come for this time. */
const KEEP_ALIVE_MS = 15_000;
/** A coordinator says every 30 s that it is alive. Its alarm may be late by a minute. */
const SILENCE_MAX_MS = 100_000;
/**
 * Each connection is a Worker invocation, of the 32 that a request may cause. After this many the
 * stream ends, and its reader connects again.
 */
const CONNECTIONS_MAX = 20;
/** Connections in a row that brought nothing, before the stream ends. */
const FAILURES_MAX = 5;
const PAUSE_MS = 100;

const numbered = z.object({ sequence: z.int() });

/** The frames of a run's events after a sequence. Nothing is opened before they are read. */
export function eventStream(open: Opener, after: number): ReadableStream<Uint8Array> {
  const stopping = new AbortController();
  const encoder = new TextEncoder();
  let begun = false;
  let events: AsyncGenerator<boolean, void, void>;
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        events = deliverEvents(open, after, stopping.signal, ({ sequence, text }) =>
          controller.enqueue(encoder.encode(`id: ${sequence}\ndata: ${text}\n\n`)),
        );
      },
      async pull(controller) {
        if (!begun) {
          begun = true;
          controller.enqueue(encoder.encode(`retry: ${RETRY_MS}\n\n`));
          return;
        }
        const { value, done } = await events.next();
        if (done === true) controller.close();
        // A keep-alive also shows that a reader has gone: nothing can be written to it any more.
        else if (!value) controller.enqueue(encoder.encode(": keep-alive\n\n"));
      },
      async cancel() {
        stopping.abort();
        await events.return();
      },
    },
    { highWaterMark: 0 },
  );
}

interface WatchedEvent {
  readonly sequence: number;
  /** The event's JSON. */
  readonly text: string;
}

/**
 * Takes an event. A text may have 1.9 MB, and a function that awaits would hold it meanwhile, so it
 * is handed over in a call.
 */
type Taker = (event: WatchedEvent) => void;

/**
 * Hands over the run's events after a sequence, each once and in order, one for each time that it
 * answers true. It answers false now and then while none comes. It ends when the coordinator stays
 * away, or after as many connections as a request may open. The reader goes on from the last event.
 */
export async function* deliverEvents(
  open: Opener,
  begin: number,
  stopping: AbortSignal,
  take: Taker,
): AsyncGenerator<boolean, void, void> {
  let after = begin;
  let failures = 0;
  for (let connections = 0; connections < CONNECTIONS_MAX; connections += 1) {
    const feed = await Feed.open(open, after, stopping);
    for await (const waits of feed.turns()) {
      if (waits) failures = 0;
      const sequence = waits ? feed.handOver(take) : null;
      after = sequence ?? after;
      yield sequence !== null;
    }
    if (stopping.aborted || failures >= FAILURES_MAX) return;
    if (feed.code === RECONNECT) continue;
    await scheduler.wait(PAUSE_MS * 2 ** failures, { signal: stopping }).catch(() => undefined);
    failures += 1;
  }
}

/** UTF-16 units that wait for the readers of all runs in this isolate together. */
const HELD_UNITS_MAX = 16 * 1_024 * 1_024;
const feeds = new Set<Feed>();

/**
 * The messages of one WebSocket, in order. Those that the reader has not taken can be dropped: the
 * reader is where it was, and they are sent again.
 */
class Feed {
  /** The code with which the socket was closed; null while it is open. */
  code: number | null = null;
  readonly #socket: WebSocket | null;
  #messages: string[] = [];
  /** UTF-16 units of the messages that wait here. */
  held = 0;
  /** Units that came since the coordinator was last told that everything is passed on. */
  #untold = 0;
  /**
   * Resolves to true when a message has come or the socket was closed; to false when nothing has
   * come for a while.
   */
  #changed = Promise.withResolvers<boolean>();

  /** A socket that could not be opened counts as closed from the beginning. The log says why. */
  static async open(open: Opener, after: number, stopping: AbortSignal): Promise<Feed> {
    try {
      return new Feed(await open(after), stopping);
    } catch (error) {
      console.warn("wfe-watch-refused", error);
      return new Feed(null, stopping);
    }
  }

  private constructor(socket: WebSocket | null, stopping: AbortSignal) {
    this.#socket = socket;
    if (socket === null) this.#end(1006);
    socket?.addEventListener("message", ({ data }) => {
      if (this.code !== null) return;
      const text = String(data);
      this.#messages.push(text);
      this.held += text.length;
      this.#untold += text.length;
      this.#changed.resolve(true);
      makeRoom();
    });
    socket?.addEventListener("close", ({ code }) => this.#end(code));
    socket?.addEventListener("error", () => this.#end(1006));
    if (stopping.aborted) this.#end(1000);
    stopping.addEventListener("abort", () => this.#end(1000));
    socket?.accept();
  }

  #end(code: number): void {
    this.code ??= code;
    // The reader was too slow. What waits is given up, and asked for again when the reader gets to
    // it.
    if (code === RECONNECT) this.#forget();
    this.#changed.resolve(true);
  }

  #forget(): void {
    this.#messages = [];
    this.held = 0;
  }

  /**
   * Gives up what waits. Another request may call this, and must not touch this request's socket;
   * so the reader closes it.
   */
  drop(): void {
    feeds.delete(this);
    this.#end(RECONNECT);
  }

  /** Hands over the oldest message. Answers its sequence, or null for one that is no event. */
  handOver(take: Taker): number | null {
    const text = this.#messages.shift();
    if (text === undefined) return null;
    this.held -= text.length;
    if (text === ALIVE) return null;
    const { sequence } = numbered.parse(JSON.parse(text));
    take({ sequence, text });
    return sequence;
  }

  /** Tells the coordinator that the reader has had everything. */
  #tellPassedOn(): void {
    if (this.#messages.length > 0 || this.#untold < PASSED_ON_UNITS) return;
    this.#untold = 0;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(PASSED_ON);
  }

  /**
   * Answers true while a message waits, false when none has come for a while. Ends when the socket
   * is closed, or silent for too long.
   */
  async *turns(): AsyncGenerator<boolean, void, void> {
    let heard = Date.now();
    feeds.add(this);
    try {
      for (;;) {
        this.#tellPassedOn();
        if (this.#messages.length > 0) {
          heard = Date.now();
          yield true;
        } else if (this.code !== null || Date.now() - heard >= SILENCE_MAX_MS) {
          return;
        } else if (!(await this.#change())) {
          yield false;
        }
      }
    } finally {
      feeds.delete(this);
      // Nobody reads what still comes.
      this.#end(1000);
      this.#forget();
      if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.close(1000);
    }
  }

  /**
   * Whether anything changed within the time after which a reader is told that the stream is alive.
   */
  async #change(): Promise<boolean> {
    const timer = setTimeout(() => this.#changed.resolve(false), KEEP_ALIVE_MS);
    try {
      return await this.#changed.promise;
    } finally {
      clearTimeout(timer);
      this.#changed = Promise.withResolvers<boolean>();
    }
  }
}

/** The slowest readers give up what waits for them, until there is room again. */
function makeRoom(): void {
  let held = 0;
  for (const feed of feeds) held += feed.held;
  while (held > HELD_UNITS_MAX) {
    const [slowest] = [...feeds].toSorted((a, b) => b.held - a.held);
    if (slowest === undefined || slowest.held === 0) return;
    held -= slowest.held;
    slowest.drop();
  }
}
