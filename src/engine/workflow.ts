/** A workflow: stages in a chain, whose types fit one another. */
import type { Awaitable, DecisionContext } from "./context.ts";
import { Chain, type ChainOptions } from "./chain.ts";
import type { Definition } from "./definition.ts";
import type { Duration } from "./duration.ts";
import type { ConfigIn, ConfigsIn, Fits, FitsAll, Fresh, Inline, OutOf } from "./fit.ts";
import type { Plain, Storable } from "./json-types.ts";
import type { Stage, StageOptions } from "./stage.ts";
import type { SchemaIn, SchemaOut, StandardSchema } from "./standard-schema.ts";

/**
 * A workflow that was built: what it does, and the types of all that goes in and comes out.
 * `InputOf` and its siblings name them.
 * @example
 * const about = ({ id, version, shape }: Workflow) => `${id} ${version} (${shape})`;
 */
export interface Workflow<
  In = unknown,
  Out = unknown,
  Outs = unknown,
  Signals = unknown,
  Config = unknown,
> extends Definition {
  /** Undefined at run time: it tells the compiler the types. */
  readonly "~types":
    | {
        readonly input: In;
        readonly output: Out;
        readonly outputs: Outs;
        readonly signals: Signals;
        readonly config: Config;
      }
    | undefined;
}

type TypesOf<W extends Workflow> = NonNullable<W["~types"]>;
/**
 * What starts a run of the workflow. A member with a default may be left out.
 * @example
 * import * as z from "zod";
 *
 * const hello = workflow("hello", { input: z.object({ name: z.string() }) })
 *   .stage("greet", ({ input }) => `Hello ${input.name}`)
 *   .build();
 * const input: InputOf<typeof hello> = { name: "Ada" };
 */
export type InputOf<W extends Workflow> = TypesOf<W>["input"];
/**
 * What a run of the workflow gives.
 * @example
 * import * as z from "zod";
 *
 * const hello = workflow("hello", { input: z.object({ name: z.string() }) })
 *   .stage("greet", ({ input }) => `Hello ${input.name}`)
 *   .build();
 * const output: OutputOf<typeof hello> = "Hello Ada";
 */
export type OutputOf<W extends Workflow> = TypesOf<W>["output"];
/**
 * What each stage of the workflow gives, by its id.
 * @example
 * import * as z from "zod";
 *
 * const hello = workflow("hello", { input: z.object({ name: z.string() }) })
 *   .stage("greet", ({ input }) => `Hello ${input.name}`)
 *   .build();
 * const stageId: keyof OutputsOf<typeof hello> = "greet";
 */
export type OutputsOf<W extends Workflow> = TypesOf<W>["outputs"];
/**
 * The payloads of the signals that the workflow waits for, by name.
 * @example
 * import * as z from "zod";
 *
 * const asks = workflow("asks", { input: z.null() })
 *   .waitFor("approval", { payload: z.object({ ok: z.boolean() }), within: "3d" })
 *   .build();
 * const approval: SignalsOf<typeof asks>["approval"] = { ok: true };
 */
export type SignalsOf<W extends Workflow> = TypesOf<W>["signals"];

type DeepPartial<T> = T extends Plain | readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: DeepPartial<T[K]> }
    : T;

/** Of no known config anything; of none at all nothing. */
type ConfigGiven<Config> = unknown extends Config
  ? { readonly [stageId: string]: unknown }
  : [keyof Config] extends [never]
    ? { readonly [stageId: string]: never }
    : DeepPartial<Config>;

/**
 * What a run can be started with beside its input: for each stage that has a config, any part of it.
 * The stage's schema fills in the rest, or refuses the start.
 * @example
 * import * as z from "zod";
 *
 * const write = stage({
 *   config: z.object({ model: z.string().default("small"), words: z.number().default(100) }),
 *   run: ({ config }) => `${config.model} ${config.words}`,
 * });
 * const draft = workflow("draft", { input: z.null() }).stage("write", write).build();
 * const config: ConfigOf<typeof draft> = { write: { model: "big" } };
 */
export type ConfigOf<W extends Workflow> = ConfigGiven<TypesOf<W>["config"]>;

/**
 * What a wait gives: the signal's payload, or that none came within its time.
 * @example
 * const isApproved = (waited: Waited<{ ok: boolean }>) => waited.received && waited.payload.ok;
 */
export type Waited<Payload> =
  | { readonly received: true; readonly payload: Payload }
  | { readonly received: false };

type Add<Outs, K extends string, Out> = Outs & { readonly [P in K]: Out };
type Show<T> = { [K in keyof T]: T[K] } & {};

/**
 * A workflow that is being put together. Each method answers a new builder, and the one that it was
 * called on stays as it was. `Cur` is what the next stage gets, `Outs` what can be read by id.
 * All methods throw INVALID_ARGUMENT where the compiler could not see what is wrong: `details` has
 * the `field`, the `limit`, and the `stage`.
 * @example
 * import * as z from "zod";
 *
 * const started = workflow("hello", { input: z.object({ name: z.string() }) });
 * const short = started.stage("greet", ({ input }) => `Hello ${input.name}`).build();
 * const long = started.sleep("night", "8h").stage("greet", () => "Good morning").build();
 */
