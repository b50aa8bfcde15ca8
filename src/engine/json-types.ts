/** What JSON keeps, as the compiler sees it. Types alone. */

/** What JSON keeps as it is, and has no members. */
export type Plain = string | number | boolean | null | undefined;

/** What JSON drops, refuses, or gives back as something else. */
type Unstorable =
  | bigint
  | symbol
  | Date
  | RegExp
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | WeakMap<object, unknown>
  | WeakSet<object>
  | PromiseLike<unknown>
  | ArrayBufferLike
  | ArrayBufferView
  | ((...args: never[]) => unknown)
  | (abstract new (...args: never[]) => unknown);

/** Levels that are looked into. Types may be recursive, and each level costs the compiler time. */
type DepthMax = 5;

/**
 * The paths to what JSON would not give back; never if there are none. `any` and `unknown` pass: the
 * value itself is checked when the stage has returned it. Text with a brand is text, though its type
 * has members.
 */
export type Unjson<T, Path extends string, Depth extends 0[] = []> = 0 extends 1 & T
  ? never
  : T extends Plain
    ? never
    : T extends Unstorable
      ? Path
      : Depth["length"] extends DepthMax
        ? never
        : T extends readonly (infer Item)[]
          ? // JSON writes null for it in a list, where it drops it as a member.
            undefined extends Item
            ? unknown extends Item
              ? never
              : `${Path}[]`
            : Unjson<Item, `${Path}[]`, [...Depth, 0]>
          : T extends object
            ? {
                [K in keyof T & (string | number)]-?: Unjson<T[K], `${Path}.${K}`, [...Depth, 0]>;
              }[keyof T & (string | number)]
            : never;

/**
 * What a value's type has to be, besides: nothing, if JSON keeps it; else something that it is not,
 * whose name the compiler prints.
 */
export type Storable<T, Path extends string> = [Unjson<T, Path>] extends [never]
  ? unknown
  : { readonly [P in `JSON has no such value: ${Unjson<T, Path>}`]: never };

/** As JSON gives it back: nothing at all becomes null. */
export type Kept<T> = T extends undefined | void ? null : T;
