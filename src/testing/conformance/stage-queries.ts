import { expect } from "vitest";
import type { Status, WorkflowPersistence, WorkflowStageRecord } from "../../contract/index.ts";
import type { ConformanceBackend, Test } from "./harness.ts";
import { AN_HOUR_MS, forced, fromNow, INSTANT, seedRun, seedStage, shifted } from "./support.ts";

/** A stage by its id, its group, its number and its status, created in the order given. */
type Plan = readonly (readonly [stageId: string, group: number, number: number, status: Status])[];

async function seedPlan(backend: ConformanceBackend, plan: Plan): Promise<string> {
  const { id } = await seedRun(backend);
  for (const [stageId, executionGroup, stageNumber, status] of plan) {
    await seedStage(backend, id, { stageId, executionGroup, stageNumber, status });
  }
  return id;
}

function idsOf(stages: readonly WorkflowStageRecord[]): string[] {
  return stages.map((stage) => stage.stageId);
}

async function seedSuspended(
  backend: ConformanceBackend,
  runId: string,
  stageId: string,
  nextPollAt: Date | null,
): Promise<void> {
  const { id } = await seedStage(backend, runId, { stageId, status: "SUSPENDED" });
  await backend.persistence.updateStage(id, { nextPollAt });
}

/** Groups and numbers that disagree with the order of creation and with each other. */
const SHUFFLED: Plan = [
  ["third", 2, 1, "COMPLETED"],
  ["second", 1, 9, "FAILED"],
  ["fourth", 10, 0, "COMPLETED"],
  ["first", 1, 2, "COMPLETED"],
];

