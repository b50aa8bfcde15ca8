/** Watching a run for tests: a WebSocket to its coordinator, and what came over it. */
import type { Watch } from "../../src/coordinator/watch-protocol.ts";
import { PASSED_ON, PASSED_ON_UNITS, watchRequest } from "../../src/coordinator/index.ts";
import { env } from "../support/env.ts";

export interface WatchedEvent {
  readonly sequence: number;
  readonly eventType: string;
  readonly payload: unknown;
}

type Fetcher = (request: Request) => Promise<Response>;

export class Watching {
  readonly socket: WebSocket;
  readonly texts: string[] = [];
  /** The code with which it was closed. */
  closed: number | null = null;
  #changed = Promise.withResolvers<void>();

  /** Opens a watch on the run's real coordinator, or on the given one, and acts as a Worker does that passes everything on at once. */
  static async open(
    runId: string,
    watch: Partial<Watch> = {},
    fetch: Fetcher = (request) => env.RUNS.getByName(runId).fetch(request),
  ): Promise<Watching> {
    const request = watchRequest({ after: 0, ...watch });
    const { status, webSocket } = await fetch(request);
    if (webSocket === null) throw new Error(`no WebSocket: ${status}`);
    return new Watching(webSocket, PASSED_ON_UNITS);
  }

  /** One that never says that it has passed anything on. */
  static async silent(runId: string): Promise<Watching> {
    const { webSocket } = await env.RUNS.getByName(runId).fetch(watchRequest({ after: 0 }));
    if (webSocket === null) throw new Error("no WebSocket");
    return new Watching(webSocket);
  }

  /** Says that everything has been passed on when `saysAfter` UTF-16 units have come since it last did. */
  constructor(socket: WebSocket, saysAfter = Infinity) {
    this.socket = socket;
    let untold = 0;
    const tell = () => {
      this.#changed.resolve();
      this.#changed = Promise.withResolvers<void>();
    };
    socket.addEventListener("message", ({ data }) => {
      this.texts.push(String(data));
      untold += String(data).length;
      if (untold >= saysAfter) {
        untold = 0;
        socket.send(PASSED_ON);
      }
      tell();
    });
    socket.addEventListener("close", ({ code }) => {
      this.closed = code;
      tell();
    });
    socket.addEventListener("error", () => {
      this.closed ??= 1006;
      tell();
    });
    socket.accept();
  }

  get events(): WatchedEvent[] {
    return this.texts.flatMap((text) =>
      text.startsWith("{") ? [JSON.parse(text) as WatchedEvent] : [],
    );
  }

  get sequences(): number[] {
    return this.events.map(({ sequence }) => sequence);
  }

  /** Resolves as soon as it is so; the test's own time limit says that it never is. */
  async until(holds: (watching: Watching) => boolean): Promise<void> {
    while (!holds(this)) await this.#changed.promise;
  }

  /** Resolves when this many events have come, or the socket was closed. */
  async untilEvents(count: number): Promise<void> {
    await this.until(({ events, closed }) => events.length >= count || closed !== null);
  }
}
