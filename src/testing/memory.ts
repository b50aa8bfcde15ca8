/** The contract in memory: for unit tests of code that runs on it. */
import { Connection, type ConnectionOptions } from "../client/connection.ts";
import type { Backend } from "../contract/index.ts";
import { createMemoryStore } from "../memory/store.ts";

export interface MemoryBackendOptions extends ConnectionOptions {
  /** Milliseconds; default `Date.now`. */
  readonly now?: () => number;
}

export interface MemoryBackend extends Backend {
  /** A further connection onto the same data, as another worker would have. */
  connect(options?: ConnectionOptions): Backend;
  /** Empties it. */
  clear(): void;
}

/** With the transactions, the rollback and the isolation of the real one: it is the same code over maps. */
export function createMemoryBackend({ now, ...options }: MemoryBackendOptions = {}): MemoryBackend {
  const store = createMemoryStore(now === undefined ? {} : { now });
  const connection = new Connection(store, options);
  const { persistence, jobs, aiCalls } = connection;
  return {
    persistence,
    jobs,
    aiCalls,
    audit: () => connection.audit(),
    connect: (others) => new Connection(store, others),
    clear: () => {
      store.clear();
    },
  };
}