/** The queries over stages. */
export function stageQueries(test: Test): void {
  test("getStagesByRun goes by execution group, then by stage number", async ({ a, b }) => {
    const runId = await seedPlan(a, SHUFFLED);

    const unasked = await b.persistence.getStagesByRun(runId);
    const ascending = await b.persistence.getStagesByRun(runId, { orderBy: "asc" });

    expect(idsOf(unasked)).toEqual(["first", "second", "third", "fourth"]);
    expect(ascending).toEqual(unasked);
  });

  test("getStagesByRun reverses groups and numbers on request", async ({ a }) => {
    const runId = await seedPlan(a, SHUFFLED);

    const descending = await a.persistence.getStagesByRun(runId, { orderBy: "desc" });

    expect(idsOf(descending)).toEqual(["fourth", "third", "second", "first"]);
  });

  test("getStagesByRun puts equal stages in the order of their stage ids", async ({ a }) => {
    const runId = await seedPlan(a, [
      ["m", 1, 1, "PENDING"],
      ["z", 1, 1, "PENDING"],
      ["a", 1, 1, "PENDING"],
      ["b", 1, 1, "PENDING"],
    ]);

    expect(idsOf(await a.persistence.getStagesByRun(runId))).toEqual(["a", "b", "m", "z"]);
  });

  test("getStagesByRun filters by status", async ({ a }) => {
    const runId = await seedPlan(a, SHUFFLED);
    const { persistence } = a;

    const completed = await persistence.getStagesByRun(runId, {
      status: "COMPLETED",
      orderBy: "desc",
    });
    const failed = await persistence.getStagesByRun(runId, { status: "FAILED" });
    const skipped = await persistence.getStagesByRun(runId, { status: "SKIPPED" });

    expect(idsOf(completed)).toEqual(["fourth", "third", "first"]);
    expect(idsOf(failed)).toEqual(["second"]);
    expect(skipped).toEqual([]);
  });

  test("getStagesByRun returns whole records of that run only", async ({ a }) => {
    const run = await seedRun(a, { id: "run-1" });
    const stage = await seedStage(a, run.id, { config: { strict: true } });
    const other = await seedRun(a, { id: "run-10" });
    await seedStage(a, other.id);

    expect(await a.persistence.getStagesByRun("run-1")).toEqual([stage]);
    expect(await a.persistence.getStagesByRun("nobody")).toEqual([]);
  });

  test("stages may be skipped", async ({ a }) => {
    const runId = await seedPlan(a, [["extract", 1, 1, "SKIPPED"]]);

    expect(await a.persistence.getStage(runId, "extract")).toMatchObject({ status: "SKIPPED" });
  });

  test("getSuspendedStages includes the very instant of the poll", async ({ a, b }) => {
    const run = await seedRun(a);
    await seedSuspended(a, run.id, "extract", INSTANT);
    const stage = await a.persistence.getStage(run.id, "extract");

    expect(await b.persistence.getSuspendedStages(INSTANT)).toEqual([stage]);
    expect(await b.persistence.getSuspendedStages(shifted(INSTANT, -1))).toEqual([]);
  });

  test("getSuspendedStages goes across runs by the instant of the poll", async ({ a }) => {
    const one = await seedRun(a);
    const two = await seedRun(a);
    await seedSuspended(a, one.id, "c", shifted(INSTANT, 30));
    await seedSuspended(a, two.id, "a", shifted(INSTANT, 10));
    await seedSuspended(a, one.id, "b", shifted(INSTANT, 20));
    await seedSuspended(a, two.id, "d", shifted(INSTANT, AN_HOUR_MS));

    const due = await a.persistence.getSuspendedStages(shifted(INSTANT, 30));

    expect(idsOf(due)).toEqual(["a", "b", "c"]);
  });

  test("getSuspendedStages goes by run and stage where the instants are the same, in a transaction too", async ({
    a,
  }) => {
    // In the order of UTF-16 units the last two change places.
    const ids = ["a", "\uff5e", "\u{1f600}"];
    for (const id of ids.toReversed()) {
      await seedRun(a, { id });
      for (const stageId of ids.toReversed()) await seedSuspended(a, id, stageId, INSTANT);
    }
    const expected = ids.flatMap((id) => ids.map((stageId) => [id, stageId]));
    const due = async (persistence: WorkflowPersistence) =>
      (await persistence.getSuspendedStages(INSTANT)).map((stage) => [
        stage.workflowRunId,
        stage.stageId,
      ]);

    expect(await due(a.persistence)).toEqual(expected);
    await a.persistence.withTransaction(async (tx) => {
      await tx.getStage("a", "a");
      expect(await due(tx)).toEqual(expected);
    });
  });

  test("getSuspendedStages leaves out other statuses and polls that were cleared", async ({
    a,
  }) => {
    const run = await seedRun(a);
    await seedSuspended(a, run.id, "cleared", null);
    await seedSuspended(a, run.id, "resumed", INSTANT);
    await a.persistence.updateStageByRunAndStageId(run.id, "resumed", { status: "RUNNING" });

    expect(await a.persistence.getSuspendedStages(fromNow(AN_HOUR_MS))).toEqual([]);
  });

  test("getSuspendedStages does not look at the status of the run", async ({ a }) => {
    const run = await seedRun(a);
    await seedSuspended(a, run.id, "extract", INSTANT);

    for (const status of ["RUNNING", "CANCELLED", "COMPLETED"] as const) {
      await a.persistence.updateRun(run.id, { status });
      expect(idsOf(await a.persistence.getSuspendedStages(INSTANT))).toEqual(["extract"]);
    }
  });

  test("getSuspendedStages takes an ISO string and milliseconds too", async ({ a }) => {
    const run = await seedRun(a);
    await seedSuspended(a, run.id, "extract", INSTANT);

    const byText = await a.persistence.getSuspendedStages(forced(INSTANT.toISOString()));
    const byNumber = await a.persistence.getSuspendedStages(forced(INSTANT.getTime()));

    expect([idsOf(byText), idsOf(byNumber)]).toEqual([["extract"], ["extract"]]);
  });

  test("getFirstSuspendedStageReadyToResume wants a suspended stage without a poll", async ({
    a,
  }) => {
    const run = await seedRun(a);
    const { persistence } = a;
    await seedSuspended(a, run.id, "overdue", INSTANT);
    await seedStage(a, run.id, { stageId: "pending" });
    expect(await persistence.getFirstSuspendedStageReadyToResume(run.id)).toBeNull();

    await seedSuspended(a, run.id, "ready", null);

    expect(await persistence.getFirstSuspendedStageReadyToResume(run.id)).toEqual(
      await persistence.getStage(run.id, "ready"),
    );
    expect(await persistence.getFirstSuspendedStageReadyToResume("nobody")).toBeNull();
  });

  test("getFirstSuspendedStageReadyToResume takes the lowest group and number", async ({ a }) => {
    const runId = await seedPlan(a, [
      ["a", 10, 1, "SUSPENDED"],
      ["b", 2, 7, "SUSPENDED"],
      ["c", 2, 5, "SUSPENDED"],
      ["d", 1, 1, "COMPLETED"],
    ]);

    expect(await a.persistence.getFirstSuspendedStageReadyToResume(runId)).toMatchObject({
      stageId: "c",
    });
  });

  test("getFirstFailedStage takes the lowest group and number", async ({ a }) => {
    const runId = await seedPlan(a, [
      ["a", 10, 1, "FAILED"],
      ["b", 2, 7, "FAILED"],
      ["c", 2, 5, "FAILED"],
      ["d", 1, 1, "COMPLETED"],
    ]);

    expect(await a.persistence.getFirstFailedStage(runId)).toEqual(
      await a.persistence.getStage(runId, "c"),
    );
  });

  test("getLastCompletedStage takes the highest group and number", async ({ a }) => {
    const runId = await seedPlan(a, [
      ["a", 10, 3, "COMPLETED"],
      ["b", 10, 12, "COMPLETED"],
      ["c", 9, 99, "COMPLETED"],
      ["d", 11, 1, "RUNNING"],
    ]);

    expect(await a.persistence.getLastCompletedStage(runId)).toEqual(
      await a.persistence.getStage(runId, "b"),
    );
  });

  test("getLastCompletedStageBefore looks strictly below the group", async ({ a }) => {
    const runId = await seedPlan(a, [
      ["a", 1, 1, "COMPLETED"],
      ["b", 2, 1, "COMPLETED"],
      ["c", 2, 2, "COMPLETED"],
      ["d", 3, 1, "COMPLETED"],
      ["e", 2, 3, "FAILED"],
    ]);
    const before = (group: number) => a.persistence.getLastCompletedStageBefore(runId, group);

    expect(await before(4)).toMatchObject({ stageId: "d" });
    expect(await before(3)).toMatchObject({ stageId: "c" });
    expect(await before(2)).toMatchObject({ stageId: "a" });
    expect(await before(1)).toBeNull();
  });

  test("the queries for one stage return null when there is none", async ({ a }) => {
    const runId = await seedPlan(a, [["extract", 1, 1, "RUNNING"]]);

    for (const id of [runId, "nobody"]) {
      expect(await a.persistence.getFirstFailedStage(id)).toBeNull();
      expect(await a.persistence.getLastCompletedStage(id)).toBeNull();
      expect(await a.persistence.getLastCompletedStageBefore(id, 9)).toBeNull();
      expect(await a.persistence.getFirstSuspendedStageReadyToResume(id)).toBeNull();
    }
  });
}
