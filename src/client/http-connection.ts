/**
 * The options of `connectHttp`: of its store (`http-store.ts`) and of the connection over it. Both
 * builds of the client, `index.ts` and `browser.ts`, open their connections with them.
 */
import type { Store } from "../changes/index.ts";
import type { ConnectionOptions } from "../persistence/connection-core.ts";
import { HttpStore, type HttpStoreOptions } from "./http-store.ts";

/**
 * Where the service is, and how the connection acts.
 * @example
 * const options: HttpConnectionOptions = {
 *   url: "https://engine.example",
 *   token,
 *   workerId: "importer",
 *   signal: AbortSignal.timeout(60_000),
 * };
 * const { persistence } = connectHttp(options);
 */
export interface HttpConnectionOptions extends HttpStoreOptions, ConnectionOptions {}

/** The store of `connectHttp`, and the options that are the connection's. */
export function openHttp({ url, token, fetch, signal, ...options }: HttpConnectionOptions): {
  readonly store: Store;
  readonly options: ConnectionOptions;
} {
  const store = new HttpStore({
    url,
    token,
    ...(fetch === undefined ? {} : { fetch }),
    ...(signal === undefined ? {} : { signal }),
  });
  return { store, options };
}
