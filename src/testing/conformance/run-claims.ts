import { expect } from "vitest";
import type { ConformanceBackend, Test } from "./harness.ts";
import { nap, present, seedRun, seedRunningRun, theRun } from "./support.ts";

async function claimAll(backend: ConformanceBackend): Promise<string[]> {
  const ids: string[] = [];
  // No test has more runs: an adapter that gives out a run again fails instead of going on.
  while (ids.length < 1_000) {
    const run = await backend.persistence.claimNextPendingRun();
    if (run === null) return ids;
    ids.push(run.id);
  }
  throw new Error("Claims do not come to an end");
}

/** claimPendingRun, claimNextPendingRun, getRunsByStatus. */
export function runClaims(test: Test): void {
  test("claimPendingRun starts a pending run once", async ({ a, b }) => {
    const run = await seedRun(a);

    expect(await a.persistence.claimPendingRun(run.id)).toBe(true);
    expect(await b.persistence.claimPendingRun(run.id)).toBe(false);

    const claimed = await theRun(a, run.id);
    expect(claimed).toEqual({
      ...run,
      status: "RUNNING",
      version: 2,
      startedAt: claimed.startedAt,
      updatedAt: claimed.updatedAt,
    });
    expect(claimed.startedAt).toBeInstanceOf(Date);
    const age = present(claimed.startedAt).getTime() - run.createdAt.getTime();
    expect(age).toBeGreaterThanOrEqual(0);
    expect(age).toBeLessThan(60_000);
  });

  test("claimPendingRun refuses every other status and leaves the run alone", async ({ a }) => {
    const { id } = await seedRun(a);

    for (const status of ["RUNNING", "SUSPENDED", "COMPLETED", "FAILED", "CANCELLED"] as const) {
      await a.persistence.updateRun(id, { status });
      const before = await theRun(a, id);
      expect(await a.persistence.claimPendingRun(id)).toBe(false);
      expect(await theRun(a, id)).toEqual(before);
    }
  });

  test("claimPendingRun is false for a run that does not exist", async ({ a }) => {
    expect(await a.persistence.claimPendingRun("nobody")).toBe(false);
    expect(await a.persistence.getRun("nobody")).toBeNull();
  });

  test("claimNextPendingRun is null when nothing is pending", async ({ a }) => {
    expect(await a.persistence.claimNextPendingRun()).toBeNull();
    await seedRunningRun(a);
    expect(await a.persistence.claimNextPendingRun()).toBeNull();
  });

  test("claimNextPendingRun returns the run as it is stored afterwards", async ({ a, b }) => {
    const run = await seedRun(a, { metadata: { tenant: "acme" } });
    await nap();

    const claimed = present(await a.persistence.claimNextPendingRun());

    expect(claimed).toMatchObject({ id: run.id, status: "RUNNING", version: 2 });
    expect(claimed.startedAt).toBeInstanceOf(Date);
    expect(claimed.updatedAt.getTime()).toBeGreaterThan(run.updatedAt.getTime());
    expect(await theRun(b, run.id)).toEqual(claimed);
  });

  test("claimNextPendingRun serves the highest priority first, then the oldest", async ({ a }) => {
    await seedRun(a, { id: "default-1" });
    await seedRun(a, { id: "low", priority: 1 });
    await seedRun(a, { id: "high-1", priority: 10 });
    await seedRun(a, { id: "zero", priority: 0 });
    await seedRun(a, { id: "default-2" });
    await seedRun(a, { id: "high-2", priority: 10 });

    expect(await claimAll(a)).toEqual([
      "high-1",
      "high-2",
      "default-1",
      "default-2",
      "low",
      "zero",
    ]);
  });

  test("claimNextPendingRun compares priorities as numbers", async ({ a }) => {
    for (const priority of [2, 100, 10, 9]) await seedRun(a, { id: `p${priority}`, priority });

    expect(await claimAll(a)).toEqual(["p100", "p10", "p9", "p2"]);
  });

  test("claimNextPendingRun serves runs of one instant in the order of creation", async ({ a }) => {
    const ids = ["m", "z", "b", "y", "a", "x"];
    for (const id of ids) await seedRun(a, { id });

    expect(await claimAll(a)).toEqual(ids);
  });

  test("claimNextPendingRun goes by creation, whenever a run was updated", async ({ a }) => {
    await seedRun(a, { id: "older" });
    await seedRun(a, { id: "newer" });
    await a.persistence.updateRun("older", { totalTokens: 1 });

    expect(await claimAll(a)).toEqual(["older", "newer"]);
  });

  test("claimNextPendingRun passes over runs that are not pending", async ({ a }) => {
    for (const status of ["RUNNING", "SUSPENDED", "COMPLETED", "FAILED", "CANCELLED"] as const) {
      const { id } = await seedRun(a, { priority: 10 });
      await a.persistence.updateRun(id, { status });
    }
    await seedRun(a, { id: "pending", priority: 1 });

    expect(await claimAll(a)).toEqual(["pending"]);
  });

  test("a run that is put back to pending can be claimed again", async ({ a, b }) => {
    const { id } = await seedRun(a);
    await a.persistence.claimNextPendingRun();
    await a.persistence.updateRun(id, { status: "PENDING" });

    const claimed = await b.persistence.claimNextPendingRun();

    expect(claimed).toMatchObject({ id, status: "RUNNING", version: 4 });
  });

  test("getRunsByStatus lists the runs of one status in the order of creation", async ({
    a,
    b,
  }) => {
    const ids = ["k", "c", "z", "a", "q"];
    for (const [priority, id] of ids.entries()) await seedRun(a, { id, priority });
    await a.persistence.updateRun("k", { totalTokens: 1 });
    await a.persistence.updateRun("z", { status: "FAILED" });

    const pending = await b.persistence.getRunsByStatus("PENDING");
    const failed = await b.persistence.getRunsByStatus("FAILED");

    expect(pending.map((run) => run.id)).toEqual(["k", "c", "a", "q"]);
    expect(failed).toEqual([await theRun(a, "z")]);
  });

  test("getRunsByStatus is empty when no run has the status", async ({ a }) => {
    await seedRun(a);

    expect(await a.persistence.getRunsByStatus("COMPLETED")).toEqual([]);
  });

  test("getRunsByStatus has no limit", async ({ a }) => {
    const ids = Array.from({ length: 130 }, (_, index) => `run-${index}`);
    await a.persistence.withTransaction(async (tx) => {
      for (const id of ids) {
        await tx.createRun({
          id,
          workflowId: "w",
          workflowName: "w",
          workflowType: "w",
          input: null,
        });
      }
    });

    const pending = await a.persistence.getRunsByStatus("PENDING");

    expect(pending.map((run) => run.id)).toEqual(ids);
  });
}
