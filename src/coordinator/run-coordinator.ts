/**
 * The coordinator: a Durable Object per run that lines up what competes on the run, so that claims and outbox
 * events meet D1 one after the other. It is there for order and speed only. Every guarantee is in the
 * commit's own guards, in D1: a coordinator may vanish, or exist twice, at any instant.
 * It also has the WebSockets of those who watch the run, and sends them its events as they come (see {@link Watchers}).
 * It stores nothing but an alarm while somebody watches, and starts with nothing to rebuild: the platform keeps the sockets.
 */
import { DurableObject } from "cloudflare:workers";
import { type Commit, type CommitOutcome, fromWire } from "../changes/index.ts";
import { type Envelope, ServiceError, toEnvelope } from "../contract/index.ts";
import { D1Store } from "../store/index.ts";
import { isClaim, runsWithEvents } from "./routing.ts";
import { Watchers } from "./watchers.ts";

export interface CoordinatorEnv {
  readonly DB: D1Database;
}

/** Who has waited so long for the commits before it gives up; D1 is stalling then. */
const WAIT_MS_MAX = 15_000;

/** A claim that others decided while it waited: the run was no longer PENDING before it returned. */
const LOST: CommitOutcome = { applied: false, violation: { guard: 0, actual: 0 } };

export class RunCoordinator extends DurableObject<CoordinatorEnv> {
  readonly #store: D1Store;
  readonly #watchers: Watchers;
  #last: Promise<void> = Promise.resolve();
  #claimsArrived = 0;
  /** Claims up to this one had arrived before D1 was asked and found the run claimed, or claimed it. */
  #claimsDecided = 0;

  constructor(state: DurableObjectState, env: CoordinatorEnv) {
    super(state, env);
    this.#store = new D1Store(env.DB);
    this.#watchers = new Watchers(state, this.#store);
  }

  /** One attempt at a commit, after those that came before. As `Store.attempt`, in an envelope. */
  async attempt(
    sent: Commit | ReadableStream,
    answerBytesMax?: number,
  ): Promise<Envelope<CommitOutcome>> {
    return toEnvelope(async () => {
      const commit = await fromWire(sent);
      const attempt = async () => this.#store.attempt(commit, answerBytesMax);
      if (isClaim(commit)) return this.#claim(attempt);
      try {
        return await this.#inTurn(attempt);
      } finally {
        // Also after an attempt that failed: what it wrote may have landed all the same.
        if (runsWithEvents(commit).length > 0) this.#watchers.tell();
      }
    });
  }

  /** There may be new events, by a commit that did not come this way. */
  async notify(): Promise<void> {
    this.#watchers.tell();
  }

  /** Takes the WebSocket of someone who watches the run: see {@link watchRequest}. */
  override async fetch(request: Request): Promise<Response> {
    return this.#watchers.accept(request);
  }

  /** Finds what nobody told of, as long as somebody watches. */
  override async alarm(): Promise<void> {
    await this.#watchers.lookAgain();
  }

  /** A Worker says that it has passed on what it was sent. */
  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    this.#watchers.hear(socket, message);
  }

  /** Answers at once; the platform alone would take its time. */
  override webSocketClose(socket: WebSocket): void {
    socket.close(1000);
    this.#watchers.madeRoom();
  }

  async #claim(attempt: () => Promise<CommitOutcome>): Promise<CommitOutcome> {
    this.#claimsArrived += 1;
    const ticket = this.#claimsArrived;
    return this.#inTurn(async () => {
      if (ticket <= this.#claimsDecided) return LOST;
      const arrived = this.#claimsArrived;
      const outcome = await attempt();
      // Won or lost, the run was not PENDING then, so whoever was waiting has lost. Who came later has not:
      // the run may have been created, or made PENDING again, after D1 looked.
      this.#claimsDecided = arrived;
      return outcome;
    });
  }

  async #inTurn(attempt: () => Promise<CommitOutcome>): Promise<CommitOutcome> {
    const before = this.#last;
    const { promise: done, resolve: finish } = Promise.withResolvers<void>();
    this.#last = before.then(() => done);
    try {
      await waitFor(before);
      return await attempt();
    } finally {
      finish();
    }
  }
}

async function waitFor(before: Promise<void>): Promise<void> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(
      new ServiceError("OVERLOADED", `Waited ${WAIT_MS_MAX} ms for earlier commits of the run`),
    );
  }, WAIT_MS_MAX);
  try {
    await Promise.race([before, late]);
  } finally {
    clearTimeout(timer);
  }
}
