/** What dispatch does: batches of claims and settles, figures, and ticks of the sweep. */
import { AutoCommit } from "../../src/persistence/auto-commit.ts";
import { enqueueWhile } from "../../src/persistence/enqueue.ts";
import { releaseStaleJobs } from "../../src/persistence/stale-jobs.ts";
import { ConsumerJobs } from "../../src/queue/consumer-jobs.ts";
import type { DequeueResult } from "../../src/contract/index.ts";
import { dispatchSettings } from "../../src/queue/index.ts";
import { openStore } from "../../src/worker/index.ts";
import { sweep } from "../../src/schedule/index.ts";
import type { Call } from "./calls.ts";
import { clearLive, job, MINUTE, NOW, recordedEnv, RUN, type World } from "./live.ts";
import { env } from "../support/env.ts";

/** Jobs before all others, for the batches to take. */
async function enqueueUrgent({ backend }: World, count: number): Promise<void> {
  await backend.jobs.enqueueParallel(
    Array.from({ length: count }, () => ({ ...job("urgent"), priority: 10 })),
  );
}

let taken: DequeueResult[] = [];

async function take(world: World, count: number): Promise<void> {
  await enqueueUrgent(world, count);
  taken = await world.backend.jobs.dequeueMany(count);
}

const ids = () => taken.map(({ jobId }) => jobId);

function unit({ recorder }: World): AutoCommit {
  return new AutoCommit(openStore(recordedEnv(recorder), { now: () => NOW }));
}

/** What only the consumer does. */
function consumer(world: World): ConsumerJobs {
  return new ConsumerJobs({ direct: unit(world), workerId: null });
}

async function tick({ recorder }: World, handled: boolean): Promise<void> {
  const { failed } = await sweep({
    store: openStore(recordedEnv(recorder), { now: () => NOW + MINUTE }),
    // The finished runs are years old; their keys stay.
    settings: dispatchSettings({ IDEMPOTENCY_KEYS_DAYS: 36_500 }),
    waker: null,
    handler: handled
      ? { embedded: true, handler: { handleJob: async () => ({ status: "completed" }) } }
      : null,
  });
  if (failed.length > 0) throw new Error(`failed: ${failed.join()}`);
}

export const DISPATCH: readonly Call[] = [
  {
    name: "jobs.enqueue (dedupeKey)",
    call: ({ backend }) => backend.jobs.enqueue({ ...job("new"), dedupeKey: "live" }),
  },
  {
    name: "jobs.enqueue (dedupeKey, held)",
    before: ({ backend }) => backend.jobs.enqueue({ ...job("new"), dedupeKey: "live" }),
    call: ({ backend }) => backend.jobs.enqueue({ ...job("new"), dedupeKey: "live" }),
  },
  {
    name: "jobs.enqueue (concurrencyKey)",
    call: ({ backend }) => backend.jobs.enqueue({ ...job("new"), concurrencyKey: "live" }),
  },
  {
    name: "sweep (1 job of a stage as it was seen)",
    call: (world) => {
      const expect = { is: "version", version: 2 } as const;
      const guard = { on: "stage", workflowRunId: RUN, stageId: "analyse", expect } as const;
      const jobs = [{ ...job("analyse"), dedupeKey: "poll" }];
      return enqueueWhile(unit(world), { jobs, guards: [guard] });
    },
  },
  {
    name: "jobs.dequeueMany (1)",
    before: (world) => enqueueUrgent(world, 25),
    call: ({ backend }) => backend.jobs.dequeueMany(1),
  },
  {
    name: "jobs.dequeueMany (25)",
    before: (world) => enqueueUrgent(world, 25),
    call: ({ backend }) => backend.jobs.dequeueMany(25),
  },
  {
    name: "jobs.dequeueMany (1, of a concurrencyKey)",
    before: ({ backend }) =>
      backend.jobs.enqueue({ ...job("urgent"), priority: 10, concurrencyKey: "live" }),
    call: ({ backend }) => backend.jobs.dequeueMany(1),
  },
  {
    name: "consumer.resumeAndDequeue (25)",
    before: (world) => enqueueUrgent(world, 25),
    call: (world) => consumer(world).resumeAndDequeue(25),
  },
  {
    name: "jobs.completeMany (1)",
    before: (world) => take(world, 1),
    call: ({ backend }) => backend.jobs.completeMany(ids()),
  },
  {
    name: "jobs.completeMany (25)",
    before: (world) => take(world, 25),
    call: ({ backend }) => backend.jobs.completeMany(ids()),
  },
  {
    name: "consumer.settleMany (25)",
    before: (world) => take(world, 25),
    call: (world) =>
      consumer(world).settleMany(
        ids().map((jobId) => ({ jobId, outcome: { status: "completed" } })),
      ),
  },
  {
    name: "consumer.touchMany (25)",
    before: (world) => take(world, 25),
    call: (world) => consumer(world).touchMany(ids()),
  },
  {
    name: "consumer.giveBackMany (25)",
    before: (world) => take(world, 25),
    call: (world) => consumer(world).giveBackMany(ids(), "The handler is away"),
  },
  {
    name: "consumer.unclaimMany (9)",
    before: (world) => take(world, 9),
    call: (world) => consumer(world).unclaimMany(ids().slice(0, 9)),
  },
  {
    name: "consumer.lostAmong (25)",
    before: (world) => take(world, 25),
    call: (world) => consumer(world).lostAmong(ids()),
  },
  {
    name: "consumer.endedAmong (25)",
    before: (world) => take(world, 25),
    call: (world) => consumer(world).endedAmong(taken.map(({ workflowRunId }) => workflowRunId)),
  },
  {
    name: "jobs.adopt",
    call: async ({ backend, leased }) => backend.jobs.adopt({ jobId: leased, attempt: 1 }),
  },
  { name: "jobs.jobStats", call: ({ backend }) => backend.jobs.jobStats() },
  {
    name: "sweep (no stale lease)",
    before: ({ backend }) => backend.jobs.releaseStaleJobs(),
    call: (world) => releaseStaleJobs(unit(world), 300_000, 5),
  },
  { name: "audit", call: ({ backend }) => backend.audit() },
  {
    name: "sweep (idle)",
    before: () => clearLive(env.DB),
    call: (world) => tick(world, true),
  },
  { name: "sweep (busy)", call: (world) => tick(world, true) },
];
