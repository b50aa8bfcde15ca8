/** A workflow: stages in a chain, whose types fit one another. */
import type { Awaitable, DecisionContext } from "./context.ts";
import { Chain, type ChainOptions } from "./chain.ts";
import type { Definition } from "./definition.ts";
import type { Duration } from "./duration.ts";
import type { ConfigIn, ConfigsIn, Fits, FitsAll, Fresh, Inline, OutOf, TakesOf } from "./fit.ts";
import type { Problem, StorableBy } from "./json-types.ts";
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
  Stages = unknown,
> extends Definition {
  /** Undefined at run time: it tells the compiler the types. */
  readonly "~types":
    | {
        readonly input: In;
        readonly output: Out;
        readonly outputs: Outs;
        readonly signals: Signals;
        readonly config: Config;
        readonly stages: Stages;
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

/** Of no known config anything; of none at all nothing. */
type ConfigGiven<Config> = unknown extends Config
  ? { readonly [stageId: string]: unknown }
  : [keyof Config] extends [never]
    ? { readonly [stageId: string]: never }
    : Show<
        { readonly [K in keyof Config as {} extends Config[K] ? K : never]?: Config[K] } & {
          readonly [K in keyof Config as {} extends Config[K] ? never : K]: Config[K];
        }
      >;

/**
 * What a run can be started with beside its input: for each stage that has a config, what its
 * schema takes. A stage whose config has defaults for all that it needs may be left out.
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

/**
 * What the functions of the workflow's stages get, by the stages' ids. Waits and sleeps have none.
 * @example
 * import * as z from "zod";
 *
 * const hello = workflow("hello", { input: z.object({ name: z.string() }) })
 *   .stage("greet", ({ input }) => `Hello ${input.name}`)
 *   .build();
 * const input: StagesOf<typeof hello>["greet"]["input"] = { name: "Ada" };
 */
export type StagesOf<W extends Workflow> = TypesOf<W>["stages"];

/** The workflow can be started without a config; else the compiler prints what lacks one. */
export type NeedsNoConfig<W extends Workflow> = Problem<Unset<TypesOf<W>["config"]>>;
type Unset<Config> = Config extends object
  ?
      | "id"
      | {
          [K in keyof Config & string]: {} extends Config[K]
            ? "id"
            : `Stage "${K}" needs a config, which is to be given at start`;
        }[keyof Config & string]
  : "id";

/**
 * What one stage adds. Only this has a name: a name for the whole would keep the chain of all before it,
 * too deep for the compiler after a hundred stages.
 */
type One<K extends string, Out> = { readonly [P in K]: Out };
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
export interface WorkflowBuilder<In, Cur, Outs, Signals, Config, Stages> {
  /**
   * The next stage: a plain function, or one made by `stage`. Options that are given here go before
   * the stage's own.
   */
  stage<K extends string, S extends Stage | Inline<Cur, Outs>>(
    id: Fresh<K, Outs>,
    step: S & Fits<S, Cur, K>,
    options?: StageOptions,
  ): WorkflowBuilder<
    In,
    OutOf<S>,
    Outs & One<K, OutOf<S>>,
    Signals,
    Config & ConfigIn<K, S>,
    Stages & One<K, TakesOf<S, Cur>>
  >;

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
    Outs & One<K, OutOf<S> | undefined>,
    Signals,
    Config & ConfigIn<K, S>,
    Stages & One<K, TakesOf<S, Cur>>
  >;

  /** Stages side by side, 500 at most. The next stage gets their outputs by id. */
  parallel<G extends { readonly [id: string]: Stage | Inline<Cur, Outs> }>(
    group: G & FitsAll<G, Cur, Outs>,
  ): WorkflowBuilder<
    In,
    { [K in keyof G]: OutOf<G[K]> },
    Outs & { readonly [K in keyof G]: OutOf<G[K]> },
    Signals,
    Config & ConfigsIn<G>,
    Stages & { readonly [K in keyof G]: TakesOf<G[K], Cur> }
  >;

  /**
   * Waits for the signal with this name, with no code running. A signal that came before counts. When
   * none comes `within` the time, the next stage is told so.
   */
  waitFor<K extends string, P extends StandardSchema>(
    id: Fresh<K, Outs>,
    options: { readonly payload: P; readonly within: Duration } & StorableBy<
      "payload",
      SchemaOut<P>,
      "payload"
    >,
  ): WorkflowBuilder<
    In,
    Waited<SchemaOut<P>>,
    Outs & One<K, Waited<SchemaOut<P>>>,
    Signals & One<K, SchemaIn<P>>,
    Config,
    Stages
  >;

  /** Waits for a time, or for as long as the function says then. What came before it goes on. */
  sleep<K extends string>(
    id: Fresh<K, Outs>,
    how: Duration | ((context: DecisionContext<Cur, Outs>) => Awaitable<Duration>),
  ): WorkflowBuilder<In, Cur, Outs & One<K, null>, Signals, Config, Stages>;

  /** The workflow. What the last stage gives is what a run gives. */
  build(
    this: [keyof Outs] extends [never] ? Problem<"A workflow has a stage"> : unknown,
  ): Workflow<In, Cur, Show<Outs>, Show<Signals>, Show<Config>, Show<Stages>>;
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
  options: WorkflowOptions<I> & StorableBy<"input", SchemaOut<I>, "input">,
): WorkflowBuilder<SchemaIn<I>, SchemaOut<I>, {}, {}, {}, {}>;
export function workflow(id: string, options: ChainOptions): Chain {
  return Chain.of(id, options);
}
