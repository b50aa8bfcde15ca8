import { expect } from "vitest";
import type { WorkflowPersistence } from "../../contract/index.ts";
import type { Test } from "./harness.ts";
import { addStage, INTERFERENCES, RUN, seedAll } from "./interferences.ts";
import {
  anAnnotation,
  anArtifact,
  aStage,
  disturbed,
  eventsOf,
  INSTANT,
  seedRun,
  seedStage,
  theRun,
  theStage,
} from "./support.ts";

/** What makes a callback run again, and what does not. */
export function transactionIsolation(test: Test): void {
  for (const { name, read, disturb } of INTERFERENCES) {
    test(`the callback runs again when it read ${name}`, async ({ a, b }) => {
      await seedAll(a);

      const { result, runs } = await disturbed(
        a,
        () => disturb(b),
        async (tx, interfere) => {
          const seen = await read(tx);
          await interfere();
          await tx.updateRun("witness", { output: "committed" });
          return seen;
        },
      );

      expect(runs).toBe(2);
      expect(result).toEqual(await read(b.persistence));
      expect(await theRun(b, "witness")).toMatchObject({ output: "committed", version: 2 });
    });
  }

  test("an update is not lost when another lands between read and write", async ({ a, b }) => {
    await seedRun(a, { id: RUN });

    const { runs } = await disturbed(
      a,
      () => b.persistence.updateRun(RUN, { totalTokens: 100 }),
      async (tx, interfere) => {
        const { totalTokens } = await theRun(tx, RUN);
        await interfere();
        await tx.updateRun(RUN, { totalTokens: totalTokens + 1 });
      },
    );

    expect(runs).toBe(2);
    expect(await theRun(a, RUN)).toMatchObject({ totalTokens: 101, version: 3 });
  });

  test("a read repeats within one run of the callback", async ({ a, b }) => {
    await seedAll(a);
    const readBoth = async (tx: WorkflowPersistence) => [
      await tx.getRun(RUN),
      await tx.getStagesByRun(RUN),
    ];

    const { result, runs } = await disturbed(
      a,
      async () => {
        await b.persistence.updateRun(RUN, { totalTokens: 7 });
        await addStage(b);
      },
      async (tx, interfere) => {
        const before = await readBoth(tx);
        await interfere();
        expect(await readBoth(tx)).toEqual(before);
        await tx.updateRun("witness", {});
        return before;
      },
    );

    expect(runs).toBe(2);
    expect(result).toEqual(await readBoth(b.persistence));
  });

  test("what a transaction reads belongs to one moment, even when it writes nothing", async ({
    a,
    b,
  }) => {
    await seedRun(a, { id: "x" });
    await seedRun(a, { id: "y" });

    const { result } = await disturbed(
      a,
      () =>
        b.persistence.withTransaction(async (tx) => {
          await tx.updateRun("x", { totalTokens: 1 });
          await tx.updateRun("y", { totalTokens: 1 });
        }),
      async (tx, interfere) => {
        const x = await theRun(tx, "x");
        await interfere();
        const y = await theRun(tx, "y");
        return [x.totalTokens, y.totalTokens];
      },
    );

    expect([
      [0, 0],
      [1, 1],
    ]).toContainEqual(result);
  });

  test("two transactions that read each other's run do not both write", async ({ a, b }) => {
    await seedRun(a, { id: "x" });
    await seedRun(a, { id: "y" });
    const goOnDuty = async (tx: WorkflowPersistence, own: string, other: string) => {
      if ((await theRun(tx, other)).status === "PENDING") {
        await tx.updateRun(own, { status: "RUNNING" });
      }
    };

    const { runs } = await disturbed(
      a,
      () => b.persistence.withTransaction((tx) => goOnDuty(tx, "y", "x")),
      async (tx, interfere) => {
        await theRun(tx, "y");
        await interfere();
        await goOnDuty(tx, "x", "y");
      },
    );

    expect(runs).toBe(2);
    expect(await b.persistence.getRunsByStatus("RUNNING")).toMatchObject([{ id: "y" }]);
  });

  test("two transactions that read each other's rows of one run do not both write", async ({
    a,
    b,
  }) => {
    await seedRun(a, { id: RUN });
    const claimSeat = async (tx: WorkflowPersistence, key: string) => {
      if ((await tx.listArtifacts(RUN)).length === 0)
        await tx.saveArtifact(anArtifact(RUN, { key }));
    };

    const { runs } = await disturbed(
      a,
      () => b.persistence.withTransaction((tx) => claimSeat(tx, "b")),
      async (tx, interfere) => {
        await tx.listArtifacts(RUN);
        await interfere();
        await claimSeat(tx, "a");
      },
    );

    expect(runs).toBe(2);
    expect(await b.persistence.listArtifacts(RUN)).toMatchObject([{ key: "b" }]);
  });

  test("transactions that update different stages of one run do not conflict", async ({ a, b }) => {
    await seedRun(a, { id: RUN });
    const one = await seedStage(a, RUN, { stageId: "one" });
    const two = await seedStage(a, RUN, { stageId: "two" });
    const finish = async (tx: WorkflowPersistence, id: string) => {
      expect(await tx.getRunStatus(RUN)).toBe("PENDING");
      await tx.updateStage(id, { status: "COMPLETED" });
    };
    let runsOfOther = 0;

    const { runs } = await disturbed(
      a,
      () =>
        b.persistence.withTransaction(async (tx) => {
          runsOfOther += 1;
          await finish(tx, two.id);
        }),
      async (tx, interfere) => {
        await finish(tx, one.id);
        await interfere();
      },
    );

    expect({ runs, runsOfOther }).toEqual({ runs: 1, runsOfOther: 1 });
    expect(await theStage(a, one.id)).toMatchObject({ status: "COMPLETED", version: 2 });
    expect(await theStage(a, two.id)).toMatchObject({ status: "COMPLETED", version: 2 });
  });

  test("siblings that annotate and announce at once all commit", async ({ a, b }) => {
    await seedRun(a, { id: RUN });
    const finish = async (tx: WorkflowPersistence, stageId: string) => {
      await tx.getRunStatus(RUN);
      const update = { status: "COMPLETED" } as const;
      const create = aStage(RUN, { stageId });
      await tx.upsertStage({ workflowRunId: RUN, stageId, create, update });
      await tx.appendAnnotations([anAnnotation(RUN, { key: stageId })]);
      await tx.appendOutboxEvents(eventsOf(RUN, stageId));
    };

    await disturbed(
      a,
      () => b.persistence.withTransaction((tx) => finish(tx, "two")),
      async (tx, interfere) => {
        await finish(tx, "one");
        await interfere();
      },
    );

    const events = await a.persistence.getUnpublishedOutboxEvents();
    expect(events.map((event) => [event.sequence, event.eventType])).toEqual([
      [1, "two"],
      [2, "one"],
    ]);
    expect(await a.persistence.listAnnotations(RUN)).toHaveLength(2);
    expect(await a.persistence.getStagesByRun(RUN)).toHaveLength(2);
  });

  test("a status that was read guards the status alone", async ({ a, b }) => {
    await seedAll(a);

    const { runs } = await disturbed(
      a,
      () => b.persistence.updateRun(RUN, { totalTokens: 7, output: "more" }),
      async (tx, interfere) => {
        await tx.getRunStatus(RUN);
        await interfere();
        await tx.updateRun("witness", {});
      },
    );

    expect(runs).toBe(1);
  });

  test("what is written to other runs does not disturb a transaction", async ({ a, b }) => {
    await seedAll(a);
    await seedRun(a, { id: "other" });

    const { runs } = await disturbed(
      a,
      async () => {
        await b.persistence.updateRun("other", { status: "RUNNING" });
        await seedStage(b, "other");
        await b.persistence.appendOutboxEvents(eventsOf("other", "x"));
        await b.persistence.acquireIdempotencyKey("key", "run.create");
      },
      async (tx, interfere) => {
        await tx.getRun(RUN);
        await tx.getStagesByRun(RUN);
        await tx.listAnnotations(RUN);
        await interfere();
        await tx.updateRun(RUN, { status: "RUNNING" });
        await tx.appendOutboxEvents(eventsOf(RUN, "x"));
      },
    );

    expect(runs).toBe(1);
  });

  test("lists across runs do not make the callback run again", async ({ a, b }) => {
    await seedAll(a);

    const { runs } = await disturbed(
      a,
      async () => {
        await seedRun(b, { id: "new", priority: 10 });
        await b.persistence.appendOutboxEvents(eventsOf("new", "x"));
        const { id } = await seedStage(b, "new", { status: "SUSPENDED" });
        await b.persistence.updateStage(id, { nextPollAt: INSTANT });
      },
      async (tx, interfere) => {
        await tx.getRunsByStatus("PENDING");
        await tx.getStuckRuns(INSTANT);
        await tx.getSuspendedStages(INSTANT);
        await tx.getUnpublishedOutboxEvents();
        await tx.replayDLQEvents(5);
        await tx.claimNextPendingRun();
        await interfere();
      },
    );

    expect(runs).toBe(1);
    expect(await theRun(b, RUN)).toMatchObject({ status: "RUNNING", version: 2 });
    expect(await b.persistence.getRunStatus("new")).toBe("PENDING");
  });
}
