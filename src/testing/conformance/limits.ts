import { expect } from "vitest";
import type { ServiceError } from "../../contract/index.ts";
import { COLUMNS, LARGE_WRITES } from "./columns.ts";
import type { Test } from "./harness.ts";
import {
  aJob,
  anAnnotation,
  anArtifact,
  anEvent,
  aStage,
  at,
  expectCode,
  keysOfAnnotations,
  present,
  seedRun,
  theRun,
  upTo,
} from "./support.ts";

/** All columns of a row together, in bytes of UTF-8. */
const ROW_LIMIT = 1_900_000;
/** Fits into a row together with everything else that a row holds. */
const FITTING = "x".repeat(1_850_000);
const TOO_LARGE = "x".repeat(ROW_LIMIT + 1);

function expectRowLimit(error: ServiceError, field: string): void {
  const { size, limit } = error.details;
  expect(limit).toBe(ROW_LIMIT);
  expect(size).toBeGreaterThan(ROW_LIMIT);
  expect(String(error.details["field"]).toLowerCase()).toContain(field.toLowerCase());
}

/** How much a row and a transaction hold. */
export function limits(test: Test): void {
  test("a job's error holds 65,536 bytes, beside a payload that fills the row", async ({ a }) => {
    const id = await a.jobs.enqueue(aJob("run-1", { payload: { text: FITTING } }));

    const error = await expectCode(a.jobs.fail(id, "e".repeat(65_537)), "PAYLOAD_TOO_LARGE");
    expect(error.details).toEqual({ field: "error", size: 65_537, limit: 65_536 });
    await a.jobs.fail(id, "e".repeat(65_536));

    const [job] = await a.jobs.getJobsByWorkflowRun("run-1");
    expect(job).toMatchObject({ status: "FAILED", lastError: "e".repeat(65_536) });
  });

  test("a row that does not fit is PAYLOAD_TOO_LARGE, whatever its kind", async ({ a }) => {
    for (const { name, field, write } of LARGE_WRITES) {
      const error = await expectCode(write(a, TOO_LARGE), "PAYLOAD_TOO_LARGE", name);
      expectRowLimit(error, field);
    }
  });

  for (const name of [
    "a run's input",
    "a run's output",
    "a stage's outputData",
    "an artifact's data",
    "an annotation's value",
    "an outbox event's payload",
    "an idempotency key's result",
  ]) {
    test(`${name} may nearly fill a row`, async ({ a, b }) => {
      const column = present(COLUMNS.find((candidate) => candidate.name === name));

      const stored = await column.roundTrip(a, b, FITTING);

      expect(stored === FITTING).toBe(true);
    });
  }

  test("a value that is too large is not written", async ({ a }) => {
    const { persistence } = a;
    const run = await seedRun(a);

    const writes = [
      seedRun(a, { id: "too-large", input: TOO_LARGE }),
      persistence.updateRun(run.id, { status: "FAILED", output: TOO_LARGE }),
      persistence.createStage(aStage(run.id, { config: TOO_LARGE })),
      persistence.saveArtifact(anArtifact(run.id, { data: TOO_LARGE })),
      persistence.appendAnnotations([
        anAnnotation(run.id),
        anAnnotation(run.id, { payload: TOO_LARGE }),
      ]),
      persistence.appendOutboxEvents([anEvent(run.id), anEvent(run.id, { payload: TOO_LARGE })]),
    ];
    for (const write of writes) await expectCode(write, "PAYLOAD_TOO_LARGE");

    expect(await persistence.getRun("too-large")).toBeNull();
    expect(await theRun(a, run.id)).toEqual(run);
    expect(await persistence.getStagesByRun(run.id)).toEqual([]);
    expect(await persistence.listArtifacts(run.id)).toEqual([]);
    expect(await persistence.listAnnotations(run.id)).toEqual([]);
    expect(await persistence.getUnpublishedOutboxEvents()).toEqual([]);
  });

  test("sizes are counted in bytes of UTF-8", async ({ a }) => {
    const euros = "€".repeat(650_000);

    const error = await expectCode(seedRun(a, { input: euros }), "PAYLOAD_TOO_LARGE");

    expectRowLimit(error, "input");
  });

  test("the columns of a row count together", async ({ a }) => {
    const half = "x".repeat(1_000_000);

    await expectCode(seedRun(a, { id: "run-1", input: half, config: half }), "PAYLOAD_TOO_LARGE");

    expect(await a.persistence.getRun("run-1")).toBeNull();
  });

  test("an update counts together with what the row holds already", async ({ a, b }) => {
    const half = "x".repeat(1_000_000);
    const run = await seedRun(a, { input: half });
    const update = { status: "COMPLETED", output: half } as const;

    await expectCode(b.persistence.updateRun(run.id, update), "PAYLOAD_TOO_LARGE");

    expect(await theRun(a, run.id)).toMatchObject({ version: 1, status: "PENDING", output: null });
  });

  test("an update may replace one large value by another", async ({ a }) => {
    const { id } = await seedRun(a);
    const one = "1".repeat(1_200_000);
    const two = "2".repeat(1_200_000);
    await a.persistence.updateRun(id, { output: one });

    await a.persistence.updateRun(id, { output: two });

    expect((await theRun(a, id)).output === two).toBe(true);
  });

  test("several large rows are read back in one list", async ({ a, b }) => {
    const { id } = await seedRun(a);
    const data = "x".repeat(1_500_000);
    for (const key of ["1", "2", "3"]) {
      await a.persistence.saveArtifact(anArtifact(id, { key, data }));
    }

    const stored = await b.persistence.listArtifacts(id);

    expect(stored.map((artifact) => artifact.data === data)).toEqual([true, true, true]);
  });

  test("a fault of a value inside a transaction leaves the transaction usable", async ({ a }) => {
    const { id } = await seedRun(a);

    await a.persistence.withTransaction(async (tx) => {
      await expectCode(tx.updateRun(id, { output: TOO_LARGE }), "PAYLOAD_TOO_LARGE");
      await expectCode(tx.updateRun(id, { output: 1n }), "INVALID_ARGUMENT");
      await tx.updateRun(id, { output: "small" });
    });

    expect(await theRun(a, id)).toMatchObject({ output: "small", version: 2 });
  });

  test("a transaction commits 1,000 changes", async ({ a, b }) => {
    const { id } = await seedRun(a);
    const keys = upTo(1_000).map((n) => `key-${n}`);

    await a.persistence.withTransaction(async (tx) => {
      for (const key of keys) await tx.appendAnnotations([anAnnotation(id, { key })]);
    });

    expect(await keysOfAnnotations(b, id)).toEqual(keys);
  });

  test("a transaction refuses more than 1,000 changes and writes nothing", async ({ a, b }) => {
    const { id } = await seedRun(a);

    await expectCode(
      a.persistence.withTransaction(async (tx) => {
        for (const _ of upTo(1_001)) await tx.appendAnnotations([anAnnotation(id)]);
      }),
      "INVALID_ARGUMENT",
    );

    expect(await b.persistence.listAnnotations(id)).toEqual([]);
  });

  test("a transaction commits 12 MB", async ({ a, b }) => {
    const { id } = await seedRun(a);
    const data = "x".repeat(1_500_000);

    await a.persistence.withTransaction(async (tx) => {
      for (const n of upTo(8)) await tx.saveArtifact(anArtifact(id, { key: `${n}`, data }));
    });

    for (const n of [1, 8]) {
      expect((await b.persistence.loadArtifact(id, `${n}`)) === data).toBe(true);
    }
  });

  test("a transaction refuses more than 12 Mi characters and writes nothing", async ({ a, b }) => {
    const { id } = await seedRun(a);
    const data = "x".repeat(1_800_000);

    const error = await expectCode(
      a.persistence.withTransaction(async (tx) => {
        for (const n of upTo(10)) await tx.saveArtifact(anArtifact(id, { key: `${n}`, data }));
      }),
      "PAYLOAD_TOO_LARGE",
    );

    expect(error.details).toMatchObject({ limit: 12 * 1_024 * 1_024 });
    expect(await b.persistence.hasArtifact(id, "1")).toBe(false);
  });

  test("one call takes hundreds of rows", async ({ a, b }) => {
    const { id } = await seedRun(a);
    const keys = upTo(400).map((n) => `key-${n}`);
    await a.persistence.appendAnnotations(keys.map((key) => anAnnotation(id, { key })));
    const ids = await a.jobs.enqueueParallel(
      keys.map((stageId) => ({ workflowRunId: id, workflowId: "w", stageId })),
    );

    expect(await keysOfAnnotations(b, id)).toEqual(keys);
    const stored = await b.jobs.getJobsByWorkflowRun(id);
    expect(stored.map((job) => job.id)).toEqual(ids);
    expect(at(stored, 399).stageId).toBe("key-400");
  });
}
