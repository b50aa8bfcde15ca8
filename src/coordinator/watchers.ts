/**
 * Those who watch a run: hibernating WebSockets, each with the sequence that it was sent last. Each is sent every event of the run after
 * the sequence at which it began, once and in order, until its connection ends; who connects again goes on after the last one it got. What
 * is sent is what D1 says: whoever tells of an event only makes us look.
 */
import * as z from "zod";
import { toOutboxRecord } from "../model/index.ts";
import type { D1Store } from "../store/index.ts";
import { ALIVE, RESUME, WATCH_PROTOCOL, watchOf } from "./watch-protocol.ts";

/** Events read at a time. An event may have 1.9 MB, and an object has 128 MB. */
const PAGE = 16;
/**
 * What one connection carries, in events and in UTF-16 units; then it is closed, and whoever has read all of it connects again. So
 * what waits here for a slow reader is bounded.
 */
const EVENTS_MAX = 1_000;
const UNITS_MAX = 4 * 1_024 * 1_024;
const SOCKETS_MAX = 1_000;
/** How soon an event is found that nobody told of. */
const LOOK_EVERY_MS = 30_000;
/** Pauses before D1 is asked again after it failed. Then the alarm is left to find what there is. */
const RETRY_MS = [250, 1_000, 4_000];

/** What a socket remembers, also while the object hibernates. */
const attachment = z.object({
  after: z.int(),
  events: z.int(),
  units: z.int(),
  alive: z.boolean(),
});
type Attachment = z.infer<typeof attachment>;

interface Watcher {
  readonly socket: WebSocket;
  readonly state: Attachment;
}

export class Watchers {
  readonly #ctx: DurableObjectState;
  readonly #store: D1Store;
  /** Ends when all has been sent that was there when it was last asked for; null while nobody asks. */
  #sending: Promise<boolean> | null = null;
  #askedAgain = false;

  constructor(ctx: DurableObjectState, store: D1Store) {
    this.#ctx = ctx;
    this.#store = store;
  }

  /** Takes a socket, and begins to send it what there is. */
  async accept(request: Request): Promise<Response> {
    const watch = watchOf(request);
    if (watch === null) return new Response("A watch begins with watchRequest", { status: 400 });
    if (this.#ctx.getWebSockets().length >= SOCKETS_MAX) {
      return new Response("Too many watch this run", { status: 503 });
    }
    const { 0: theirs, 1: socket } = new WebSocketPair();
    this.#ctx.acceptWebSocket(socket);
    remember(socket, { after: watch.after, events: 0, units: 0, alive: watch.alive });
    this.#ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    // Touching the storage also ends an object that another has superseded: it would not hear of commits.
    if ((await this.#ctx.storage.getAlarm()) === null) await this.#setAlarm();
    this.tell();
    const headers = watch.protocol ? { "Sec-WebSocket-Protocol": WATCH_PROTOCOL } : {};
    return new Response(null, { status: 101, webSocket: theirs, headers });
  }

  /** There may be something to send. Keeps nobody waiting, and costs nothing when nobody watches. */
  tell(): void {
    if (this.#watchers().length > 0) this.#ctx.waitUntil(this.#send());
  }

  /** What the alarm does: looks, says that it has, and is set again; unless nobody watches. */
  async lookAgain(): Promise<void> {
    if (this.#watchers().length === 0) return;
    await this.#setAlarm();
    if (!(await this.#send())) return;
    for (const { socket, state } of this.#watchers()) if (state.alive) socket.send(ALIVE);
  }

  async #setAlarm(): Promise<void> {
    await this.#ctx.storage.setAlarm(Date.now() + LOOK_EVERY_MS);
  }

  /** Sends all that there is. One at a time; asked for meanwhile, it looks once more. False when D1 did not answer. */
  async #send(): Promise<boolean> {
    if (this.#sending === null) this.#sending = this.#sendUntilQuiet();
    else this.#askedAgain = true;
    return this.#sending;
  }

  async #sendUntilQuiet(): Promise<boolean> {
    try {
      for (let failures = 0; ;) {
        this.#askedAgain = false;
        const failure = await this.#sendAll().then(() => null, describe);
        if (failure === null && !this.#askedAgain) return true;
        if (failure === null) continue;
        console.warn(JSON.stringify({ event: "wfe-watch-failed", run: this.#run, failure }));
        const pauseMs = RETRY_MS[failures];
        if (pauseMs === undefined) return false;
        failures += 1;
        await scheduler.wait(pauseMs);
      }
    } finally {
      // In the same turn as the last look at what was asked for: whoever asks from here on begins anew.
      this.#sending = null;
    }
  }

  /**
   * Page by page, until everybody has all. Who is furthest goes first, so that a long history of one keeps nobody else waiting; who waits
   * for a sequence that is still to come is not ahead of anybody.
   */
  async #sendAll(): Promise<void> {
    for (let tail = Number.POSITIVE_INFINITY; ;) {
      const places = this.#watchers().map(({ state }) => state.after);
      if (places.length === 0) return;
      const hindmost = Math.min(...places);
      const furthest = Math.max(hindmost, ...places.filter((after) => after <= tail));
      if (furthest !== hindmost) await this.#sendPage(furthest);
      const page = await this.#sendPage(hindmost);
      if (page.length < PAGE) return;
      ({ tail } = page);
    }
  }

  /** The page after a sequence, to those who have all up to it. Answers how many events it has, and the run's last sequence. */
  async #sendPage(after: number): Promise<{ length: number; tail: number }> {
    const workflowRunId = this.#run;
    const [found, tail] = await this.#store.read([
      {
        q: "page",
        of: "outboxEvents",
        workflowRunId,
        after: String(after),
        descending: false,
        limit: PAGE,
      },
      { q: "outboxTail", workflowRunId },
    ]);
    const rows = found.filter((row) => "sequence" in row);
    const messages = rows.map((row) => ({
      sequence: row.sequence,
      text: JSON.stringify(toOutboxRecord(row)),
    }));
    for (const watcher of this.#watchers()) {
      if (watcher.state.after >= after) deliver(watcher, messages);
    }
    return { length: rows.length, tail };
  }

  get #run(): string {
    const { name } = this.#ctx.id;
    if (name === undefined) throw new Error("A coordinator is addressed by its run's id");
    return name;
  }

  /** Those who are still there. */
  #watchers(): Watcher[] {
    return this.#ctx.getWebSockets().flatMap((socket) => {
      if (socket.readyState !== WebSocket.OPEN) return [];
      const parsed = attachment.safeParse(socket.deserializeAttachment());
      if (parsed.success) return [{ socket, state: parsed.data }];
      // Another version of this class wrote it. Its reader knows where it was.
      socket.close(RESUME, "resume");
      return [];
    });
  }
}

interface Message {
  readonly sequence: number;
  readonly text: string;
}

/** Sends what it has not had, as far as its connection carries it. In one turn, so nothing is sent twice. */
function deliver({ socket, state }: Watcher, messages: readonly Message[]): void {
  let { after, events, units } = state;
  for (const { sequence, text } of messages) {
    if (sequence <= after) continue;
    if (events >= EVENTS_MAX || (events > 0 && units + text.length > UNITS_MAX)) {
      socket.close(RESUME, "resume");
      return;
    }
    socket.send(text);
    after = sequence;
    events += 1;
    units += text.length;
  }
  if (after > state.after) remember(socket, { ...state, after, events, units });
}

function remember(socket: WebSocket, state: Attachment): void {
  socket.serializeAttachment(state);
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
