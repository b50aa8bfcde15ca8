import { expect } from "vitest";
import type { Test } from "./harness.ts";
import {
  aJob,
  anAnnotation,
  anArtifact,
  anEvent,
  at,
  deliver,
  forced,
  INSTANT,
  present,
  seedRun,
  seedStage,
  theRun,
  theStage,
} from "./support.ts";

interface Bag {
  list: unknown[];
  [name: string]: unknown;
}

function aBag(): Bag {
  return { list: [1] };
}

/** Does to a value what its owner may do at any time. */
function spoil(value: unknown): void {
  const bag = forced<Bag>(value);
  bag.list.push("spoilt");
  bag["extra"] = "spoilt";
}

/** Nobody's objects are shared with the store. */
export function isolation(test: Test): void {
  test("changing what was passed in changes nothing that is stored", async ({ a, b }) => {
    const bag = aBag();
    const instant = new Date(INSTANT);
    const run = await seedRun(a, { input: bag, config: bag, metadata: bag });
    const stage = await seedStage(a, run.id, { config: bag, startedAt: instant });
    await a.persistence.updateStage(stage.id, { outputData: bag });
    await a.persistence.updateRun(run.id, { output: bag, startedAt: instant });
    await a.persistence.saveArtifact(anArtifact(run.id, { data: bag }));
    await a.persistence.appendAnnotations([anAnnotation(run.id, { value: bag })]);
    await a.persistence.appendOutboxEvents([
      anEvent(run.id, { payload: bag, occurredAt: instant }),
    ]);
    await a.persistence.completeIdempotencyKey("key", "run.create", bag);
    await a.jobs.enqueue(aJob(run.id, { payload: bag }));

    spoil(bag);
    instant.setFullYear(1999);

    const clean = { list: [1] };
    const { persistence } = b;
    expect(await theRun(b, run.id)).toMatchObject({ startedAt: INSTANT });
    expect((await theRun(b, run.id)).input).toEqual(clean);
    expect((await theRun(b, run.id)).output).toEqual(clean);
    expect((await theRun(b, run.id)).metadata).toEqual(clean);
    expect((await theStage(b, stage.id)).startedAt).toEqual(INSTANT);
    expect((await theStage(b, stage.id)).config).toEqual(clean);
    expect((await theStage(b, stage.id)).outputData).toEqual(clean);
    expect(await persistence.loadArtifact(run.id, "report.json")).toEqual(clean);
    expect(at(await persistence.listAnnotations(run.id), 0).value).toEqual(clean);
    const event = at(await persistence.getUnpublishedOutboxEvents(), 0);
    expect([event.payload, event.occurredAt]).toEqual([clean, INSTANT]);
    expect(await persistence.acquireIdempotencyKey("key", "run.create")).toEqual({
      status: "replay",
      result: clean,
    });
    expect(present(await b.jobs.dequeue()).payload).toEqual(clean);
  });

  test("changing a run that was returned changes nothing that is stored", async ({ a }) => {
    const created = await seedRun(a, { input: aBag() });
    const before = structuredClone(created);

    for (const record of [
      created,
      await theRun(a, created.id),
      at(await a.persistence.getRunsByStatus("PENDING"), 0),
    ]) {
      spoil(record.input);
      record.status = "FAILED";
      record.createdAt.setFullYear(1999);
    }
    expect(await theRun(a, created.id)).toEqual(before);

    const claimed = present(await a.persistence.claimNextPendingRun());
    spoil(claimed.input);
    claimed.version = 99;
    expect(await theRun(a, created.id)).toMatchObject({ version: 2, input: before.input });
  });

  test("changing a stage that was returned changes nothing that is stored", async ({ a }) => {
    const run = await seedRun(a);
    const created = await seedStage(a, run.id, { config: aBag() });
    const before = structuredClone(created);

    for (const record of [
      created,
      await theStage(a, created.id),
      present(await a.persistence.getStage(run.id, "extract")),
      at(await a.persistence.getStagesByRun(run.id), 0),
    ]) {
      spoil(record.config);
      record.status = "FAILED";
      record.updatedAt.setFullYear(1999);
    }

    expect(await theStage(a, created.id)).toEqual(before);
  });

  test("changing what else was returned changes nothing that is stored", async ({ a }) => {
    const run = await seedRun(a);
    const { persistence } = a;
    await persistence.saveArtifact(anArtifact(run.id, { data: aBag() }));
    await persistence.appendAnnotations([anAnnotation(run.id, { value: aBag() })]);
    await persistence.appendOutboxEvents([anEvent(run.id, { payload: aBag() })]);
    await persistence.completeIdempotencyKey("key", "run.create", aBag());
    await deliver(a, aJob(run.id, { payload: aBag() }));
    const readAll = async () => ({
      data: await persistence.loadArtifact(run.id, "report.json"),
      listed: at(await persistence.listArtifacts(run.id), 0).data,
      value: at(await persistence.listAnnotations(run.id), 0).value,
      payload: at(await persistence.getUnpublishedOutboxEvents(), 0).payload,
      replay: await persistence.acquireIdempotencyKey("key", "run.create"),
      job: at(await a.jobs.getJobsByWorkflowRun(run.id), 0).payload,
    });
    const before = await readAll();
    const clean = structuredClone(before);

    for (const value of [before.data, before.listed, before.value, before.payload, before.job]) {
      spoil(value);
    }
    spoil(forced<{ result: unknown }>(before.replay).result);

    expect(await readAll()).toEqual(clean);
  });

  test("changing what was passed to a transaction changes nothing in it", async ({ a, b }) => {
    const input = aBag();
    const output = aBag();

    const id = await a.persistence.withTransaction(async (tx) => {
      const run = await tx.createRun({
        workflowId: "w",
        workflowName: "w",
        workflowType: "w",
        input,
      });
      spoil(input);
      await tx.updateRun(run.id, { output });
      spoil(output);
      expect((await theRun(tx, run.id)).input).toEqual({ list: [1] });
      return run.id;
    });

    const stored = await theRun(b, id);
    expect([stored.input, stored.output]).toEqual([{ list: [1] }, { list: [1] }]);
  });

  test("changing what a transaction returned changes nothing in it", async ({ a, b }) => {
    const { id } = await seedRun(a, { input: aBag() });
    const stage = await seedStage(a, id, { config: aBag() });

    await a.persistence.withTransaction(async (tx) => {
      const run = await theRun(tx, id);
      spoil(run.input);
      run.version = 99;
      spoil((await theStage(tx, stage.id)).config);
      expect((await theRun(tx, id)).input).toEqual({ list: [1] });
      expect((await theRun(tx, id)).version).toBe(1);
      expect((await theStage(tx, stage.id)).config).toEqual({ list: [1] });
      await tx.updateRun(id, { totalTokens: 1 });
      await tx.updateStage(stage.id, { status: "RUNNING" });
    });

    expect(await theRun(b, id)).toMatchObject({ version: 2, input: { list: [1] } });
    expect((await theRun(b, id)).input).toEqual({ list: [1] });
    expect((await theStage(b, stage.id)).config).toEqual({ list: [1] });
  });
}
