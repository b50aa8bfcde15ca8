/** The store of those that steer a run: tells of each of their commits. */
import type { Store } from "../../changes/index.ts";

export interface ToldStore extends Store {
  /** Called after each commit. */
  tell: () => void;
}

export function toldStore(store: Store): ToldStore {
  const told: ToldStore = {
    tell: () => {},
    now: async () => store.now(),
    read: async (queries) => store.read(queries),
    settle: async (commit) => store.settle(commit),
    whenOver: async (workflowRunId, withinMs) => store.whenOver?.(workflowRunId, withinMs),
    async attempt(commit) {
      const outcome = await store.attempt(commit);
      told.tell();
      return outcome;
    },
  };
  return told;
}
