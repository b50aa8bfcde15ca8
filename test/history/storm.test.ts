import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { EnqueueJobInput } from "../../src/contract/index.ts";
import { embed } from "../../src/embed.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { Random } from "../queue/support/random.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { check, type HistoryEvent } from "./checker.ts";
import { Storm } from "./storm.ts";

const JOBS = 200;
/** To repeat a storm, set its seed here. What the workers race for differs all the same. */
const SEEDS = [crypto.getRandomValues(new Uint32Array(1))[0] ?? 1];

beforeAll(() => {
  withoutPauses();
});
beforeEach(async () => {
  await emptyDatabase();
});

/** Jobs of ten runs, of all priorities, some due later. */
function jobsOf(random: Random, more: (index: number) => Partial<EnqueueJobInput> = () => ({})) {
  return Array.from({ length: JOBS }, (_, index) => ({
    workflowRunId: `run-${index % 10}`,
    workflowId: "w",
    stageId: String(index),
    priority: random.between(1, 9),
    maxAttempts: 100,
    ...more(index),
  }));
}

async function blown(random: Random, jobs: EnqueueJobInput[]): Promise<Storm> {
  const crowd = { consumers: 8, pollers: 6, batchPollers: 6, sweepers: 3 };
  const storm = new Storm({ random, jobs, ...crowd });
  await storm.blow();
  return storm;
}

/** The rows, apart from the history: all is completed, and no event was stored twice. */
async function expectRows(seed: number): Promise<void> {
  const backend = embed(env);
  const { persistence, jobs } = backend;
  expect(await backend.audit(), `seed ${seed}`).toEqual([]);
  let completed = 0;
  for (let run = 0; run < 10; run += 1) {
    for (const { status } of await jobs.getJobsByWorkflowRun(`run-${run}`)) {
      if (status === "COMPLETED") completed += 1;
    }
  }
  expect(completed, `seed ${seed}`).toBe(JOBS);
  const causes = (await persistence.getUnpublishedOutboxEvents(1_000)).map(
    ({ causationId }) => causationId,
  );
  expect(causes.length, `seed ${seed}`).toBeGreaterThan(0);
  expect(new Set(causes).size, `seed ${seed}`).toBe(causes.length);
}

function figures(events: readonly HistoryEvent[]) {
  const counted = Map.groupBy(events, (event) =>
    "answer" in event ? `${event.kind} ${event.answer}` : event.kind,
  );
  return new Map([...counted].map(([kind, list]) => [kind, list.length]));
}

function expectTrouble({ counts, log }: Storm, seed: number): void {
  const told = `seed ${seed}`;
  expect(counts.kills, told).toBeGreaterThan(0);
  expect(counts.expired, told).toBeGreaterThan(0);
  expect(counts.faults, told).toBeGreaterThan(0);
  expect(counts.late, told).toBeGreaterThan(0);
  expect(log.lost, told).toBeGreaterThan(0);
  expect(log.fenced, told).toBeGreaterThan(0);
  const kinds = figures(log.events);
  expect(kinds.get("enqueued"), told).toBe(JOBS);
  expect(kinds.get("released accepted"), told).toBeGreaterThan(0);
  expect(kinds.get("settled accepted"), told).toBeGreaterThan(JOBS / 2);
}

describe("200 jobs in a storm of 20 consumers and pollers that die, lose answers and come too late", () => {
  it.each(SEEDS)(
    "are leased to one at a time, by priority, and each ends once (seed %i)",
    async (seed) => {
      const random = new Random(seed);
      const storm = await blown(random, jobsOf(random));
      expect(check(storm.log.events), `seed ${seed}`).toEqual([]);
      await expectRows(seed);
      expectTrouble(storm, seed);
    },
    120_000,
  );

  it.each(SEEDS)(
    "are never more of a concurrency key at one time than its limit (seed %i)",
    async (seed) => {
      const random = new Random(seed + 1);
      const jobs = jobsOf(random, (index) => {
        if (index % 2 === 1) return {};
        const tenant = index % 3;
        return { concurrencyKey: `tenant-${tenant}`, concurrencyLimit: 2 + 2 * tenant };
      });
      const storm = await blown(random, jobs);
      expect(check(storm.log.events), `seed ${seed}`).toEqual([]);
      await expectRows(seed);
      expectTrouble(storm, seed);
    },
    120_000,
  );
});
