/**
 * What a value must be, as data. The fields of rows, changes, guards and queries are made of
 * shapes. A client checks its caller's input with the same shapes with which the service checks
 * what arrives; so they must be small: a schema library is three times the size of a whole client
 * (docs/adr/0019-shapes-of-our-own.md). Pure.
 */

/** What is wrong with a value. Only the first problem is reported. */
export interface Problem {
  /** The names and indexes that lead to it. */
  readonly path: readonly (string | number)[];
  /** Follows the name of the place, as in "must be a string". */
  readonly message: string;
  /** The limit that was exceeded. */
  readonly limit?: number;
  /** What was found instead, where the limit is a size. */
  readonly size?: number;
}

export interface Shape<T> {
  /** Null when the value is a `T`. Never throws and never changes the value. */
  check(value: unknown): Problem | null;
  /** Whether a member of this shape may be absent, or undefined. */
  readonly absent?: boolean;
  /** Never there at run time: it tells the compiler the type. */
  readonly type?: T;
}

/** The type of the values that a shape takes. */
export type TypeOf<S> = S extends Shape<infer T> ? T : never;

/** The shape of a member that may be absent. */
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

/** A message repeats at most this much of an unknown name. */
const NAME_SHOWN_MAX = 100;

export type Members = Readonly<Record<string, Shape<unknown>>>;

/** The shape of an object; its members can be looked up. */
export interface ObjectShape<M extends Members> extends Shape<ObjectOf<M>> {
  readonly members: M;
}

function problem(message: string, limits: Omit<Problem, "path" | "message"> = {}): Problem {
  return { path: [], message, ...limits };
}

function within(step: string | number, found: Problem | null): Problem | null {
  return found === null ? null : { ...found, path: [step, ...found.path] };
}

/** Takes what `shape` takes, unless `refuse` finds something wrong with it. */
export function refined<T>(shape: Shape<T>, refuse: (value: T) => Problem | null): Shape<T> {
  return {
    // What the shape takes is a T.
    check: (value) => shape.check(value) ?? refuse(value as T),
  };
}

/** Takes text, unless `refuse` finds something wrong with it. */
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

/** A finite number. By default any. */
export function number(range: Range = {}): Shape<number> {
  return {
    check: (value) =>
      typeof value === "number" && Number.isFinite(value)
        ? inRange(value, "a number", range)
        : problem("must be a number"),
  };
}

/** A whole number that a double holds exactly. By default any. */
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

/** This one word. It tells the kind of an object. */
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

/** The members that a shape has beyond those of every shape, such as a column's two forms. */
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

/**
 * A list of at most `max` members. A longer one is refused before any member is checked: checking
 * costs more than the text of a member.
 */
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

/** An object with these members and no others. Inherited members do not count. */
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

/** The shapes of a table of described kinds, under their names. */
export function shapesOf<
  Kinds extends Readonly<Record<string, { readonly shape: Shape<unknown> }>>,
>(kinds: Kinds): { readonly [Name in keyof Kinds]: Kinds[Name]["shape"] } {
  const shapes = Object.entries(kinds).map(([name, { shape }]) => [name, shape]);
  // The mapped type says member by member what the entries are.
  return Object.fromEntries(shapes) as { readonly [Name in keyof Kinds]: Kinds[Name]["shape"] };
}

/** An object whose member `by` names the shape that it has. */
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
