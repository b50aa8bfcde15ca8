import { expect } from "vitest";
import type { ConformanceBackend, Test } from "./harness.ts";
import {
  aJob,
  anAICall,
  anAnnotation,
  anArtifact,
  anEvent,
  at,
  deliver,
  expectCode,
  forced,
  INSTANT,
  LONE_SURROGATE,
  NUL,
  seedRun,
  seedStage,
  theJob,
  theRun,
  theStage,
} from "./support.ts";

type Write = (backend: ConformanceBackend, value: never) => Promise<unknown>;

async function updateStageWith(backend: ConformanceBackend, update: object): Promise<void> {
  const { id } = await seedStage(backend, (await seedRun(backend)).id);
  await backend.persistence.updateStage(id, update);
}

async function updateRunWith(backend: ConformanceBackend, update: object): Promise<void> {
  const { id } = await seedRun(backend);
  await backend.persistence.updateRun(id, update);
}

const WHOLE: Readonly<Record<string, Write>> = {
  "a run's priority": (backend, priority) => seedRun(backend, { priority }),
  "a run's totalTokens": (backend, totalTokens) => updateRunWith(backend, { totalTokens }),
  "a run's expectedVersion": (backend, expectedVersion) =>
    updateRunWith(backend, { expectedVersion }),
  "a stage's expectedVersion": (backend, expectedVersion) =>
    updateStageWith(backend, { expectedVersion }),
  "a stage's executionGroup": async (backend, executionGroup) =>
    seedStage(backend, (await seedRun(backend)).id, { executionGroup }),
  "a stage's attempt": async (backend, attempt) =>
    seedStage(backend, (await seedRun(backend)).id, { attempt }),
  "an annotation's attempt": async (backend, attempt) => {
    const { id } = await seedRun(backend);
    await backend.persistence.appendAnnotations([anAnnotation(id, { attempt })]);
  },
  "a job's priority": ({ jobs }, priority) => jobs.enqueue(aJob("run-1", { priority })),
  "an AI call's inputTokens": ({ aiCalls }, inputTokens) =>
    aiCalls.logBatchResults("batch-1", [anAICall({ inputTokens })]),
  "an AI call's outputTokens": ({ aiCalls }, outputTokens) =>
    aiCalls.logBatchResults("batch-1", [anAICall({ outputTokens })]),
};

const FINITE: Readonly<Record<string, Write>> = {
  "a run's totalCost": (backend, totalCost) => updateRunWith(backend, { totalCost }),
  "a run's duration": (backend, duration) => updateRunWith(backend, { duration }),
  "a stage's duration": (backend, duration) => updateStageWith(backend, { duration }),
  "a stage's pollInterval": (backend, pollInterval) => updateStageWith(backend, { pollInterval }),
  "an AI call's cost": ({ aiCalls }, cost) =>
    aiCalls.logBatchResults("batch-1", [anAICall({ cost })]),
};

/** The greatest of each, and how it is written. */
const AMOUNTS: Readonly<Record<string, { write: Write; most: number }>> = {
  "a run's totalCost": {
    most: 1e15,
    write: (backend, totalCost) => updateRunWith(backend, { totalCost }),
  },
  "a run's totalTokens": {
    most: Number.MAX_SAFE_INTEGER,
    write: (backend, totalTokens) => updateRunWith(backend, { totalTokens }),
  },
  "an AI call's cost": {
    most: 1e15,
    write: ({ aiCalls }, cost) => aiCalls.logBatchResults("batch-1", [anAICall({ cost })]),
  },
  "an AI call's inputTokens": {
    most: 10_000_000_000,
    write: ({ aiCalls }, inputTokens) =>
      aiCalls.logBatchResults("batch-1", [anAICall({ inputTokens })]),
  },
  "an AI call's outputTokens": {
    most: 10_000_000_000,
    write: ({ aiCalls }, outputTokens) =>
      aiCalls.logBatchResults("batch-1", [anAICall({ outputTokens })]),
  },
};

const NOT_AN_INSTANT: readonly unknown[] = [
  new Date(Number.NaN),
  new Date("+010000-01-01T00:00:00Z"),
  new Date("0000-12-31T23:59:59.999Z"),
  "soon",
  "",
  "2026-07-01",
  "2026-07-01T12:00:00",
  "2026-07-01 12:00:00Z",
  "2026-07-01T12:00Z",
  "2026-02-30T00:00:00Z",
  "2026-04-31T00:00:00Z",
  "2025-02-29T00:00:00Z",
  "1900-02-29T00:00:00Z",
  "2026-00-01T00:00:00Z",
  "2026-13-01T00:00:00Z",
  "2026-01-00T00:00:00Z",
  "2026-01-01T24:00:00Z",
  "2026-01-01T23:59:60Z",
  "2026-01-01T00:00:00+24:00",
  "9999-12-31T23:59:59-01:00",
  "0001-01-01T00:00:00+01:00",
  "0000-01-01T00:00:00Z",
  "+002026-01-01T00:00:00Z",
  Number.NaN,
  Infinity,
  253_402_300_800_000,
  -62_135_596_800_001,
];

