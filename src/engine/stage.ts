/** A stage by itself: a function with what it takes and gives, fit for any workflow. */
import type { Awaitable, Given, NotReady, PollContext, RunContext, Suspended } from "./context.ts";
import { ServiceError } from "../contract/index.ts";
import type { Duration } from "./duration.ts";
import type { StorableBy } from "./json-types.ts";
import type { SchemaIn, SchemaOut, StandardSchema } from "./standard-schema.ts";

/**
 * How a stage is run. What a workflow says where it uses a stage goes before what the stage says
 * itself, member by member; `retry` is one.
 * @example
 * const patient: StageOptions = {
 *   retry: { attempts: 5, backoff: "2s", cap: "5m" },
 *   timeout: "10m",
 *   concurrency: { key: "model", limit: 20 },
 * };
 */
export interface StageOptions {
  /** For people. Default: its id. */
  readonly name?: string;
  readonly retry?: StageRetry;
  /** For one try, or one poll. At most 14 minutes, which is also the default. */
  readonly timeout?: Duration;
  /** At most `limit` stages with the same key run at once, of all runs. */
  readonly concurrency?: { readonly key: string; readonly limit: number };
}

/**
 * How often a stage is tried, and with which pauses: `backoff` after the first failure, twice as
 * long after each further one, `cap` at most.
 * @example
 * const retry: StageRetry = { attempts: 5, backoff: "2s", cap: "5m" };
 */
export interface StageRetry {
  /** Tries in all: 1 to 1,000. Default 3. */
  readonly attempts?: number;
  /** Default "2s"; at most 31 days. */
  readonly backoff?: Duration;
  /** Default "1h", or `backoff` where that is longer; at most 31 days. */
  readonly cap?: Duration;
}

/** A stage's function, whatever it takes. What runs it knows that the workflow's types fit. */
export type StageFunction = (context: never) => unknown;

/** A stage, as a workflow's plan holds it. */
export interface StageDefinition extends StageOptions {
  readonly input?: StandardSchema | undefined;
  readonly output?: StandardSchema | undefined;
  readonly config?: StandardSchema | undefined;
  readonly run: StageFunction;
  readonly poll?: ((context: never, state: never) => unknown) | undefined;
}

/**
 * A stage: made by {@link stage}, used in any number of workflows. `Input` and `Settings` are what its
 * schemas make of the input and of the config. It has no optional members, about which the compiler
 * would talk where a stage does not fit.
 * @example
 * import * as z from "zod";
 *
 * const length: Stage<{ text: string }, number> = stage({
 *   input: z.object({ text: z.string() }),
 *   run: ({ input }) => input.text.length,
 * });
 */
export interface Stage<
  In = unknown,
  Out = unknown,
  Config = unknown,
  Input = In,
  Settings = Config,
> {
  readonly definition: StageDefinition;
  /** Undefined at run time: it tells the compiler the types. */
  readonly "~types":
    | {
        readonly input: In;
        readonly output: Out;
        readonly config: Config;
        readonly takes: StageTakes<Input, Settings>;
      }
    | undefined;
}

/**
 * What a stage's function gets that depends on the stage.
 * @example
 * const takes: StageTakes<{ text: string }, undefined> = { input: { text: "Hi" }, config: undefined };
 */
export interface StageTakes<Input, Config> {
  readonly input: Input;
  readonly config: Config;
}

/** In the place of a schema that is not given. Not `undefined`, which is every type where `strict` is off. */
interface NoSchema {
  readonly "~none": never;
}
type MaybeSchema = StandardSchema | NoSchema;
type StageOut<Returned, Polled, O> = O extends StandardSchema
  ? SchemaOut<O>
  : [Polled] extends [never]
    ? Given<Returned>
    : // The compiler infers nothing into `infer`: what a stage is used as does not make its type.
      [Polled] extends [infer P]
      ? Given<[Returned] extends [P] ? P : [P] extends [Returned] ? Returned : Returned | P>
      : never;

