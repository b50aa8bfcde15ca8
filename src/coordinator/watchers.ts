/**
 * The readers that watch a run: hibernating WebSockets, each with the sequence that was last sent
 * on it. Each reader is sent every event of the run after the sequence at which it began, once and
 * in order, until its connection ends. A reader that connects again goes on after the last event it
 * got. Events are always read from D1; a hint only starts the read.
 *
 * While there are readers, the run is marked as watched in D1: commits that went past this object
 * send a hint only then.
 */
import * as z from "zod";
import { messageOf, toOutboxRecord } from "../model/index.ts";
import type { D1Store } from "../store/index.ts";
import { ALIVE, PASSED_ON, PASSED_ON_UNITS, RECONNECT, watchOf } from "./watch-protocol.ts";

/**
 * A page of events that is read at a time: at most PAGE of them, and none after the one that takes
 * it beyond PAGE_BYTES. An object has 128 MB, and holds a page a few times over.
 */
const PAGE = 16;
const PAGE_BYTES = 500_000;
/**
 * UTF-16 units that wait for the readers of all connections together, as far as the coordinator
 * knows. An object has 128 MB, and each unit may take three bytes. Half of it is more than all that
 * SOCKETS_MAX connections may pass on without saying so. So where there is no room, at least one
 * connection is due to say that it has passed on everything.
 */
const WAITING_UNITS_MAX = 16 * 1_024 * 1_024;
/** The same for one connection. A single event may be larger. */
const CONNECTION_UNITS_MAX = 256 * 1_024;
/** When room is short, a reader that has read nothing for this time is closed. Milliseconds. */
const SLOW_MS = 2_000;
/**
 * The least time between two looks at D1. A run that commits again and again so shares one look
 * between several commits, and its commits do not wait behind a look each.
 */
const GATHER_MS = 20;
const SOCKETS_MAX = 1_000;
/** How long an event that no commit announced can stay unsent. */
const LOOK_EVERY_MS = 30_000;
/** A look that comes this long after the last mark, or later, marks the run again. */
const MARK_EVERY_MS = LOOK_EVERY_MS;
/**
 * Pauses before D1 is asked again after a failure. After the last, the alarm will find what there
 * is.
 */
const RETRY_MS = [250, 1_000, 4_000];

/** What a socket remembers, also while the object hibernates. */
const attachment = z.object({
  after: z.int(),
  /** Units that were sent since the other end last said that it has passed on everything. */
  waiting: z.int(),
  /** When `waiting` reached the amount after which the Worker has to send `PASSED_ON`. */
  since: z.number(),
  /** The instant at which the other end last said so, or connected. */
  heard: z.number(),
});
type Attachment = z.infer<typeof attachment>;

interface Watcher {
  readonly socket: WebSocket;
  readonly state: Attachment;
}

export class Watchers {
  readonly #ctx: DurableObjectState;
  readonly #store: D1Store;
  /** The send pass under way; null when there is none. */
  #sending: Promise<boolean> | null = null;
  #askedAgain = false;
  /** When the last look at D1 began. */
  #lookedAt = 0;
  /** When the run was last marked as watched. */
  #markedAt = 0;
  /** Too much waits for readers: nothing more is sent. */
  #crowded = false;
  /** Ends the wait for room. */
  #wake: () => void = () => undefined;

  constructor(ctx: DurableObjectState, store: D1Store) {
    this.#ctx = ctx;
    this.#store = store;
  }

