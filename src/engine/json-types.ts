/** What JSON keeps, as the compiler sees it. Types alone. */

/** What JSON keeps as it is, and has no members. */
export type Plain = string | number | boolean | null | undefined;

/** What JSON drops, refuses, or gives back as something else. Lists are looked at before. */
type Unstorable =
  | bigint
  | symbol
  | Date
  | RegExp
  | Iterable<unknown>
  | AsyncIterable<unknown>
  | WeakMap<object, unknown>
  | WeakSet<object>
  | PromiseLike<unknown>
  | ArrayBufferLike
  | ArrayBufferView
  // Such as a URL.
  | { readonly toJSON: Method }
  // Such as a Response or a Blob.
  | { readonly arrayBuffer: Method }
  | Method
  | (abstract new (...args: never[]) => unknown);
type Method = (...args: never[]) => unknown;

/** Where `strict` is off, `undefined` is of every type, and says nothing. */
type IsStrict = undefined extends 1 ? false : true;

/** True of an Error, of which JSON keeps nothing; not of an object that merely has its text. */
type IsError<T> = T extends Error
  ? keyof Error extends keyof T
    ? MayLack<T, keyof T & "stack">
    : false
  : false;
type MayLack<T, K extends keyof T> = {} extends Pick<T, K> ? true : false;

/** Levels that are looked into. Types may be recursive, and each level costs the compiler time. */
type Levels = [0, 0, 0, 0, 0, 0];

/**
 * True where JSON would not give the value back, false where it would; both, for one of which it keeps
 * a part. Knows no path: so the compiler looks once at each type, however often a recursive one has
 * it. `any` and `unknown` pass: the value itself is checked when the stage has returned it. Text with
 * a brand is text, though its type has members.
 */
type Flaw<T, Left extends 0[]> = [unknown] extends [T]
  ? false
  : T extends Plain
    ? false
    : T extends readonly (infer Item)[]
      ? // JSON writes null for it in a list, where it drops it as a member.
        [undefined, unknown] extends [Item, Item]
        ? false
        : [undefined, IsStrict] extends [Item, true]
          ? true
          : Left extends [0, ...infer Rest extends 0[]]
            ? Flaw<Item, Rest>
            : false
      : T extends Unstorable
        ? true
        : IsError<T> extends true
          ? true
          : Left extends [0, ...infer Rest extends 0[]]
            ? T extends object
              ? { [K in Name<T>]-?: Flaw<T[K], Rest> }[Name<T>]
              : false
            : false;

type Name<T> = keyof T & (string | number);

/** The paths to the flaws, so many levels down at most. One branch goes on: of two, the compiler tries both. */
type Paths<T, Path extends string, Left extends 0[]> = T extends unknown
  ? true extends Flaw<T, []>
    ? `${Path}${T extends readonly unknown[] ? "[]" : ""}`
    : true extends Flaw<T, Left>
      ? Left extends [0, ...infer Rest extends 0[]]
        ? { [K in Place<T>]-?: Paths<T[K], `${Path}${Step<T, K>}`, Rest> }[Place<T>]
        : never
      : never
  : never;

/** Where a value has others: the places of a tuple, all those of a list at once, the names of members. */
type Place<T> = keyof T &
  (T extends readonly unknown[]
    ? number extends T["length"]
      ? number
      : `${number}`
    : string | number);
/** An index signature has no names. */
type Step<T, K extends string | number | symbol> = T extends readonly unknown[]
  ? number extends K
    ? "[]"
    : `[${K & string}]`
  : `.${{} extends Record<K, 1> ? "*" : K & (string | number)}`;

/** Few levels first: a recursive type has more flaws with each level. */
type FirstPaths<T, Path extends string> =
  true extends Flaw<T, [0]>
    ? Paths<T, Path, [0]>
    : true extends Flaw<T, [0, 0, 0]>
      ? Paths<T, Path, [0, 0, 0]>
      : Paths<T, Path, Levels>;

/** Says where JSON has no such value. */
type FlawText<T, Path extends string> = `JSON has no such value: ${FirstPaths<T, Path>}`;

/** Members that a value must have. It has not, where their names say what is wrong with it. */
export type Problem<Messages extends PropertyKey> = { readonly [P in Messages]: unknown };

/**
 * What a value's type has to be, besides: nothing, if JSON keeps it; else something that it is not,
 * whose name the compiler prints.
 */
export type Storable<T, Path extends string> =
  true extends Flaw<T, Levels> ? Problem<FlawText<T, Path>> : unknown;

/**
 * As {@link Storable}, of an argument that has the member `Has`: that is asked for where JSON keeps
 * the type. So the compiler can also tell of a type parameter, by what it extends.
 */
export type StorableBy<Has extends string, T, Path extends string> = Problem<
  Verdict<Has, T, Path, Flaw<T, Levels>>
>;
type Verdict<Has, T, Path extends string, Flawed> = Flawed extends true ? FlawText<T, Path> : Has;

/** As JSON gives it back: nothing at all becomes null. */
export type Kept<T> = T extends undefined | void ? null : T;
