/**
 * What the compiler says where the parts of a workflow do not fit. Each check is a type that a
 * parameter must be besides its own: `unknown`, which everything is, or a type that the argument is
 * not and whose name says what is wrong. Types alone.
 */
import type { InlineContext, Given } from "./context.ts";
import type { Plain, Problem, Storable } from "./json-types.ts";
import type { Stage, StageTakes } from "./stage.ts";

export type Inline<In, Outs> = (context: InlineContext<In, Outs>) => unknown;

type TypesOf<S extends Stage> = NonNullable<S["~types"]>;
/** What a step gives. */
export type OutOf<S> = S extends Stage
  ? TypesOf<S>["output"]
  : S extends (...args: never[]) => infer Returned
    ? Given<Returned>
    : never;

/** More than one text, or a pattern of texts, such as `string`. */
type NotOne<K extends string, All = K> =
  {} extends Record<K, 1> ? true : K extends unknown ? ([All] extends [K] ? never : true) : never;

/** What is wrong with an id, or never. */
type IdProblem<K extends string, Outs> = [NotOne<K>] extends [never]
  ? K extends ""
    ? "The id of a stage is not empty"
    : K extends `~${string}` | "__proto__" | "." | ".."
      ? `No stage can have the id "${K}"`
      : K extends keyof Outs
        ? `There is a stage "${K}" already`
        : never
  : "The id of a stage is written where it is used, as one text";

/** The id, if it is fresh; else what is wrong with it. */
export type Fresh<K extends string, Outs> = [IdProblem<K, Outs>] extends [never]
  ? K
  : IdProblem<K, Outs>;

/** As {@link Fresh}, for a group's member. While the group is not looked at yet, it has no names. */
type FreshMember<K, Outs> = string extends K
  ? unknown
  : [IdProblem<K & string, Outs>] extends [never]
    ? unknown
    : Problem<IdProblem<K & string, Outs>>;

/** The same with readonly lists: what a stage gets is its own, read from JSON. */
type Lenient<T> = T extends Plain ? T : { readonly [K in keyof T]: Lenient<T[K]> };

/** What needs the one takes the other. */
type IsTaken<Has, Needs> = [Has] extends [Needs]
  ? true
  : [Has] extends [Lenient<Needs>]
    ? true
    : false;

/** The names of the members of all of a union. */
type AnyName<T> = T extends unknown ? keyof T : never;

/** What of a member is needed and does not come, or never. */
type MemberLack<
  Has,
  Needs,
  K extends keyof Needs,
  Path extends string,
  Left extends 0[],
> = K extends keyof Has
  ? IsTaken<Pick<Has, K>, Pick<Needs, K>> extends true
    ? never
    : IsTaken<Exclude<Has[K], undefined>, Needs[K]> extends true
      ? `needs "${Path}", which does not always come before it`
      : Lack<Has[K], Needs[K], Path, Left>
  : {} extends Pick<Needs, K>
    ? never
    : `needs "${Path}", which does not ${K extends AnyName<Has> ? "always " : ""}come before it`;

type MemberLacks<Has, Needs, Path extends string, Left extends 0[]> = {
  [K in keyof Needs & string]: MemberLack<Has, Needs, K, `${Path}${K}`, Left>;
}[keyof Needs & string];

/** As {@link MemberLack}, of a value within what is needed, so many levels deep. */
type Lack<Has, Needs, Path extends string, Left extends 0[]> = Left extends [
  0,
  ...infer Rest extends 0[],
]
  ? [Has] extends [Plain]
    ? Other<Path>
    : [Needs] extends [Plain]
      ? Other<Path>
      : [Has, Needs] extends [readonly (infer H)[], readonly (infer N)[]]
        ? Lack<H, N, `${Path}[]`, Rest>
        : [MemberLacks<Has, Needs, `${Path}.`, Rest>] extends [never]
          ? Other<Path>
          : MemberLacks<Has, Needs, `${Path}.`, Rest>
  : Other<Path>;
type Other<Path extends string> = `needs another type of "${Path}" than comes before it`;

/** Why what comes before is not taken. Text and lists have no members of interest. */
type Reason<Has, Needs> = [unknown] extends [Has]
  ? "does not take what comes before it, whose type is unknown"
  : [Has] extends [Plain | readonly unknown[]]
    ? "does not take what comes before it"
    : [Needs] extends [Plain | readonly unknown[]]
      ? "does not take what comes before it"
      : [MemberLacks<Has, Needs, "", Levels>] extends [never]
        ? "does not take what comes before it"
        : MemberLacks<Has, Needs, "", Levels>;
type Levels = [0, 0, 0, 0];

type Misfit<K, Has, Needs> = {
  readonly [P in `Stage "${K & string}" ${Reason<Has, Needs>}`]: [gives: Has, takes: Needs];
};

/** The step takes what comes before it. */
type Takes<S, Cur, K> = S extends Stage
  ? IsTaken<Cur, TypesOf<S>["input"]> extends true
    ? unknown
    : Misfit<K, Cur, TypesOf<S>["input"]>
  : unknown;

/** The step takes what comes before it, and gives what can be stored. */
export type Fits<S, Cur, K> = Takes<S, Cur, K> & Storable<OutOf<S>, "output">;

/** As {@link Fits}, for each member of a group. */
export type FitsAll<G, Cur, Outs> = [keyof G] extends [never]
  ? Problem<"A group has a stage">
  : { readonly [K in keyof G]: Fits<G[K], Cur, K> & FreshMember<K, Outs> };

/** What the step's function gets. */
export type TakesOf<S, Cur> = S extends Stage ? TypesOf<S>["takes"] : StageTakes<Cur, undefined>;

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
