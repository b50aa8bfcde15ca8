/**
 * Makes every method of an instance its own member, bound to it. So `const { enqueue } =
 * connection.jobs` and `{ ...connection }` work, as they do with the plain objects of functions
 * that callers know.
 */
export function ownMethods(instance: object): void {
  const parent: unknown = Object.getPrototypeOf(instance);
  for (let from = parent; from !== Object.prototype && from instanceof Object;) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(from))) {
      if (name === "constructor" || typeof value !== "function" || Object.hasOwn(instance, name)) {
        continue;
      }
      const method: unknown = value.bind(instance);
      Object.defineProperty(instance, name, {
        value: method,
        enumerable: true,
        configurable: true,
        writable: true,
      });
    }
    from = Object.getPrototypeOf(from);
  }
}