const INSTANTS: Readonly<Record<string, Write>> = {
  "a run's startedAt": (backend, startedAt) => updateRunWith(backend, { startedAt }),
  "a run's completedAt": (backend, completedAt) => updateRunWith(backend, { completedAt }),
  "a new stage's startedAt": async (backend, startedAt) =>
    seedStage(backend, (await seedRun(backend)).id, { startedAt }),
  "a stage's startedAt": (backend, startedAt) => updateStageWith(backend, { startedAt }),
  "a stage's completedAt": (backend, completedAt) => updateStageWith(backend, { completedAt }),
  "a stage's nextPollAt": (backend, nextPollAt) => updateStageWith(backend, { nextPollAt }),
  "a stage's maxWaitUntil": (backend, maxWaitUntil) => updateStageWith(backend, { maxWaitUntil }),
  "an event's occurredAt": ({ persistence }, occurredAt) =>
    persistence.appendOutboxEvents([anEvent("run-1", { occurredAt })]),
  "a job's scheduledFor": ({ jobs }, scheduledFor) => jobs.enqueue(aJob("run-1", { scheduledFor })),
  "suspend's nextPollAt": async (backend, nextPollAt) => {
    const { jobId } = await deliver(backend, aJob("run-1"));
    await backend.jobs.suspend(jobId, nextPollAt);
  },
  "getStuckRuns' instant": ({ persistence }, since) => persistence.getStuckRuns(since),
  "getSuspendedStages' instant": ({ persistence }, before) =>
    persistence.getSuspendedStages(before),
  "listAnnotations' since": ({ persistence }, since) =>
    persistence.listAnnotations("run-1", { since }),
  "listAnnotations' until": ({ persistence }, until) =>
    persistence.listAnnotations("run-1", { until }),
  "acquireIdempotencyKey's now": ({ persistence }, now) =>
    persistence.acquireIdempotencyKey("key", "run.create", { now }),
};

