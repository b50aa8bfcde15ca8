/** The store behind a service binding. */
import {
  type Commit,
  type CommitOutcome,
  fromWire,
  type Settlement,
  type Store,
  toWire,
} from "../changes/index.ts";
import { messageOf, withDeadline } from "../model/index.ts";
import { type AnyResult, type Query, type ResultsOf } from "../queries/index.ts";
import { type Envelope, fromEnvelope, ServiceError } from "../contract/index.ts";
import { type ClockReading, monotonic, RemoteClock } from "./remote-clock.ts";

/**
 * The session that `WorkflowEngine.open()` answers, as a caller sees it. Every method answers an
 * envelope.
 * @example
 * const session: EngineSessionStub = await env.WORKFLOWS.open();
 * const envelope = await session.now();
 * if (envelope.ok) console.log(new Date(envelope.value));
 */
export interface EngineSessionStub {
  now(): Promise<Envelope<number>>;
  /** Answers too large for one message come as a stream of their JSON. */
  read(queries: readonly Query[]): Promise<Envelope<readonly AnyResult[] | ReadableStream>>;
  /** A commit too large for one message goes as a stream of its JSON. */
  attempt(commit: Commit | ReadableStream): Promise<Envelope<CommitOutcome>>;
  settle(commit: Commit | ReadableStream): Promise<Envelope<Settlement>>;
  /** Answers when the run has ended, or after this time. */
  whenOver?(workflowRunId: string, withinMs: number): Promise<Envelope<null>>;
}

/**
 * A service binding to the entrypoint `WorkflowEngine`, `WorkflowReader` or `WorkflowWorker`: the
 * type for `Env`.
 * @example
 * interface Env {
 *   WORKFLOWS: WorkflowEngineBinding;
 * }
 * const handle = async (env: Env) => connect(env.WORKFLOWS).persistence.getRunsByStatus("RUNNING");
 */
export interface WorkflowEngineBinding {
  open(): Promise<EngineSessionStub>;
}

/**
 * Calls in one session. A session is one invocation of the service, which may ask D1 1,000 times
 * (https://developers.cloudflare.com/d1/platform/limits/), and a call asks up to nine times.
 */
const SESSION_CALLS_MAX = 100;

/** Longer than the service waits for a coordinator, which is longer than that waits for D1. */
const DEADLINE_MS = 60_000;

export class RpcStore implements Store {
  readonly #binding: WorkflowEngineBinding;
  #session: Promise<EngineSessionStub> | null = null;
  #callsLeft = 0;
  readonly #clock = new RemoteClock(() => this.#readClock());

  constructor(binding: WorkflowEngineBinding) {
    this.#binding = binding;
  }

  async now(): Promise<number> {
    return this.#clock.now();
  }

  async #readClock(): Promise<ClockReading> {
    return this.#call(async (session) => {
      const askedAt = monotonic();
      const envelope = await session.now();
      const answeredAt = monotonic();
      return envelope.ok
        ? { ok: true, value: { now: envelope.value, askedAt, answeredAt } }
        : envelope;
    });
  }

  async read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    const results = await this.#call<readonly AnyResult[]>(async (session) => {
      const envelope = await session.read(queries);
      return envelope.ok ? { ok: true, value: await fromWire(envelope.value) } : envelope;
    });
    // The service answers in the order of the queries.
    return results as unknown as ResultsOf<Qs>;
  }

  async attempt(commit: Commit): Promise<CommitOutcome> {
    return this.#call((session) => session.attempt(toWire(commit)));
  }

  async settle(commit: Commit): Promise<Settlement> {
    return this.#call((session) => session.settle(toWire(commit)));
  }

  async whenOver(workflowRunId: string, withinMs: number): Promise<void> {
    await this.#call<null>(
      async (session) =>
        (await session.whenOver?.(workflowRunId, withinMs)) ?? { ok: true, value: null },
    );
  }

  /**
   * A call that throws, rather than answering an envelope, may or may not have been made:
   * UNAVAILABLE.
   */
  async #call<T>(call: (session: EngineSessionStub) => Promise<Envelope<T>>): Promise<T> {
    if (this.#callsLeft === 0) this.#session = null;
    if (this.#session === null) this.#callsLeft = SESSION_CALLS_MAX;
    this.#callsLeft -= 1;
    this.#session ??= (async () => this.#binding.open())();
    const opened = this.#session;
    let envelope: Envelope<T>;
    try {
      envelope = await withDeadline(
        opened.then((session) => call(session)),
        DEADLINE_MS,
        "The service",
      );
    } catch (error) {
      // A broken session stays broken; the next call opens another.
      if (this.#session === opened) this.#session = null;
      throw new ServiceError(
        "UNAVAILABLE",
        `The service did not answer: ${messageOf(error)}`,
        {},
        error,
      );
    }
    return fromEnvelope(envelope);
  }
}
