/** What a stage's function is given. Types alone: what runs stages makes the values. */
import type { CreateAICallInput, LogLevel } from "../contract/index.ts";
import type { Duration } from "./duration.ts";
import type { MARK } from "./failure.ts";
import type { Kept, Storable } from "./json-types.ts";

declare global {
  // The platform's own name for what a Worker's environment holds. Interfaces merge, so this is the
  // type that `wrangler types` writes, and empty where there is none, as in a test under Node.
  namespace Cloudflare {
    interface Env {}
  }
}

/**
 * The bindings, variables and secrets of the Worker in which a stage runs: `Cloudflare.Env`, which
 * `wrangler types` writes. Without it, declare the members that stages use.
 * @example
 * declare global {
 *   namespace Cloudflare {
 *     interface Env {
 *       readonly MODEL_KEY: string;
 *     }
 *   }
 * }
 * export const keyOf = (env: StageEnv) => env.MODEL_KEY;
 */
export type StageEnv = Cloudflare.Env;

/** A value, or a promise of it. */
export type Awaitable<T> = T | Promise<T>;

/**
 * A call of a model, as a stage records it. Costs are in the caller's own unit. One that names its
 * `batchId` and its `requestId` counts once, however many tries record it: a request of a batch has one
 * result, the first that is recorded. Any other counts each time.
 * @example
 * const call: StageAICall = { model: "small", inputTokens: 1200, outputTokens: 80, cost: 0.004 };
 */
export interface StageAICall extends Partial<
  Pick<CreateAICallInput, "callType" | "prompt" | "response" | "metadata" | "batchId" | "requestId">
> {
  readonly model: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cost: number;
}

/**
 * What every stage's function gets. What it says of itself (`log`, `annotate`, `artifacts.save`,
 * `ai.record`) travels with its outcome and is stored in the same commit, also when it fails;
 * `once` and `progress` are stored at once.
 * @example
 * const hello = (context: StageContext<{ name: string }>) => {
 *   context.log(`attempt ${context.attempt}`, { run: context.run.id });
 *   return { text: `Hello ${context.input.name}` };
 * };
 */
export interface StageContext<In, Config = undefined> {
  /** What comes before the stage gave; for the first one, the run's input. */
  readonly input: In;
  /** As the stage's schema makes it of what the run was started with; undefined without a schema. */
  readonly config: Config;
  readonly env: StageEnv;
  readonly run: {
    readonly id: string;
    readonly workflowId: string;
    /** The version with which the run was started. */
    readonly version: number;
  };
  /** 1 for the first try; a retry and a rerun each add 1. */
  readonly attempt: number;
  /** Aborted when the run is cancelled, the time is up, or the result would not be taken any more. */
  readonly signal: AbortSignal;
  /**
   * The same text in every try of this stage of this run, and no other's: hand it to a service that
   * takes an idempotency key, and a stage that is tried again has its effect there once. A rerun
   * has another: it was asked for to do the work again.
   */
  readonly idempotencyKey: string;
  /**
   * `data` is what JSON keeps; an error, as the data or as a member of it, is stored as its name,
   * message, stack and causes.
   */
  readonly log: (message: string, data?: unknown, level?: LogLevel) => void;
  readonly annotate: (key: string, value: unknown) => void;
  /** How far the stage has come, for those that watch the run. Kept at most once a second. */
  readonly progress: (done: number, total?: number) => void;
  /**
   * Does the work, and remembers its result under the key for every later try of the stage: a retry
   * gets that result and does not do the work again; a rerun does. The work is also done again if
   * the try ends after it and before its result is stored. Work that asks for its own key waits for
   * itself, until the time of the try is up.
   */
  readonly once: <Work extends () => unknown>(
    key: string,
    work: Work & Storable<Awaited<ReturnType<Work>>, "result">,
  ) => Promise<Kept<Awaited<ReturnType<Work>>>>;
  readonly artifacts: {
    save(key: string, data: unknown, metadata?: unknown): void;
    /** An artifact of this run, also one that this try has saved; null for none. */
    load(key: string): Promise<unknown>;
  };
  readonly ai: { record(call: StageAICall): void };
}

/** The names of members; where there are none, a text for the compiler to say so. */
export type NameOf<T, None extends string> = [keyof T] extends [never] ? None : keyof T & string;

/** Reads what earlier stages of the workflow gave, by their ids. Each call reads one. */
export type ReadOutput<Outs> = <K extends NameOf<Outs, "No stage comes before this one">>(
  id: K,
) => Promise<Outs[K & keyof Outs]>;

/**
 * What a function gets that is written where it stands in a workflow. It knows what comes before.
 * @example
 * const title = async ({ output }: InlineContext<null, { extract: { title: string } }>) =>
 *   (await output("extract")).title;
 */
export interface InlineContext<In, Outs> extends StageContext<In> {
  /** Undefined for a stage that was skipped, where the workflow has it behind a condition. */
  readonly output: ReadOutput<Outs>;
}

/**
 * What decides before a stage, such as `stageIf`'s condition, gets.
 * @example
 * const isLong = ({ input }: DecisionContext<{ pages: number }, object>) => input.pages > 100;
 */
export interface DecisionContext<In, Outs> {
  readonly input: In;
  readonly output: ReadOutput<Outs>;
}

/**
 * A stage's answer that it is not done: it waits, with no code running, until it is polled.
 * `suspend` makes it.
 * @example
 * const state = (answer: Suspended<{ batch: string }>) => answer.state.batch;
 */
export interface Suspended<State> {
  readonly [MARK]: "suspended";
  readonly state: State;
  readonly pollInMs: number;
  readonly withinMs: number;
}

/**
 * A poll's answer that what the stage waits for is not there yet. `notReady` makes it.
 * @example
 * const again = (answer: NotReady) => answer.pollInMs ?? "as before";
 */
export interface NotReady {
  readonly [MARK]: "not-ready";
  /** Null: as long as before. */
  readonly pollInMs: number | null;
}

/**
 * What the `run` of a {@link stage} gets.
 * @example
 * const submit = ({ suspend }: RunContext<{ text: string }>) =>
 *   suspend({ batch: "b-7" }, { pollIn: "1m", within: "1d" });
 */
export interface RunContext<In, Config = undefined> extends StageContext<In, Config> {
  /**
   * What `run` returns to wait: the state is stored and given to `poll` after `pollIn`. After
   * `within` the stage fails.
   */
  readonly suspend: <State>(
    state: State & Storable<State, "state">,
    how: { readonly pollIn: Duration; readonly within: Duration },
  ) => Suspended<State>;
}

/**
 * What the `poll` of a {@link stage} gets.
 * @example
 * const wait = ({ notReady }: PollContext<{ text: string }>) => notReady({ pollIn: "5m" });
 */
export interface PollContext<In, Config = undefined> extends StageContext<In, Config> {
  /** What `poll` returns to be asked again, after the same pause or another one. */
  readonly notReady: (how?: { readonly pollIn?: Duration }) => NotReady;
}

/** What a function gives to the stage after it: its return without the answers that mean "later". */
export type Given<Returned> = Kept<Exclude<Awaited<Returned>, Suspended<unknown> | NotReady>>;