/** Numbers, instants and free text. */
export function scalars(test: Test): void {
  test("counts, versions and priorities are whole numbers", async ({ a }) => {
    for (const [name, write] of Object.entries(WHOLE)) {
      for (const value of [1.5, Number.NaN, Infinity, "7"]) {
        await expectCode(write(a, forced<never>(value)), "INVALID_ARGUMENT", `${name}: ${value}`);
      }
    }
  });

  test("costs and durations are finite numbers", async ({ a }) => {
    for (const [name, write] of Object.entries(FINITE)) {
      for (const value of [Number.NaN, Infinity, -Infinity, "7"]) {
        await expectCode(write(a, forced<never>(value)), "INVALID_ARGUMENT", `${name}: ${value}`);
      }
      for (const value of [0, 0.1, 3e10]) await write(a, forced<never>(value));
    }
  });

  test("costs and tokens are amounts that a ledger holds", async ({ a }) => {
    for (const [name, { write, most }] of Object.entries(AMOUNTS)) {
      for (const value of [-1, -1e-300, most * 1.5, Number.MAX_VALUE, Infinity, Number.NaN]) {
        await expectCode(write(a, forced<never>(value)), "INVALID_ARGUMENT", `${name}: ${value}`);
      }
      for (const value of [0, -0, most]) await write(a, forced<never>(value));
    }
  });

  test("sums of the greatest amounts do not overflow, and zero has no sign", async ({ a, b }) => {
    const most = { cost: 1e15, inputTokens: 10_000_000_000, outputTokens: 10_000_000_000 };
    const none = { cost: -0, inputTokens: -0, outputTokens: -0 };
    const calls = Array.from({ length: 1_000 }, () => anAICall({ topic: "most", ...most }));
    await a.aiCalls.logBatchResults("batch-1", calls);
    await a.aiCalls.logBatchResults("batch-2", [anAICall({ topic: "none", ...none })]);

    expect(await b.aiCalls.getStats("most")).toMatchObject({
      totalCost: 1e18,
      totalInputTokens: 10_000_000_000_000,
      totalOutputTokens: 10_000_000_000_000,
    });
    expect(await b.aiCalls.getStats("none")).toMatchObject({
      totalCost: 0,
      totalInputTokens: 0,
      totalOutputTokens: 0,
    });
  });

  for (const [name, write] of Object.entries(INSTANTS)) {
    test(`${name} is a valid instant`, async ({ a }) => {
      for (const value of NOT_AN_INSTANT) {
        await expectCode(write(a, forced<never>(value)), "INVALID_ARGUMENT", String(value));
      }
      for (const value of [
        INSTANT,
        INSTANT.toISOString(),
        INSTANT.getTime(),
        "2024-02-29T23:59:59.999999+23:59",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999Z",
      ]) {
        await write(a, forced<never>(value));
      }
    });
  }

  test("large and fractional numbers read back exactly", async ({ a }) => {
    const { id } = await seedRun(a, { priority: 2_147_483_648 });
    const stage = await seedStage(a, id, { stageNumber: 4_294_967_296, executionGroup: 9e15 });
    const numbers = {
      totalCost: 0.1 + 0.2,
      totalTokens: Number.MAX_SAFE_INTEGER,
      duration: -63_072_000_000.5,
    };

    await a.persistence.updateRun(id, numbers);
    await a.persistence.updateStage(stage.id, { duration: 1e300, pollInterval: 0.25 });

    expect(await theRun(a, id)).toMatchObject({ priority: 2_147_483_648, ...numbers });
    expect(await theStage(a, stage.id)).toMatchObject({
      stageNumber: 4_294_967_296,
      executionGroup: 9e15,
      duration: 1e300,
      pollInterval: 0.25,
    });
  });

  test("an artifact's size may exceed 32 bits", async ({ a }) => {
    const { id } = await seedRun(a);
    await a.persistence.saveArtifact(anArtifact(id, { size: 5_000_000_000 }));

    expect(at(await a.persistence.listArtifacts(id), 0).size).toBe(5_000_000_000);
  });

  test("instants keep their milliseconds, in every century", async ({ a, b }) => {
    const texts = [
      "2025-03-04T05:06:07.089Z",
      "1969-12-31T23:59:59.999Z",
      "1970-01-01T00:00:00.000Z",
      "0001-01-01T00:00:00.001Z",
      "9999-12-31T23:59:59.999Z",
    ];
    const { id } = await seedRun(a);

    for (const text of texts) {
      const instant = new Date(text);
      await a.persistence.updateRun(id, { startedAt: instant, completedAt: instant });

      const { startedAt, completedAt } = await theRun(b, id);
      expect([startedAt, completedAt]).toEqual([instant, instant]);
      expect(startedAt).toBeInstanceOf(Date);
    }
  });

  test("ISO strings and milliseconds read back as Dates", async ({ a }) => {
    const { id } = await seedRun(a);

    await a.persistence.updateRun(id, {
      startedAt: forced("2025-03-04T06:06:07.089+01:00"),
      completedAt: forced(INSTANT.getTime()),
    });

    const { startedAt, completedAt } = await theRun(a, id);
    expect([startedAt, completedAt]).toEqual([INSTANT, INSTANT]);
  });

  const FREE_TEXT = [
    "",
    `a${NUL}b`,
    NUL,
    LONE_SURROGATE,
    `a${LONE_SURROGATE}b\udc00`,
    "\u0001 marked",
    '"quoted"',
    "line\nline\r\n",
    "żółć 🙂",
    "null",
  ];

  test("an error message is any string, read back as it was", async ({ a, b }) => {
    const { id } = await seedStage(a, (await seedRun(a)).id);

    for (const errorMessage of FREE_TEXT) {
      await a.persistence.updateStage(id, { errorMessage });
      expect((await theStage(b, id)).errorMessage).toBe(errorMessage);
    }
  });

  test("a job's error is any string, read back as it was", async ({ a, b }) => {
    for (const error of FREE_TEXT) {
      const { jobId } = await deliver(a, aJob("run-1"));
      await a.jobs.fail(jobId, error);
      expect((await theJob(b, "run-1", jobId)).lastError).toBe(error);
    }
  });

  test("a log's message, a prompt and a response are any string", async ({ a }) => {
    for (const text of FREE_TEXT) {
      await a.persistence.createLog({ level: "INFO", message: text });
    }
    const calls = FREE_TEXT.map((text) => anAICall({ prompt: text, response: text }));
    await a.aiCalls.logBatchResults("batch-1", calls);

    expect((await a.aiCalls.getStats("")).totalCalls).toBe(FREE_TEXT.length);
  });
}
