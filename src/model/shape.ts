/**
 * What a value must be, as data: the fields of rows, changes, guards and queries are made of these. A client checks its caller's input
 * with the very shapes with which the service checks what arrives, so they must be small: a schema library is three times the size of a
 * whole client (docs/adr/0019-shapes-of-our-own.md). Pure.
 */

/** What is wrong with a value. */
export interface Problem {
  /** Where: the names and indexes on the way to it. */
  readonly path: readonly (string | number)[];
  /** To follow the name of the place, as in "must be a string". */
  readonly message: string;
  /** The limit that it is beyond. */
  readonly limit?: number;
  /** What was found instead, where the limit is one of size. */
  readonly size?: number;
}

export interface Shape<T> {
  /** Null: the value is a `T`. */
  check(value: unknown): Problem | null;
  /** Whether a member of this shape may be absent, or undefined. */
  readonly absent?: boolean;
  /** Never there: what the compiler knows of the value. */
  readonly type?: T;
}

/** The type of the values of a shape. */
export type TypeOf<S> = S extends Shape<infer T> ? T : never;

/** An optional shape. */
export interface Optional<T> extends Shape<T | undefined> {
  readonly absent: true;
}

type OptionalNames<M> = {
  [Name in keyof M]: M[Name] extends { readonly absent: true } ? Name : never;
}[keyof M];

/** The type of an object with these members. */
export type ObjectOf<M> = {
  -readonly [Name in Exclude<keyof M, OptionalNames<M>>]: TypeOf<M[Name]>;
} & { -readonly [Name in OptionalNames<M>]?: TypeOf<M[Name]> } extends infer Flat
  ? { [Name in keyof Flat]: Flat[Name] }
  : never;

/** How much of an unknown name a message repeats. */
const NAME_SHOWN_MAX = 100;

export type Members = Readonly<Record<string, Shape<unknown>>>;

/** A shape whose members are known. */
export interface ObjectShape<M extends Members> extends Shape<ObjectOf<M>> {
  readonly members: M;
}

function problem(message: string, limits: Omit<Problem, "path" | "message"> = {}): Problem {
  return { path: [], message, ...limits };
}

function within(step: string | number, found: Problem | null): Problem | null {
  return found === null ? null : { ...found, path: [step, ...found.path] };
}

/** A value for which `refuse` finds nothing to say. */
export function refined<T>(shape: Shape<T>, refuse: (value: T) => Problem | null): Shape<T> {
  return {
    // What the shape takes is a T.
    check: (value) => shape.check(value) ?? refuse(value as T),
  };
}

/** Text for which `refuse` finds nothing to say. */
export function text(
  refuse: (value: string) => Omit<Problem, "path"> | null = () => null,
): Shape<string> {
  return {
    check(value) {
      if (typeof value !== "string") return problem("must be a string");
      const found = refuse(value);
      return found === null ? null : { path: [], ...found };
    },
  };
}

interface Range {
  readonly min?: number;
  readonly max?: number;
}

function inRange(value: number, what: string, { min = -Infinity, max = Infinity }: Range) {
  if (value < min) return problem(`must be ${what} of at least ${min}`, { limit: min });
  return value > max ? problem(`must be ${what} of at most ${max}`, { limit: max }) : null;
}

/** A finite number. */
export function number(range: Range = {}): Shape<number> {
  return {
    check: (value) =>
      typeof value === "number" && Number.isFinite(value)
        ? inRange(value, "a number", range)
        : problem("must be a number"),
  };
}

/** A whole number that a double holds exactly. */
export function whole(range: Range = {}): Shape<number> {
  return {
    check: (value) =>
      typeof value === "number" && Number.isSafeInteger(value)
        ? inRange(value, "a whole number", range)
        : problem("must be a whole number"),
  };
}

export const flag: Shape<boolean> = {
  check: (value) => (typeof value === "boolean" ? null : problem("must be true or false")),
};

/** This word, which tells the object's kind. */
export function literal<const Word extends string>(word: Word): Shape<Word> {
  return oneOf([word]);
}

/** One of these words. */
export function oneOf<const Word extends string>(words: readonly Word[]): Shape<Word> {
  return {
    check: (value) =>
      words.some((word) => word === value) ? null : problem(`must be one of ${words.join(", ")}`),
  };
}

/** What is known of a shape beside what it takes: a column's two forms, for example. */
type Beside<S> = Omit<S, keyof Shape<unknown>>;

/** The shape, or null. */
export function nullable<S extends Shape<unknown>>(shape: S): Beside<S> & Shape<TypeOf<S> | null>;
export function nullable(shape: Shape<unknown>): Shape<unknown> {
  return { ...shape, check: (value) => (value === null ? null : shape.check(value)) };
}

/** The shape, as a member that may be absent, or undefined. */
export function optional<S extends Shape<unknown>>(shape: S): Beside<S> & Optional<TypeOf<S>>;
export function optional(shape: Shape<unknown>): Optional<unknown> {
  const check = (value: unknown) => (value === undefined ? null : shape.check(value));
  return { ...shape, check, absent: true };
}

/** At most so many members, which are looked at only if they are not more: each that is wrong costs more than its text. */
export function list<T>(member: Shape<T>, max: number): Shape<T[]> {
  return {
    check(value) {
      if (!Array.isArray(value)) return problem("must be a list");
      if (value.length > max) {
        return problem(`must have at most ${max} members`, { limit: max, size: value.length });
      }
      for (const [index, each] of value.entries()) {
        const found = member.check(each);
        if (found !== null) return within(index, found);
      }
      return null;
    },
  };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** An object with these members, and no others. */
export function object<const M extends Members>(members: M): ObjectShape<M> {
  const shapes = Object.entries(members);
  return {
    members,
    check(value) {
      if (!isObject(value)) return problem("must be an object");
      for (const [name, shape] of shapes) {
        const found = shape.check(Object.hasOwn(value, name) ? value[name] : undefined);
        if (found !== null) return within(name, found);
      }
      for (const name of Object.keys(value)) {
        if (!Object.hasOwn(members, name)) {
          return problem(`has a member ${JSON.stringify(name.slice(0, NAME_SHOWN_MAX))} too many`);
        }
      }
      return null;
    },
  };
}

/** The shapes of described kinds, by their names. */
export function shapesOf<
  Kinds extends Readonly<Record<string, { readonly shape: Shape<unknown> }>>,
>(kinds: Kinds): { readonly [Name in keyof Kinds]: Kinds[Name]["shape"] } {
  const shapes = Object.entries(kinds).map(([name, { shape }]) => [name, shape]);
  // The mapped type says member by member what the entries are.
  return Object.fromEntries(shapes) as { readonly [Name in keyof Kinds]: Kinds[Name]["shape"] };
}

/** An object whose member `by` says which of the shapes it has. */
export function variants<
  Name extends string,
  Kinds extends Readonly<Record<string, Shape<unknown>>>,
>(by: Name, kinds: Kinds): Shape<TypeOf<Kinds[keyof Kinds]>> {
  const known = Object.keys(kinds);
  return {
    check(value) {
      if (!isObject(value)) return problem("must be an object");
      const kind = Object.hasOwn(value, by) ? value[by] : undefined;
      const shape =
        typeof kind === "string" && Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
      if (shape !== undefined) return shape.check(value);
      return within(by, problem(`must be one of ${known.join(", ")}`));
    },
  };
}
