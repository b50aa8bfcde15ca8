/**
 * The one Node API that we use. Workers have it with `nodejs_compat`, which is on by default from
 * 2026-08-04.
 */
declare module "node:async_hooks" {
  export class AsyncLocalStorage<Store> {
    run<Result>(store: Store, callback: () => Result): Result;
    getStore(): Store | undefined;
  }
}