export interface WorkflowBuilder<In, Cur, Outs, Signals, Config> {
  /**
   * The next stage: a plain function, or one made by `stage`. Options that are given here go before
   * the stage's own.
   */
  stage<K extends string, S extends Stage | Inline<Cur, Outs>>(
    id: Fresh<K, Outs>,
    step: S & Fits<S, Cur, K>,
    options?: StageOptions,
  ): WorkflowBuilder<In, OutOf<S>, Add<Outs, K, OutOf<S>>, Signals, Config & ConfigIn<K, S>>;

  /**
   * The next stage, if `when` says so. Otherwise it is SKIPPED: what came before it goes on, and its
   * own output is undefined.
   */
  stageIf<K extends string, S extends Stage | Inline<Cur, Outs>>(
    id: Fresh<K, Outs>,
    when: (context: DecisionContext<Cur, Outs>) => Awaitable<boolean>,
    step: S & Fits<S, Cur, K>,
    options?: StageOptions,
  ): WorkflowBuilder<
    In,
    OutOf<S> | Cur,
    Add<Outs, K, OutOf<S> | undefined>,
    Signals,
    Config & ConfigIn<K, S>
  >;

  /** Stages side by side, 200 at most. The next stage gets their outputs by id. */
  parallel<G extends { readonly [id: string]: Stage | Inline<Cur, Outs> }>(
    group: G & FitsAll<G, Cur, Outs>,
  ): WorkflowBuilder<
    In,
    { [K in keyof G]: OutOf<G[K]> },
    Outs & { readonly [K in keyof G]: OutOf<G[K]> },
    Signals,
    Config & ConfigsIn<G>
  >;

  /**
   * Waits for the signal with this name, with no code running. A signal that came before counts. When
   * none comes `within` the time, the next stage is told so.
   */
  waitFor<K extends string, P extends StandardSchema>(
    id: Fresh<K, Outs>,
    options: { readonly payload: P; readonly within: Duration } & Storable<SchemaOut<P>, "payload">,
  ): WorkflowBuilder<
    In,
    Waited<SchemaOut<P>>,
    Add<Outs, K, Waited<SchemaOut<P>>>,
    Signals & { readonly [P2 in K]: SchemaIn<P> },
    Config
  >;

  /** Waits for a time, or for as long as the function says then. What came before it goes on. */
  sleep<K extends string>(
    id: Fresh<K, Outs>,
    how: Duration | ((context: DecisionContext<Cur, Outs>) => Awaitable<Duration>),
  ): WorkflowBuilder<In, Cur, Add<Outs, K, null>, Signals, Config>;

  /** The workflow. What the last stage gives is what a run gives. */
  build(): Workflow<In, Cur, Show<Outs>, Show<Signals>, Show<Config>>;
}

/**
 * What a workflow is defined with.
 * @example
 * import * as z from "zod";
 *
 * const schema = z.object({ markdown: z.string() });
 * const options: WorkflowOptions<typeof schema> = { input: schema, version: 2, name: "Documents" };
 */
export interface WorkflowOptions<I extends StandardSchema> extends ChainOptions {
  /** Validates and completes what starts a run. */
  readonly input: I;
  /**
   * A whole number from 1, and the default. Raise it with each change of the ids, kinds or order of
   * the stages.
   */
  readonly version?: number;
  /** For people. Default: the id. */
  readonly name?: string;
  /**
   * True: the events of its runs wait in the outbox until something publishes them. Default: nobody
   * does; they can be read and watched, and cost a row each.
   */
  readonly publish?: boolean;
  /**
   * Earlier versions whose runs are not over. A run goes on with the newest definition of the shape
   * that it was started with; a run whose shape no definition has fails with that reason.
   */
  readonly previous?: readonly Workflow[];
}

/**
 * Begins the definition of a workflow. It imports nothing of the platform, so it can be defined and
 * tested in plain Node.
 * @throws INVALID_ARGUMENT with `field`.
 * @example
 * import * as z from "zod";
 *
 * export const documents = workflow("documents", { input: z.object({ markdown: z.string() }) })
 *   .stage("extract", ({ input }) => ({ sections: input.markdown.split("\n\n") }))
 *   .parallel({
 *     links: ({ input }) => input.sections.filter((text) => text.includes("https://")),
 *     words: ({ input }) => input.sections.map((text) => text.split(" ").length),
 *   })
 *   .waitFor("approval", { payload: z.object({ ok: z.boolean() }), within: "3d" })
 *   .stage("publish", async ({ input, output }) => {
 *     const { sections } = await output("extract");
 *     return input.received && input.payload.ok ? { published: sections.length } : null;
 *   })
 *   .build();
 */
export function workflow<I extends StandardSchema>(
  id: string,
  options: WorkflowOptions<I> & Storable<SchemaOut<I>, "input">,
): WorkflowBuilder<SchemaIn<I>, SchemaOut<I>, {}, {}, {}>;
export function workflow(id: string, options: ChainOptions): Chain {
  return Chain.of(id, options);
}