  /** Takes a socket, and begins to send it what there is. */
  async accept(request: Request): Promise<Response> {
    const watch = watchOf(request);
    if (watch === null) return new Response("A watch begins with watchRequest", { status: 400 });
    if (this.#ctx.getWebSockets().length >= SOCKETS_MAX) {
      return new Response("Too many readers watch this run", { status: 503 });
    }
    const { 0: theirs, 1: socket } = new WebSocketPair();
    this.#ctx.acceptWebSocket(socket);
    remember(socket, { after: watch.after, waiting: 0, since: 0, heard: Date.now() });
    // The storage call also stops an object that was superseded: such an object gets no commits.
    if ((await this.#ctx.storage.getAlarm()) === null) await this.#setAlarm();
    this.tell();
    return new Response(null, { status: 101, webSocket: theirs });
  }

  /** A message from a Worker. Only `PASSED_ON` is allowed; any other closes the socket. */
  hear(socket: WebSocket, message: string | ArrayBuffer): void {
    const parsed = attachment.safeParse(socket.deserializeAttachment());
    if (message !== PASSED_ON || !parsed.success)
      return socket.close(1008, "This end takes one word");
    remember(socket, { ...parsed.data, waiting: 0, heard: Date.now() });
    this.roomFreed();
  }

  /**
   * Less waits than before. Where room was short, the events are read again when half of it is free,
   * and not sooner: each look reads D1 for all readers that are ready.
   */
  roomFreed(): void {
    if (this.#crowded && this.#waiting() > WAITING_UNITS_MAX / 2) return;
    this.#wake();
    this.tell();
  }

  /** Starts a send pass if somebody watches. The caller does not wait for it. */
  tell(): void {
    if (this.#watchers().length > 0) this.#ctx.waitUntil(this.#send());
  }

  /**
   * What the alarm does: looks, says that it has looked, and sets the next alarm. Without readers
   * it does nothing.
   */
  async lookAgain(): Promise<void> {
    if (this.#watchers().length === 0) return;
    await this.#setAlarm();
    if (!(await this.#send())) return;
    for (const { socket } of this.#watchers()) socket.send(ALIVE);
  }

  async #setAlarm(): Promise<void> {
    await this.#ctx.storage.setAlarm(Date.now() + LOOK_EVERY_MS);
  }

  /**
   * Sends everything there is. One pass at a time: if it is asked for meanwhile, the pass looks
   * once more. False when D1 did not answer.
   */
  async #send(): Promise<boolean> {
    if (this.#sending === null) this.#sending = this.#sendUntilQuiet();
    else this.#askedAgain = true;
    return this.#sending;
  }

  async #sendUntilQuiet(): Promise<boolean> {
    try {
      for (let failures = 0; ;) {
        const sinceLook = Date.now() - this.#lookedAt;
        if (sinceLook >= 0 && sinceLook < GATHER_MS) await scheduler.wait(GATHER_MS - sinceLook);
        this.#lookedAt = Date.now();
        this.#askedAgain = false;
        const failure = await this.#look().then(() => null, messageOf);
        if (failure === null && !this.#askedAgain) {
          if (!(await this.#makeRoom())) return true;
          continue;
        }
        if (failure === null) continue;
        console.warn(JSON.stringify({ event: "wfe-watch-failed", run: this.#run, failure }));
        const pauseMs = RETRY_MS[failures];
        if (pauseMs === undefined) return false;
        failures += 1;
        await scheduler.wait(pauseMs);
      }
    } finally {
      // In the same turn as the last look at whether it was asked again: a later request begins a
      // new pass.
      this.#sending = null;
    }
  }

  /**
   * Marks the run as watched, then sends what there is. In this order: a commit whose events are not
   * found sees the mark, and tells of them.
   */
  async #look(): Promise<void> {
    const now = Date.now();
    const sinceMark = now - this.#markedAt;
    if (sinceMark < 0 || sinceMark >= MARK_EVERY_MS) {
      await this.#store.markWatched(this.#run);
      this.#markedAt = now;
    }
    await this.#sendAll();
  }

  /**
   * Sends page by page, until each connection is full or has all events. The reader that is
   * furthest along goes first, so that one reader's long history does not delay the others. A
   * reader that waits for a sequence that does not exist yet is not counted as first.
   */
  async #sendAll(): Promise<void> {
    this.#crowded = false;
    for (let tail = Number.POSITIVE_INFINITY; ;) {
      const places = this.#ready().map(({ state }) => state.after);
      if (places.length === 0) return;
      const hindmost = Math.min(...places);
      const furthest = Math.max(hindmost, ...places.filter((after) => after <= tail));
      if (furthest !== hindmost) await this.#sendPage(furthest);
      const page = await this.#sendPage(hindmost);
      if (page.last >= page.tail) return;
      ({ tail } = page);
    }
  }

  /** Readers to which more can be sent now: little waits for them, and there is room. */
  #ready(): Watcher[] {
    if (this.#crowded) return [];
    return this.#watchers().filter(({ state }) => state.waiting < CONNECTION_UNITS_MAX);
  }

  /**
   * Whether there may be room again where there was none. The slowest readers are closed and come
   * back from where they were. Where none counts as slow yet, this waits until one does, or until
   * one has passed on what it has.
   */
  async #makeRoom(): Promise<boolean> {
    if (!this.#crowded) return false;
    const now = Date.now();
    const slowest = this.#watchers()
      .filter(({ state }) => owesWord(state.waiting))
      .toSorted((a, b) => a.state.since - b.state.since);
    const slow = slowest.filter(({ state }) => now - state.since >= SLOW_MS);
    for (const { socket } of slow) socket.close(RECONNECT, "too slow");
    const [first] = slowest;
    // What waits for the closing connections is about to go. Their end makes it look again.
    if (first === undefined) return false;
    if (slow.length === 0) await this.#roomWithin(first.state.since + SLOW_MS - now);
    return true;
  }

  /** Waits until a reader has passed on what it has, at most for this time. */
  async #roomWithin(ms: number): Promise<void> {
    const { promise: woken, resolve: wake } = Promise.withResolvers<void>();
    this.#wake = wake;
    const timer = setTimeout(wake, ms);
    await woken;
    clearTimeout(timer);
  }

  /**
   * Sends the page after a sequence to the readers that have everything up to it. Answers the
   * page's last sequence, and the run's.
   */
  async #sendPage(after: number): Promise<{ last: number; tail: number }> {
    const workflowRunId = this.#run;
    const [found, tail] = await this.#store.read([
      {
        q: "page",
        of: "outboxEvents",
        workflowRunId,
        after: String(after),
        descending: false,
        limit: PAGE,
        bytesMax: PAGE_BYTES,
      },
      { q: "outboxTail", workflowRunId },
    ]);
    const rows = found.filter((row) => "sequence" in row);
    const messages = rows.map((row) => ({
      sequence: row.sequence,
      text: JSON.stringify(toOutboxRecord(row)),
    }));
    // First the readers that have just shown that they read, so that they do not wait for the rest.
    const watchers = this.#watchers().toSorted((a, b) => b.state.heard - a.state.heard);
    let room = WAITING_UNITS_MAX - this.#waiting();
    for (const watcher of watchers) {
      if (watcher.state.after < after) continue;
      const delivered = deliver(watcher, messages, room);
      room -= delivered.units;
      this.#crowded ||= delivered.crowded;
    }
    return { last: messages.at(-1)?.sequence ?? tail, tail };
  }

  get #run(): string {
    const { name } = this.#ctx.id;
    if (name === undefined) throw new Error("A coordinator is addressed by its run's id");
    return name;
  }

  /** Units that wait for all readers, closing connections included. */
  #waiting(): number {
    let units = 0;
    for (const socket of this.#ctx.getWebSockets()) {
      const parsed = attachment.safeParse(socket.deserializeAttachment());
      if (parsed.success) units += parsed.data.waiting;
    }
    return units;
  }

  /** The readers whose connections are open. */
  #watchers(): Watcher[] {
    return this.#ctx.getWebSockets().flatMap((socket) => {
      if (socket.readyState !== WebSocket.OPEN) return [];
      const parsed = attachment.safeParse(socket.deserializeAttachment());
      if (parsed.success) return [{ socket, state: parsed.data }];
      // Another version of this class wrote the attachment. The reader itself knows where it was.
      socket.close(RECONNECT, "resume");
      return [];
    });
  }
}

