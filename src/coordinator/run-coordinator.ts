/**
 * The coordinator: a Durable Object for each run that lines up what competes on the run, so that
 * claims and outbox events meet D1 one after the other. It is there for order and speed only. Every
 * guarantee is in the commit's own guards, in D1; a coordinator may vanish, or exist twice, at any
 * time.
 *
 * It also keeps the WebSockets of those that watch the run, and sends them the run's events (see
 * {@link Watchers}). It stores nothing but an alarm while somebody watches, and has nothing to
 * rebuild when it starts: the platform keeps the sockets.
 */
import { DurableObject } from "cloudflare:workers";
import { type Commit, type CommitOutcome, fromWire } from "../changes/index.ts";
import { type Envelope, ServiceError, toEnvelope } from "../contract/index.ts";
import { unlessLate } from "../model/index.ts";
import { D1Store } from "../store/index.ts";
import { isClaim, runsWithEvents } from "./routing.ts";
import { Watchers } from "./watchers.ts";

export interface CoordinatorEnv {
  readonly DB: D1Database;
}

/** Longest wait in line before OVERLOADED. When it is reached, D1 is stalling. */
const WAIT_MS_MAX = 15_000;

/**
 * The outcome of a claim that others decided while it waited: before it returned, the run was no
 * longer PENDING.
 */
const LOST: CommitOutcome = { applied: false, violation: { guard: 0, actual: 0 } };

/**
 * The Durable Object class that a Worker with the engine in it exports and binds as `RUNS`. Only
 * this package calls it.
 * @example
 * export { RunCoordinator } from "workflow-engine-cloudflare";
 * // wrangler.toml: name = "RUNS", class_name = "RunCoordinator"
 */
export class RunCoordinator extends DurableObject<CoordinatorEnv> {
  readonly #store: D1Store;
  readonly #watchers: Watchers;
  #last: Promise<void> = Promise.resolve();
  #claimsArrived = 0;
  /**
   * Claims up to this one had arrived before D1 was asked and found the run claimed, or claimed it.
   * All of them lost.
   */
  #claimsDecided = 0;

  constructor(state: DurableObjectState, env: CoordinatorEnv) {
    super(state, env);
    this.#store = new D1Store(env.DB);
    this.#watchers = new Watchers(state, this.#store);
  }

  /**
   * One attempt at a commit, after those that came before it. As `Store.attempt`, in an envelope.
   */
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
        // Also after an attempt that failed: its events may have landed all the same.
        if (runsWithEvents(commit).length > 0) this.#watchers.tell();
      }
    });
  }

  /** There may be new events, by a commit that did not come this way. */
  async notify(): Promise<void> {
    this.#watchers.tell();
  }

  /** Takes the WebSocket of a reader that watches the run: see {@link watchRequest}. */
  override async fetch(request: Request): Promise<Response> {
    return this.#watchers.accept(request);
  }

  /** While there are readers, looks for events that no hint announced. */
  override async alarm(): Promise<void> {
    await this.#watchers.lookAgain();
  }

  /** A Worker says that it has passed on what it was sent. */
  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    this.#watchers.hear(socket, message);
  }

  /** Closes this end immediately; the platform would wait. */
  override webSocketClose(socket: WebSocket): void {
    socket.close(1000);
    this.#watchers.roomFreed();
  }

  async #claim(attempt: () => Promise<CommitOutcome>): Promise<CommitOutcome> {
    this.#claimsArrived += 1;
    const ticket = this.#claimsArrived;
    return this.#inTurn(async () => {
      if (ticket <= this.#claimsDecided) return LOST;
      const arrived = this.#claimsArrived;
      const outcome = await attempt();
      // Won or lost, the run was not PENDING then. So all claims that were waiting have lost. Later
      // ones have not: the run may have been created, or made PENDING again, after D1 looked.
      this.#claimsDecided = arrived;
      return outcome;
    });
  }

  /** Runs the attempt after the one before it has ended, however that ended. */
  async #inTurn(attempt: () => Promise<CommitOutcome>): Promise<CommitOutcome> {
    const before = this.#last;
    const { promise: done, resolve: finish } = Promise.withResolvers<void>();
    this.#last = before.then(() => done);
    try {
      await unlessLate(before, WAIT_MS_MAX, stalling);
      return await attempt();
    } finally {
      finish();
    }
  }
}

function stalling(): ServiceError {
  return new ServiceError("OVERLOADED", `Waited ${WAIT_MS_MAX} ms for earlier commits of the run`);
}
