/** What a test of a workflow has in its hands. Types alone. */
import type { Backend, LogLevel, Status } from "../../contract/index.ts";
import type { Awaitable, InlineContext, StageEnv } from "../../engine/context.ts";
import type { Duration } from "../../engine/duration.ts";
import type { Run, SignalNameOf, StartOptions } from "../../engine/runs.ts";
import type { OutputOf, OutputsOf, SignalsOf, StagesOf, Workflow } from "../../engine/workflow.ts";

/**
 * Stands in for a stage: gets what the stage would get, and gives what the stage gives. `Takes` has the
 * types of its input and config, `Outs` those of the outputs that it can read.
 * @example
 * type Takes = { readonly input: { text: string }; readonly config: undefined };
 * const fake: StageFake<Takes, { urls: string[] }> = ({ input }) => ({ urls: [input.text] });
 */
export type StageFake<Takes, Out, Outs = unknown> = (
  context: Omit<InlineContext<unknown, Outs>, keyof Takes> & Takes,
) => Awaitable<Exclude<Out, undefined> | (null extends Out ? void : never)>;

/**
 * Fakes by the ids of the stages that they replace. A stage's retries, timeout, condition, input and
 * config stay as they are.
 * @example
 * import * as z from "zod";
 * import { workflow } from "workflow-engine-cloudflare/engine";
 *
 * const reads = workflow("reads", { input: z.object({ url: z.string() }) })
 *   .stage("links", async ({ input }) => ({ urls: [input.url] }))
 *   .build();
 * const fakes: StageFakes<typeof reads> = { links: ({ input }) => ({ urls: [input.url, "b"] }) };
 */
export type StageFakes<W extends Workflow> = {
  readonly [K in keyof StagesOf<W>]?: StageFake<
    StagesOf<W>[K],
    K extends keyof OutputsOf<W> ? OutputsOf<W>[K] : never,
    OutputsOf<W>
  >;
};

/**
 * How a run is tested, beside what it is started with.
 * @example
 * const options: TestRunOptions<Workflow> = { now: 0, crash: "everywhere" };
 */
export interface TestRunOptions<W extends Workflow> extends StartOptions<W> {
  /** The instant at which the run is started. Default: the machine's. */
  readonly now?: number | Date;
  /** What stages get as `env`. Default: nothing. */
  readonly env?: { readonly [K in keyof StageEnv]?: StageEnv[K] };
  readonly stages?: StageFakes<W>;
  readonly crash?: "everywhere";
  /**
   * Drives the run: with `crash`, each of the runs. Each is then taken to its end. A workflow that
   * waits for a signal needs one that sends it, or lets the time pass.
   */
  readonly script?: (t: TestRun<W>) => Promise<void>;
}

/**
 * An event of the run.
 * @example
 * const isDone = ({ type, stage }: TestEvent) => type === "stage:completed" && stage === "draft";
 */
export interface TestEvent {
  readonly type: string;
  /** The stage's id; null for an event of the run itself. */
  readonly stage: string | null;
  /** Milliseconds. */
  readonly at: number;
  readonly payload: Readonly<Record<string, unknown>>;
}

/**
 * A stage that the run has come to.
 * @example
 * const isTriedAgain = ({ attempt }: TestStage) => attempt > 1;
 */
export interface TestStage {
  readonly id: string;
  readonly status: Status;
  readonly attempt: number;
  /** Undefined while it has given nothing. */
  readonly output: unknown;
  /** The reason of its last failure; null for none. */
  readonly error: string | null;
}

/**
 * What a stage, or the engine, has logged.
 * @example
 * const isWarning = ({ level }: TestLog) => level === "WARN";
 */
export interface TestLog {
  /** The stage's id; null for a log of the run itself, or of a stage that was run again since. */
  readonly stage: string | null;
  readonly level: LogLevel;
  readonly message: string;
  /** Undefined for none. */
  readonly data: unknown;
}

/**
 * A run under test. Time stands still but for `until`, `advance` and `output`, which let it pass at
 * once: what becomes due on the way happens at its instant, in order.
 * @example
 * const cancelled = async (t: TestRun<Workflow<null, number, { publish: number }>>) => {
 *   await t.until("publish");
 *   await t.run.cancel();
 * };
 */
export interface TestRun<W extends Workflow> {
  /**
   * Steers and reads the run, as in production. What takes its job away from a stage that is running,
   * such as a cancel, aborts the stage's `signal` at once.
   */
  readonly run: Run<W>;
  /** Everything else that the run leaves behind: annotations, artifacts, AI calls, and the audit. */
  readonly backend: Backend;
  /** The instant to which time has passed, in milliseconds. */
  readonly now: number;
  /** So far, in order. */
  readonly events: readonly TestEvent[];
  /** Those that the run has come to, in the order of the workflow. */
  readonly stages: readonly TestStage[];
  readonly logs: readonly TestLog[];
  /** With `crash`, the runs in which a worker died or an answer was lost; otherwise 0. */
  readonly deaths: number;
  /**
   * Takes the run on until the stage is about to run, or the wait or sleep has begun. The stage runs
   * with the next call of `until`, `advance` or `output`. Passes any time but that of a wait for a
   * signal.
   * @throws Error when the stage is skipped, or the run ends first, is paused, or waits for a signal.
   */
  until(id: keyof OutputsOf<W> & string): Promise<void>;
  /** Lets this much time pass, and everything happen that becomes due in it. */
  advance(time: Duration): Promise<void>;
  /** Sends a signal, now. */
  signal<K extends SignalNameOf<W>>(
    name: K,
    payload: SignalsOf<W>[K & keyof SignalsOf<W>],
    options?: { readonly key?: string },
  ): Promise<void>;
  /**
   * Takes the run to its end, and answers what it gives. Passes any time but that of a wait for a
   * signal.
   * @throws Error with the reason when the run fails or is cancelled, with the stage that failed and
   * what it threw as its cause; when the run is paused; when it waits for a signal.
   */
  output(): Promise<OutputOf<W>>;
}
