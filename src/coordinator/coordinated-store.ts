/**
 * The store over D1 and the coordinators: how every Worker with both bindings reaches its database.
 */
import {
  type Commit,
  type CommitOutcome,
  type Settlement,
  type Store,
  toWire,
} from "../changes/index.ts";
import { messageOf, sleep, withDeadline } from "../model/index.ts";
import { isLive } from "../model/status.ts";
import { type Query, type ResultsOf } from "../queries/index.ts";
import { type Envelope, fromEnvelope, ServiceError } from "../contract/index.ts";
import type { D1Store } from "../store/index.ts";
import { coordinatedRun, runsWithEvents } from "./routing.ts";
import { untilEnd } from "./run-end.ts";
import { watchRequest } from "./watch-protocol.ts";

/** A coordinator's stub, as far as it is used here. */
export interface CoordinatorStub {
  attempt(
    commit: Commit | ReadableStream,
    answerBytesMax?: number,
  ): Promise<Envelope<CommitOutcome>>;
  /**
   * Tells the coordinator that there may be events by a commit that went another way. Without it,
   * readers get them later.
   */
  notify?(): Promise<void>;
  /** Takes a WebSocket of a reader that watches the run. Without it, the run cannot be watched. */
  fetch?(request: Request): Promise<Response>;
}

/** The namespace of the Durable Object class `RunCoordinator`, as far as it is used here. */
export interface CoordinatorNamespace {
  getByName(name: string): CoordinatorStub;
}

/** Longer than a coordinator lets a commit wait for its turn and then for D1. */
const DEADLINE_MS = 40_000;
/**
 * After a coordinator has failed, commits of its run go straight to D1 for this long. They lose
 * nothing but order.
 */
const BYPASS_MS = 10_000;
/** Failed coordinators that are remembered. Beyond, all are forgotten and tried again. */
const BYPASSED_MAX = 1_000;
/** If a coordinator does not take a hint within this time, its alarm finds the events. */
const NOTIFY_DEADLINE_MS = 1_000;
/**
 * At most this many coordinators get a hint after one commit. An invocation may call 32 others.
 */
const NOTIFIED_MAX = 10;

/** A coordinator that does not take a watch within this time counts as away. */
const WATCH_DEADLINE_MS = 10_000;
/** Where a run cannot be watched, its caller looks again after this time. */
const LOOK_AGAIN_MS = 1_000;

export interface CoordinatedStoreOptions {
  /**
   * Keeps the invocation alive while coordinators are told of events. Without it, the caller of a
   * commit waits for that.
   */
  readonly waitUntil?: ((promise: Promise<unknown>) => void) | undefined;
  /** What the reads of a commit may answer together, in bytes: the bound of the store beneath. */
  readonly answerBytesMax?: number | undefined;
}

/**
 * Sends the commits that compete through their run's coordinator, and everything else straight to
 * D1. Of events by the latter it tells the coordinator if somebody watches the run.
 */
export class CoordinatedStore implements Store {
  readonly #direct: D1Store;
  readonly #runs: CoordinatorNamespace;
  readonly #bypassedUntil = new Map<string, number>();

  readonly #waitUntil: CoordinatedStoreOptions["waitUntil"];
  readonly #answerBytesMax: number | undefined;

  constructor(
    direct: D1Store,
    runs: CoordinatorNamespace,
    { waitUntil, answerBytesMax }: CoordinatedStoreOptions = {},
  ) {
    this.#direct = direct;
    this.#runs = runs;
    this.#waitUntil = waitUntil;
    this.#answerBytesMax = answerBytesMax;
  }

  async now(): Promise<number> {
    return this.#direct.now();
  }

  async read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    return this.#direct.read(queries);
  }

  async attempt(commit: Commit): Promise<CommitOutcome> {
    const run = coordinatedRun(commit);
    if (run === null || (this.#bypassedUntil.get(run) ?? 0) > Date.now()) {
      const { outcome, watched } = await this.#direct.attemptTelling(
        commit,
        runsWithEvents(commit),
      );
      await this.#notifyAll(watched);
      return outcome;
    }
    let envelope: Envelope<CommitOutcome>;
    try {
      // A stub that has thrown cannot be used again, so each attempt gets a new one.
      const attempt = this.#runs.getByName(run).attempt(toWire(commit), this.#answerBytesMax);
      envelope = await withDeadline(attempt, DEADLINE_MS, "The coordinator");
    } catch (error) {
      if (this.#bypassedUntil.size >= BYPASSED_MAX) this.#bypassedUntil.clear();
      this.#bypassedUntil.set(run, Date.now() + BYPASS_MS);
      throw new ServiceError(
        "UNAVAILABLE",
        `The coordinator of run ${run} did not answer`,
        {},
        error,
      );
    }
    return fromEnvelope(envelope);
  }

  async settle(commit: Commit): Promise<Settlement> {
    const settlement = await this.#direct.settle(commit);
    // The answer that told which of them are watched was lost.
    if (settlement === "applied") await this.#notifyAll(runsWithEvents(commit));
    return settlement;
  }

  /** A coordinator that cannot be watched tells nothing: then the time passes. */
  async whenOver(workflowRunId: string, withinMs: number): Promise<void> {
    const [after, status] = await this.#direct.read([
      { q: "outboxTail", workflowRunId },
      { q: "runStatus", id: workflowRunId },
    ]);
    if (status === null || !isLive({ status })) return;
    const watch = this.#runs.getByName(workflowRunId).fetch?.(watchRequest({ after }));
    const answer =
      watch === undefined ? null : await withDeadline(watch, WATCH_DEADLINE_MS, "The coordinator");
    const socket = answer?.webSocket ?? null;
    if (socket === null) await sleep(Math.min(withinMs, LOOK_AGAIN_MS));
    else await untilEnd(socket, withinMs);
  }

  /**
   * Sends a hint to the coordinators of these runs, which got events. The commit has landed, even if
   * a hint fails.
   */
  async #notifyAll(runs: readonly string[]): Promise<void> {
    if (runs.length === 0) return;
    const told = Promise.all(runs.slice(0, NOTIFIED_MAX).map((run) => this.#notify(run)));
    if (this.#waitUntil === undefined) await told;
    else this.#waitUntil(told);
  }

  async #notify(run: string): Promise<void> {
    try {
      const told = this.#runs.getByName(run).notify?.();
      if (told !== undefined) await withDeadline(told, NOTIFY_DEADLINE_MS, "The coordinator");
    } catch (error) {
      const failure = messageOf(error);
      console.warn(JSON.stringify({ event: "wfe-notify-failed", run, failure }));
    }
  }
}
