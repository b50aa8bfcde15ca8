/** Work that stays behind: what others write between a look at it and the act that follows. */
import { afterEach, beforeAll, beforeEach, expect, it, vi } from "vitest";
import type { Store } from "../../src/changes/index.ts";
import type { JobHandler } from "../../src/contract/index.ts";
import { UNPOLLED_MS } from "../../src/model/index.ts";
import { Connection } from "../../src/persistence/connection.ts";
import type { QueryName } from "../../src/queries/index.ts";
import { withoutPauses } from "../faults/support/time.ts";
import { Delivery } from "../queue/support/queue.ts";
import { MINUTE_MS, NOW, type Part, World } from "../queue/support/world.ts";
import { emptyDatabase } from "../support/database.ts";
import { addFailure, addJobs, addStages } from "./support.ts";

const failures = () => [new Delivery({ v: 1, kind: "failures" })];
const failing: JobHandler = { handleJob: async () => Promise.reject(new Error("no such thing")) };

beforeAll(() => {
  withoutPauses();
});
beforeEach(async () => {
  await emptyDatabase();
});
afterEach(() => {
  vi.restoreAllMocks();
});

interface Interference {
  readonly around: (store: Store) => Store;
  /** How often the query has been asked. */
  readonly asked: () => number;
}

/** Acts once, after the first answer to the query that holds something. */
function after(q: QueryName, act: (store: Store) => Promise<void>): Interference {
  let asked = 0;
  let acted = false;
  return {
    asked: () => asked,
    around: (store) => ({
      now: () => store.now(),
      attempt: (commit) => store.attempt(commit),
      settle: (commit) => store.settle(commit),
      async read(queries) {
        const answers = await store.read(queries);
        if (!queries.some((query) => query.q === q)) return answers;
        asked += 1;
        const [first]: readonly unknown[] = answers;
        if (acted || !Array.isArray(first) || first.length === 0) return answers;
        acted = true;
        await act(store);
        return answers;
      },
    }),
  };
}

it("stages that were polled meanwhile cost a tick no more than 21 commits, and the next tick finds the others", async () => {
  const world = new World();
  const other = world.part();
  for (let run = 0; run < 40; run += 1) {
    await addStages(other, `r${run}`, 1, { suspendedUntil: NOW });
  }
  world.pass(UNPOLLED_MS + MINUTE_MS);
  const nextPollAt = new Date(world.now + UNPOLLED_MS);
  const { around } = after("unattendedStages", async (store) => {
    const { persistence } = new Connection(store);
    for (let run = 0; run < 30; run += 1) {
      await persistence.updateStageByRunAndStageId(`r${run}`, "0", { nextPollAt });
    }
  });
  let commits = 0;
  const counted = (store: Store): Store => {
    const inner = around(store);
    return {
      now: () => inner.now(),
      read: (queries) => inner.read(queries),
      settle: (commit) => inner.settle(commit),
      async attempt(commit) {
        if (commit.changes.some(({ kind }) => kind === "enqueueJob")) commits += 1;
        return inner.attempt(commit);
      },
    };
  };
  const report = await world.sweep(world.part(counted));
  expect(report).toMatchObject({ dispatchedStages: 0, failed: [] });
  expect(commits).toBe(21);
  expect((await world.sweep(world.part())).dispatchedStages).toBe(10);
});

it("a stage that was polled meanwhile gets no job before its next poll is overdue, and those beside it get theirs", async () => {
  const world = new World();
  const other = world.part();
  await addStages(other, "r", 1, { suspendedUntil: NOW });
  for (const run of ["q", "s"]) await addStages(other, run, 1, { suspendedUntil: NOW });
  world.pass(UNPOLLED_MS + MINUTE_MS);
  const nextPollAt = new Date(world.now + UNPOLLED_MS);
  const { around } = after("unattendedStages", async (store) => {
    await new Connection(store).persistence.updateStageByRunAndStageId("r", "0", { nextPollAt });
  });
  expect((await world.sweep(world.part(around))).dispatchedStages).toBe(2);
  expect(await other.backend.jobs.getJobsByWorkflowRun("r")).toEqual([]);
  for (const run of ["q", "s"]) {
    expect(await other.backend.jobs.getJobsByWorkflowRun(run)).toHaveLength(1);
    await other.backend.persistence.updateRun(run, { status: "CANCELLED" });
  }
  world.pass(UNPOLLED_MS + MINUTE_MS);
  expect((await world.sweep(world.part())).dispatchedStages).toBe(0);
  world.pass(UNPOLLED_MS);
  expect((await world.sweep(world.part())).dispatchedStages).toBe(1);
});

it("a stage whose run came back to life meanwhile is still looked after", async () => {
  const world = new World();
  const other = world.part();
  await addStages(other, "r", 1, { suspendedUntil: NOW });
  await other.backend.persistence.updateRun("r", { status: "CANCELLED" });
  world.pass(UNPOLLED_MS + MINUTE_MS);
  const { around } = after("unattendedStages", async (store) => {
    await new Connection(store).persistence.updateRun("r", { status: "RUNNING" });
  });
  expect((await world.sweep(world.part(around))).dispatchedStages).toBe(0);
  expect((await world.sweep(world.part())).dispatchedStages).toBe(1);
});

const ended: [string, (part: Part) => Promise<unknown>][] = [
  ["whose stage got another job", async (part) => addJobs(part, "r", 1)],
  [
    "whose stage was done, and that has work elsewhere",
    async ({ backend: { persistence, jobs } }) => {
      await persistence.updateStageByRunAndStageId("r", "0", { status: "COMPLETED" });
      await jobs.enqueue({ workflowRunId: "r", workflowId: "w", stageId: "next" });
    },
  ],
];
it.each(ended)("a run %s meanwhile is not ended as FAILED", async (_, goesOn) => {
  const world = new World();
  const other = world.part();
  await addFailure(other, "r");
  const { around } = after("unhandledFailures", async () => void (await goesOn(other)));
  await world.consume(world.part(around), failing, failures());
  expect((await other.backend.persistence.getRun("r"))?.status).toBe("RUNNING");
});

it("a run that is ended late in a wake-up has the instant of its own end", async () => {
  vi.spyOn(console, "error").mockImplementation(() => {});
  const world = new World();
  const other = world.part();
  for (let run = 10; run < 21; run += 1) await addFailure(other, `r${run}`);
  const { around } = after("unhandledFailures", async () => world.pass(5 * MINUTE_MS));
  await world.consume(world.part(around), failing, failures());
  const completedAt = new Date(world.now);
  const last = await other.backend.persistence.getRun("r20");
  expect(last).toMatchObject({ status: "FAILED", completedAt });
});

it("a wake-up reads failures that are closed by the hundred", async () => {
  const world = new World();
  const other = world.part();
  await addStages(other, "r", 1, { suspendedUntil: null });
  for (const id of await addJobs(other, "r", 200)) await other.backend.jobs.fail(id, "no");
  await other.backend.persistence.updateRun("r", { status: "FAILED" });
  const { around, asked } = after("unhandledFailures", async () => {});
  await world.consume(world.part(around), failing, failures());
  expect(asked()).toBe(3);
});