/** A stage that suspends is polled. */
type PolledIfSuspended<State> = [State] extends [never] ? unknown : { readonly poll: unknown };

/**
 * Defines a stage that can be used in several workflows. It has no id: a workflow gives it one.
 * `input` validates and completes what comes before it, `output` what it returns, `config` what the
 * run was started with. Without `input`, it takes anything.
 * @throws INVALID_ARGUMENT for a schema that does not speak Standard Schema, or without `run`.
 * @example
 * import * as z from "zod";
 *
 * declare const batches: {
 *   create(text: string): Promise<{ id: string }>;
 *   result(id: string): Promise<string | null>;
 * };
 *
 * export const summarise = stage({
 *   input: z.object({ text: z.string() }),
 *   output: z.object({ summary: z.string() }),
 *   config: z.object({ wordsMax: z.number().default(100) }),
 *   retry: { attempts: 5, backoff: "2s" },
 *   async run({ input, config, once, suspend }) {
 *     const text = input.text.split(" ").slice(0, config.wordsMax).join(" ");
 *     // Remembered at once: a retry does not pay again.
 *     const batch = await once("batch", () => batches.create(text));
 *     return suspend({ batch: batch.id }, { pollIn: "1m", within: "1d" });
 *   },
 *   async poll({ notReady }, state) {
 *     const summary = await batches.result(state.batch);
 *     return summary === null ? notReady() : { summary };
 *   },
 * });
 */
export function stage<
  Returned,
  I extends MaybeSchema = NoSchema,
  O extends MaybeSchema = NoSchema,
  C extends MaybeSchema = NoSchema,
  State = never,
  Polled = never,
>(
  definition: StageOptions & {
    readonly input?: I;
    readonly output?: O;
    readonly config?: C;
    run(
      context: RunContext<SchemaOut<I, unknown>, SchemaOut<C, undefined>>,
    ): O extends StandardSchema
      ? Awaitable<SchemaIn<O> | Suspended<State>>
      : Awaitable<Returned | Suspended<State>>;
    poll?(
      context: PollContext<SchemaOut<I, unknown>, SchemaOut<C, undefined>>,
      state: State,
    ): O extends StandardSchema ? Awaitable<SchemaIn<O> | NotReady> : Awaitable<Polled | NotReady>;
  } & PolledIfSuspended<State> &
    StorableBy<"run", StageOut<Returned, Polled, O>, "output"> &
    StorableBy<"run", SchemaOut<C, undefined>, "config">,
): Stage<
  SchemaIn<I, unknown>,
  StageOut<Returned, Polled, O>,
  SchemaIn<C, undefined>,
  SchemaOut<I, unknown>,
  SchemaOut<C, undefined>
>;
export function stage(definition: StageDefinition): Stage {
  for (const member of ["input", "output", "config"] as const) {
    if (definition[member] !== undefined) requireSchema(definition[member], member);
  }
  requireFunction(definition.run, "run");
  if (definition.poll !== undefined) requireFunction(definition.poll, "poll");
  return { definition, "~types": undefined };
}

/** @throws INVALID_ARGUMENT with `field`. */
export function requireFunction(value: unknown, field: string): void {
  if (typeof value === "function") return;
  throw new ServiceError("INVALID_ARGUMENT", `${field} must be a function`, { field });
}

/** @throws INVALID_ARGUMENT with `field`. */
export function requireSchema(schema: unknown, field: string): void {
  // Some libraries' schemas are objects, others' functions with members.
  const standard: unknown =
    (typeof schema === "object" || typeof schema === "function") && schema !== null
      ? Reflect.get(schema, "~standard")
      : undefined;
  const speaks =
    typeof standard === "object" &&
    standard !== null &&
    Reflect.get(standard, "version") === 1 &&
    typeof Reflect.get(standard, "validate") === "function";
  if (speaks) return;
  throw new ServiceError(
    "INVALID_ARGUMENT",
    `${field} must be a schema that speaks Standard Schema 1, such as one of zod, valibot or arktype`,
    { field },
  );
}