interface Message {
  readonly sequence: number;
  readonly text: string;
}

interface Delivered {
  readonly units: number;
  /** There was no room for the next event. */
  readonly crowded: boolean;
}

/** Whether so much was sent that the other end will say when it has passed on everything. */
function owesWord(waiting: number): boolean {
  return waiting >= PASSED_ON_UNITS;
}

/**
 * Sends a reader the events that it does not have yet, as far as there is room. All in one turn, so
 * nothing is sent twice. A connection that will not say that it has passed on everything is sent an
 * event of any size: nothing would ever tell that there is room for it.
 */
function deliver(
  { socket, state }: Watcher,
  messages: readonly Message[],
  room: number,
): Delivered {
  let { after, waiting } = state;
  let sent = 0;
  let crowded = false;
  for (const { sequence, text } of messages) {
    if (sequence <= after) continue;
    if (owesWord(waiting) && waiting + text.length > CONNECTION_UNITS_MAX) {
      // Nothing more until the reader has what it was sent.
      waiting = Math.max(waiting, CONNECTION_UNITS_MAX);
      break;
    }
    crowded = sent + text.length > room;
    if (crowded) break;
    socket.send(text);
    after = sequence;
    waiting += text.length;
    sent += text.length;
  }
  const since = owesWord(state.waiting) ? state.since : Date.now();
  if (waiting !== state.waiting) remember(socket, { ...state, after, waiting, since });
  return { units: sent, crowded };
}

function remember(socket: WebSocket, state: Attachment): void {
  socket.serializeAttachment(state);
}
