/**
 * Says in the log that stages of typed workflows wait for a Worker that is not bound. Their jobs look
 * like any others, which may well wait for callers that poll.
 */
import type { Commit, Store, WakeUpKind } from "../changes/index.ts";
import { STAGE_PAYLOAD } from "../model/index.ts";
import type { Query } from "../queries/index.ts";

/** Due jobs of each kind among which stages are looked for. */
const LOOKED_AT = 100;

const UNWORKED = "Stages of typed workflows are due, and no HANDLER is bound that works them";
const UNWOKEN =
  "No wake-up is sent for its stages: bind the Worker that has them as HANDLER, and the queue as JOBS";

/** Logs how many stages are due at the instant, if there are any. For a Worker without a handler. */
export async function tellOfDueStages(store: Pick<Store, "read">, before: number): Promise<void> {
  const [count] = await store.read([
    { q: "overdueJobs", before, limit: LOOKED_AT, stagesOnly: true },
  ]);
  if (count === 0) return;
  console.warn("wfe-stages-wait", count, UNWORKED);
}

/**
 * Leaves the work to callers that poll, as a consumer without a handler does, and tells what none of
 * them takes.
 */
export async function leave(kind: WakeUpKind, store: Pick<Store, "now" | "read">): Promise<void> {
  if (kind !== "jobs") return;
  try {
    await tellOfDueStages(store, await store.now());
  } catch (error) {
    console.warn("wfe-stages-not-counted", error);
  }
}

/** A store without wake-ups: it logs each run whose stages get a job, since nothing is told of it. */
export function unwoken(store: Store): Store {
  return {
    now: async () => store.now(),
    read: async <const Qs extends readonly Query[]>(queries: Qs) => store.read(queries),
    async attempt(commit) {
      const outcome = await store.attempt(commit);
      if (outcome.applied) tellOfUnwoken(commit);
      return outcome;
    },
    settle: async (commit) => store.settle(commit),
    whenOver: async (workflowRunId, withinMs) => store.whenOver?.(workflowRunId, withinMs),
  };
}

function tellOfUnwoken({ changes }: Commit): void {
  const runs = changes.flatMap((change) =>
    change.kind === "enqueueJob" && change.row.payload.startsWith(STAGE_PAYLOAD)
      ? [change.row.workflowRunId]
      : [],
  );
  for (const run of new Set(runs)) console.warn("wfe-no-wake-up", run, UNWOKEN);
}
