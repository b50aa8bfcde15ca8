/** A method, whatever it takes. */
type Method = (...args: never[]) => unknown;

/** The methods of each class that was asked about, its ancestors' included: they never change. */
const known = new WeakMap<object, readonly (readonly [string, Method])[]>();

/**
 * Makes every method of an instance its own member, bound to it. So `const { enqueue } =
 * connection.jobs` and `{ ...connection }` work, as they do with the plain objects of functions
 * that callers know.
 */
export function ownMethods(instance: object): void {
  for (const [name, method] of methodsOf(Object.getPrototypeOf(instance))) {
    Reflect.set(instance, name, method.bind(instance));
  }
}

function methodsOf(prototype: unknown): readonly (readonly [string, Method])[] {
  if (prototype === Object.prototype || !(prototype instanceof Object)) return [];
  const before = known.get(prototype);
  if (before !== undefined) return before;
  // An ancestor's method comes first, so that the class's own replaces it.
  const methods = new Map(methodsOf(Object.getPrototypeOf(prototype)));
  for (const name of Object.getOwnPropertyNames(prototype)) {
    const value: unknown = Object.getOwnPropertyDescriptor(prototype, name)?.value;
    if (name !== "constructor" && isMethod(value)) methods.set(name, value);
  }
  const found = [...methods];
  known.set(prototype, found);
  return found;
}

function isMethod(value: unknown): value is Method {
  return typeof value === "function";
}

/** Members of an instance that are made when they are first used, and stay. */
export function madeWhenUsed<T extends object>(
  instance: T,
  makers: { readonly [Name in keyof T]?: () => T[Name] },
): void {
  for (const [name, make] of Object.entries<(() => unknown) | undefined>(makers)) {
    Object.defineProperty(instance, name, {
      get() {
        const value = make?.();
        Object.defineProperty(instance, name, { value, enumerable: true });
        return value;
      },
      enumerable: true,
      configurable: true,
    });
  }
}
