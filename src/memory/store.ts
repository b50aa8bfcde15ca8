/**
 * A {@link Store} in memory: what D1 is in production, for tests and for trying things out. Not
 * here: the effects on the maps and the answers that a transaction needs as well; each kind
 * says these itself, in `changes/` and `queries/`. Imports `changes/`, `queries/`, `model/` and `contract/`.
 */
import { applyChanges, type Commit, type Store } from "../changes/index.ts";
import { inOrderOf, type Query } from "../queries/index.ts";
import { ServiceError } from "../contract/index.ts";
import { answerAny } from "./answers/index.ts";
import { EFFECTS } from "./effects/index.ts";
import { checkGuards } from "./guards.ts";
import { sleep } from "../model/index.ts";
import { createState, type State } from "../model/state.ts";
import { isLive } from "../model/status.ts";

/**
 * Ids of applied commits that are kept. A commit whose answer was lost is settled long before this
 * many others follow.
 */
const APPLIED_REMEMBERED = 1_000;

/** Maps tell nobody that they have changed. */
const LOOK_MS = 5;

export interface MemoryStoreOptions {
  /** The store's clock, in milliseconds. Default: the machine's. */
  readonly now?: () => number;
}

export interface MemoryStore extends Store {
  /** For looking into. Write through {@link Store.attempt} only. */
  readonly state: State;
  /** Forgets all rows and all settled commits. */
  clear(): void;
}

/**
 * An empty store. Every method does its work in one synchronous step, before it returns its
 * promise. So commits are atomic and reads are snapshots: nothing can come in between.
 */
export function createMemoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  const now = options.now ?? (() => Date.now());
  const state = createState();
  const applied = new Set<string>();
  // Never shortened. Only commits whose answer was lost get here, and forgetting one could let a
  // late attempt through.
  const fenced = new Set<string>();

  function rememberApplied(id: string): void {
    applied.add(id);
    if (applied.size <= APPLIED_REMEMBERED) return;
    const [oldest] = applied;
    if (oldest !== undefined) applied.delete(oldest);
  }

  return {
    state,
    async now() {
      return now();
    },
    async read<const Qs extends readonly Query[]>(queries: Qs) {
      return inOrderOf(
        queries,
        queries.map((query) => answerAny(state, query)),
      );
    },
    async attempt(commit: Commit) {
      if (fenced.has(commit.id)) {
        throw new ServiceError("UNAVAILABLE", `Commit ${commit.id} was settled as not applied`);
      }
      const violation = checkGuards(state, commit.guards);
      if (violation !== null) return { applied: false, violation };
      applyChanges(state, commit.changes, commit.id, EFFECTS);
      rememberApplied(commit.id);
      return { applied: true, results: commit.reads.map((query) => answerAny(state, query)) };
    },
    async whenOver(workflowRunId, withinMs) {
      const until = Date.now() + withinMs;
      const lives = () => {
        const run = state.runs.get(workflowRunId, "");
        return run !== undefined && isLive(run);
      };
      while (lives() && Date.now() < until) await sleep(LOOK_MS);
    },
    async settle({ id }: Commit) {
      if (applied.has(id)) return "applied";
      fenced.add(id);
      return "fenced";
    },
    clear() {
      for (const table of Object.values(state)) table.clear();
      applied.clear();
      fenced.clear();
    },
  };
}
