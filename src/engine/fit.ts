/**
 * What the compiler says where the parts of a workflow do not fit. Each check is a type that a
 * parameter must be besides its own: `unknown`, which everything is, or a type that the argument is
 * not and whose name says what is wrong. Types alone.
 */
import type { InlineContext, Given } from "./context.ts";
import type { Plain, Storable } from "./json-types.ts";
import type { Stage } from "./stage.ts";

export type Inline<In, Outs> = (context: InlineContext<In, Outs>) => unknown;

type TypesOf<S extends Stage> = NonNullable<S["~types"]>;
/** What a step gives. */
export type OutOf<S> = S extends Stage
  ? TypesOf<S>["output"]
  : S extends (...args: never[]) => infer Returned
    ? Given<Returned>
    : never;

/** A name for the message's own sake: the compiler prints it, with the type. */
type Problem<Message extends string> = { readonly [P in Message]: never };

/** What is wrong with an id, or never. */
type IdProblem<K extends string, Outs> = K extends ""
  ? "The id of a stage is not empty"
  : K extends `~${string}` | "__proto__" | "." | ".."
    ? `No stage can have the id "${K}"`
    : K extends keyof Outs
      ? `There is a stage "${K}" already`
      : never;

/** The id, if it is fresh; else what is wrong with it. */
export type Fresh<K extends string, Outs> = string extends K
  ? "The id of a stage is written where it is used, as text"
  : [IdProblem<K, Outs>] extends [never]
    ? K
    : IdProblem<K, Outs>;

/** As {@link Fresh}, for a group's member. While the group is not looked at yet, it has no names. */
type FreshMember<K, Outs> = string extends K
  ? unknown
  : [IdProblem<K & string, Outs>] extends [never]
    ? unknown
    : Problem<IdProblem<K & string, Outs>>;

/** The members that are needed and missing, or of another type. Text and lists have none of interest. */
type Wrong<Has, Needs> = Needs extends Plain | readonly unknown[]
  ? never
  : {
      [K in keyof Needs & string]: K extends keyof Has
        ? Has[K] extends Needs[K]
          ? never
          : K
        : object extends Pick<Needs, K>
          ? never
          : K;
    }[keyof Needs & string];

type Misfit<K, Has, Needs> = {
  readonly [
    P in [Wrong<Has, Needs>] extends [never]
      ? `Stage "${K & string}" does not take what comes before it`
      : `Stage "${K & string}" needs "${Wrong<Has, Needs>}", which does not come before it`
  ]: [gives: Has, takes: Needs];
};

/** The step takes what comes before it. */
type Takes<S, Cur, K> = S extends Stage
  ? [Cur] extends [TypesOf<S>["input"]]
    ? unknown
    : Misfit<K, Cur, TypesOf<S>["input"]>
  : unknown;

/** The step takes what comes before it, and gives what can be stored. */
export type Fits<S, Cur, K> = Takes<S, Cur, K> & Storable<OutOf<S>, "output">;

/** As {@link Fits}, for each member of a group. */
export type FitsAll<G, Cur, Outs> = {
  readonly [K in keyof G]: Fits<G[K], Cur, K> & FreshMember<K, Outs>;
};

/** The config that a step takes, under its id; nothing if it takes none. */
export type ConfigIn<K, S> =
  S extends Stage<unknown, unknown, infer C>
    ? [C] extends [undefined]
      ? unknown
      : { readonly [P in K & string]: C }
    : unknown;

/** As {@link ConfigIn}, of each member of a group. */
export type ConfigsIn<G> = {
  readonly [K in keyof G as unknown extends ConfigIn<K, G[K]> ? never : K]: G[K] extends Stage
    ? TypesOf<G[K]>["config"]
    : never;
};
