/** How runs of a typed workflow are started and steered. Types alone; what runs workflows has them. */
import type { NameOf } from "./context.ts";
import type { Duration } from "./duration.ts";
import type {
  ConfigOf,
  InputOf,
  NeedsNoConfig,
  OutputOf,
  OutputsOf,
  SignalsOf,
  Workflow,
} from "./workflow.ts";

/** The names of the signals that a workflow waits for. */
export type SignalNameOf<W extends Workflow> = NameOf<
  SignalsOf<W>,
  "The workflow waits for no signal"
>;

/**
 * What a run can be started with, beside its input.
 * @example
 * const options: StartOptions<Workflow> = { key: "doc-42", priority: 7 };
 */
export interface StartOptions<W extends Workflow> {
  /**
   * A second start with the same key answers the same run, if input and config are given as before: the
   * order of members does not count, nor do a schema's defaults. With another input or config:
   * ALREADY_EXISTS, with `field`.
   */
  readonly key?: string;
  /** Any whole number; default 5. Higher is served first. */
  readonly priority?: number;
  readonly config?: ConfigOf<W>;
}

/**
 * One run of a workflow.
 * @example
 * const cancelLate = async <W extends Workflow>(run: Run<W>) => {
 *   await run.cancel("not needed any more");
 * };
 */
export interface Run<W extends Workflow> {
  readonly id: string;
  /**
   * Gives a wait of the workflow its payload: before, during or after. It counts once per key,
   * also after a rerun: a wait that runs again needs another key, or none.
   */
  signal<K extends SignalNameOf<W>>(
    name: K,
    payload: SignalsOf<W>[K & keyof SignalsOf<W>],
    options?: { readonly key?: string },
  ): Promise<void>;
  /** What the run gave, when it has ended; that it is not over, when `within` is. */
  output(options?: { readonly within?: Duration }): Promise<RunOutput<OutputOf<W>>>;
  /** What one stage gave; undefined while it has not, and when it was skipped. */
  outputOf<K extends keyof OutputsOf<W> & string>(id: K): Promise<OutputsOf<W>[K] | undefined>;
  /** Runs again from this stage on. What earlier tries gave stays readable. */
  rerun(options: { readonly from: keyof OutputsOf<W> & string }): Promise<void>;
  cancel(reason?: string): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
}

/**
 * How a run ended, or that it has not yet.
 * @example
 * const valueOf = <Out>(output: RunOutput<Out>) =>
 *   output.status === "COMPLETED" ? output.value : null;
 */
export type RunOutput<Out> =
  | { readonly status: "COMPLETED"; readonly value: Out }
  /** `stage`: the id of the stage that failed; null where none did, or nobody has told. */
  | { readonly status: "FAILED"; readonly reason: string; readonly stage: string | null }
  | { readonly status: "CANCELLED"; readonly reason: string }
  | { readonly status: "PENDING" | "RUNNING" | "SUSPENDED" };

/**
 * The runs of all workflows.
 * @example
 * const startOnce = async (runs: Runs, hello: Workflow<{ name: string }>) =>
 *   runs.start(hello, { name: "Ada" }, { key: "ada" });
 */
export interface Runs {
  /** Without options: a workflow whose stages' configs have defaults for all that they need. */
  start<W extends Workflow>(workflow: W & NeedsNoConfig<W>, input: InputOf<W>): Promise<Run<W>>;
  start<W extends Workflow>(
    workflow: W,
    input: InputOf<W>,
    options: StartOptions<W> | undefined,
  ): Promise<Run<W>>;
  get<W extends Workflow>(workflow: W, id: string): Run<W>;
}
