import { expect } from "vitest";
import type { Test } from "./harness.ts";
import { race, codesOf, barrier, RACERS } from "./races.ts";
import {
  anAnnotation,
  anArtifact,
  aRun,
  aStage,
  at,
  eventsOf,
  outcomesOf,
  present,
  seedRun,
  seedStage,
  theRun,
  upTo,
} from "./support.ts";

/** Races between connections for runs, stages and what belongs to them. */
export function concurrency(test: Test): void {
  test("ten claimers over three runs get three", async (fixture) => {
    for (const id of ["x", "y", "z"]) await seedRun(fixture.a, { id });

    const { values, errors } = await race(fixture, RACERS, ({ persistence }) =>
      persistence.claimNextPendingRun(),
    );

    const claimed = values.flatMap((run) => (run === null ? [] : [run.id]));
    expect(errors).toEqual([]);
    expect(claimed.toSorted()).toEqual(["x", "y", "z"]);
  });

  test("as many claimers as runs get one each", async (fixture) => {
    const ids = upTo(RACERS).map((n) => `run-${n}`);
    for (const id of ids) await seedRun(fixture.a, { id });

    const { values } = await race(fixture, RACERS, ({ persistence }) =>
      persistence.claimNextPendingRun(),
    );

    expect(values.map((run) => present(run).id).toSorted()).toEqual(ids.toSorted());
    for (const run of values) expect(run).toMatchObject({ status: "RUNNING", version: 2 });
  });

  test("claimers inside transactions never share a run", async (fixture) => {
    const ids = upTo(6).map((n) => `run-${n}`);
    for (const id of ids) await seedRun(fixture.a, { id });

    const { values, errors } = await race(fixture, 6, ({ persistence }) =>
      persistence.withTransaction(async (tx) => (await tx.claimNextPendingRun())?.id),
    );

    expect(codesOf(errors).filter((code) => code !== "CONFLICT")).toEqual([]);
    const running = await fixture.a.persistence.getRunsByStatus("RUNNING");
    const claimed = values.filter((id) => id !== undefined);
    expect(claimed.toSorted()).toEqual(running.map((run) => run.id).toSorted());
    expect(new Set(claimed).size).toBe(claimed.length);
  });

  test("one of many claimers of one run gets it", async (fixture) => {
    const { id } = await seedRun(fixture.a);

    const { values } = await race(fixture, RACERS, ({ persistence }) =>
      persistence.claimPendingRun(id),
    );

    expect(values.filter(Boolean)).toHaveLength(1);
    expect(values).toHaveLength(RACERS);
    expect((await theRun(fixture.a, id)).version).toBe(2);
  });

  test("claims by id and claims of the next never share a run", async (fixture) => {
    const { id } = await seedRun(fixture.a);

    const { values } = await race(fixture, RACERS, async ({ persistence }, index) =>
      index % 2 === 0
        ? persistence.claimPendingRun(id)
        : (await persistence.claimNextPendingRun()) !== null,
    );

    expect(values.filter(Boolean)).toHaveLength(1);
  });

  test("one of many updates that expect the same version lands", async (fixture) => {
    const { id } = await seedRun(fixture.a);

    const { values, errors } = await race(fixture, RACERS, ({ persistence }, index) =>
      persistence.updateRun(id, { expectedVersion: 1, totalTokens: index }),
    );

    expect(values).toHaveLength(1);
    for (const error of errors) {
      expect(error).toMatchObject({ name: "StaleVersionError", expected: 1, actual: 2 });
    }
    expect((await theRun(fixture.a, id)).version).toBe(2);
  });

  test("unconditional updates at once all count", async (fixture) => {
    const { id } = await seedRun(fixture.a);
    const stage = await seedStage(fixture.a, id);

    const { errors } = await race(fixture, RACERS, async ({ persistence }) => {
      await persistence.updateRun(id, {});
      await persistence.updateStage(stage.id, {});
    });

    expect(errors).toEqual([]);
    expect((await theRun(fixture.a, id)).version).toBe(RACERS + 1);
    expect(await fixture.a.persistence.getStage(id, "extract")).toMatchObject({
      version: RACERS + 1,
    });
  });

  test("one of many who create the same run succeeds", async (fixture) => {
    const { values, errors } = await race(fixture, RACERS, ({ persistence }, input) =>
      persistence.createRun(aRun({ id: "run-1", input })),
    );

    expect(values).toHaveLength(1);
    expect(new Set(codesOf(errors))).toEqual(new Set(["ALREADY_EXISTS"]));
    expect(await theRun(fixture.a, "run-1")).toEqual(at(values, 0));
  });

  test("one of many who create the same stage succeeds", async (fixture) => {
    const { id } = await seedRun(fixture.a);

    const { values, errors } = await race(fixture, RACERS, ({ persistence }, config) =>
      persistence.createStage(aStage(id, { config })),
    );

    expect(values).toHaveLength(1);
    expect(new Set(codesOf(errors))).toEqual(new Set(["ALREADY_EXISTS"]));
    expect(await fixture.a.persistence.getStagesByRun(id)).toEqual(values);
  });

  test("upserts of one stage at once all succeed on one row", async (fixture) => {
    const { id } = await seedRun(fixture.a);

    const { values, errors } = await race(fixture, RACERS, ({ persistence }) =>
      persistence.upsertStage({
        workflowRunId: id,
        stageId: "extract",
        create: aStage(id),
        update: { status: "RUNNING" },
      }),
    );

    expect(errors).toEqual([]);
    expect(new Set(values.map((stage) => stage.id)).size).toBe(1);
    const versions = values.map((stage) => stage.version).toSorted((x, y) => x - y);
    expect(versions).toEqual(upTo(RACERS));
    expect(await fixture.a.persistence.getStagesByRun(id)).toMatchObject([
      { status: "RUNNING", version: RACERS },
    ]);
  });

  test("saves of one artifact at once leave one whole artifact", async (fixture) => {
    const { id } = await seedRun(fixture.a);

    const { errors } = await race(fixture, RACERS, ({ persistence }, index) =>
      persistence.saveArtifact(anArtifact(id, { data: { index }, size: index })),
    );

    const stored = await fixture.a.persistence.listArtifacts(id);
    expect(errors).toEqual([]);
    expect(stored).toHaveLength(1);
    expect(at(stored, 0).data).toEqual({ index: at(stored, 0).size });
  });

  test("annotations with one idempotency key at once leave one row", async (fixture) => {
    const { id } = await seedRun(fixture.a);

    const { errors } = await race(fixture, RACERS, ({ persistence }, index) =>
      persistence.appendAnnotations([
        anAnnotation(id, { value: index, idempotencyKey: "once" }),
        anAnnotation(id, { key: `own-${index}` }),
      ]),
    );

    expect(errors).toEqual([]);
    const all = await fixture.a.persistence.listAnnotations(id);
    expect(all).toHaveLength(RACERS + 1);
    expect(all.filter((row) => row.idempotencyKey === "once")).toHaveLength(1);
  });

  test("a counter that ten transactions raise at once ends where it should", async (fixture) => {
    const { id } = await seedRun(fixture.a);
    const allHaveRead = barrier(RACERS);
    let runs = 0;

    const { values, errors } = await race(fixture, RACERS, async ({ persistence }) => {
      let ownRuns = 0;
      await persistence.withTransaction(async (tx) => {
        runs += 1;
        ownRuns += 1;
        const { totalTokens } = await theRun(tx, id);
        if (ownRuns === 1) await allHaveRead();
        await tx.updateRun(id, { totalTokens: totalTokens + 1 });
      });
    });

    // The barrier makes sure that the racers met: all but one of them had to run again.
    expect(runs).toBeGreaterThanOrEqual(RACERS + values.length - 1);
    expect(codesOf(errors).filter((code) => code !== "CONFLICT")).toEqual([]);
    expect(values.length).toBeGreaterThan(0);
    expect((await theRun(fixture.a, id)).totalTokens).toBe(values.length);
  });

  test("transactions over crossing runs neither deadlock nor lose anything", async (fixture) => {
    await seedRun(fixture.a, { id: "x" });
    await seedRun(fixture.a, { id: "y" });

    const { values, errors } = await race(fixture, 6, ({ persistence }, index) =>
      persistence.withTransaction(async (tx) => {
        const order = index % 2 === 0 ? ["x", "y"] : ["y", "x"];
        for (const id of order) {
          const { totalTokens } = await theRun(tx, id);
          await tx.updateRun(id, { totalTokens: totalTokens + 1 });
        }
      }),
    );

    expect(codesOf(errors).filter((code) => code !== "CONFLICT")).toEqual([]);
    expect((await theRun(fixture.a, "x")).totalTokens).toBe(values.length);
    expect((await theRun(fixture.a, "y")).totalTokens).toBe(values.length);
  });

  test("calls of one connection at once do not disturb each other", async ({ a, b }) => {
    const { id } = await seedRun(a);

    const { errors } = await outcomesOf([
      ...upTo(8).map(() => a.persistence.updateRun(id, {})),
      ...upTo(8).map((n) => a.persistence.saveArtifact(anArtifact(id, { key: `${n}` }))),
      ...upTo(8).map((n) => a.persistence.appendOutboxEvents(eventsOf(id, `${n}`))),
      ...upTo(8).map(() => a.persistence.withTransaction((tx) => tx.updateRun(id, {}))),
    ]);

    expect(errors).toEqual([]);
    expect((await theRun(b, id)).version).toBe(17);
    expect(await b.persistence.listArtifacts(id)).toHaveLength(8);
    expect(await b.persistence.getUnpublishedOutboxEvents()).toHaveLength(8);
  });
}
