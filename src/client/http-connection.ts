import type { Store } from "../changes/index.ts";
import type { ConnectionOptions } from "../persistence/connection-core.ts";
import { HttpStore, type HttpStoreOptions } from "./http-store.ts";

export interface HttpConnectionOptions extends HttpStoreOptions, ConnectionOptions {}

/** What `connectHttp` is given, told apart. */
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
