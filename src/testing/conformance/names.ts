import { expect } from "vitest";
import type { ConformanceBackend, Test } from "./harness.ts";
import {
  aJob,
  anAICall,
  anAnnotation,
  anArtifact,
  anEvent,
  at,
  expectCode,
  LONE_SURROGATE,
  NUL,
  present,
  seedRun,
  seedStage,
} from "./support.ts";

const ID_BYTES = 512;
const NAME_BYTES = 1_024;
const KEY_BYTES = 2_048;

interface NamedField {
  readonly name: string;
  readonly bytes: number;
  /** Names a row in a path: not "", "." or "..". */
  readonly inPath: boolean;
  write(backend: ConformanceBackend, value: string): Promise<unknown>;
}

function field(
  name: string,
  bytes: number,
  write: NamedField["write"],
  inPath = bytes === ID_BYTES,
): NamedField {
  return { name, bytes, inPath, write };
}

async function annotate(
  backend: ConformanceBackend,
  overrides: Parameters<typeof anAnnotation>[1],
) {
  const { id } = await seedRun(backend);
  await backend.persistence.appendAnnotations([anAnnotation(id, overrides)]);
}

const FIELDS: readonly NamedField[] = [
  field("a run's id", ID_BYTES, (backend, id) => seedRun(backend, { id })),
  field("a run's workflowId", ID_BYTES, (backend, workflowId) => seedRun(backend, { workflowId })),
  field("a run's workflowName", NAME_BYTES, (backend, workflowName) =>
    seedRun(backend, { workflowName }),
  ),
  field("a run's workflowType", NAME_BYTES, (backend, workflowType) =>
    seedRun(backend, { workflowType }),
  ),
  field("a stage's stageId", ID_BYTES, async (backend, stageId) =>
    seedStage(backend, (await seedRun(backend)).id, { stageId }),
  ),
  field("a stage's stageName", NAME_BYTES, async (backend, stageName) =>
    seedStage(backend, (await seedRun(backend)).id, { stageName }),
  ),
  field(
    "an artifact's key",
    KEY_BYTES,
    async (backend, key) =>
      backend.persistence.saveArtifact(anArtifact((await seedRun(backend)).id, { key })),
    true,
  ),
  field("an annotation's key", KEY_BYTES, (backend, key) => annotate(backend, { key })),
  field("an annotation's idempotencyKey", KEY_BYTES, (backend, idempotencyKey) =>
    annotate(backend, { idempotencyKey }),
  ),
  field("an annotation's scope", NAME_BYTES, (backend, scope) => annotate(backend, { scope })),
  field("an annotation's scopeId", NAME_BYTES, (backend, scopeId) =>
    annotate(backend, { scopeId }),
  ),
  field("an actor's kind", NAME_BYTES, (backend, kind) => annotate(backend, { actor: { kind } })),
  field("an actor's id", NAME_BYTES, (backend, id) => annotate(backend, { actor: { id } })),
  field("an actor's version", NAME_BYTES, (backend, version) =>
    annotate(backend, { actor: { version } }),
  ),
  field("an event's workflowRunId", ID_BYTES, ({ persistence }, runId) =>
    persistence.appendOutboxEvents([anEvent(runId)]),
  ),
  field("an event's eventType", NAME_BYTES, ({ persistence }, eventType) =>
    persistence.appendOutboxEvents([anEvent("run-1", { eventType })]),
  ),
  field("an event's causationId", NAME_BYTES, ({ persistence }, causationId) =>
    persistence.appendOutboxEvents([anEvent("run-1", { causationId })]),
  ),
  field("an idempotency key", KEY_BYTES, ({ persistence }, key) =>
    persistence.acquireIdempotencyKey(key, "run.create"),
  ),
  field("a commandType", KEY_BYTES, ({ persistence }, commandType) =>
    persistence.acquireIdempotencyKey("key", commandType),
  ),
  field("a job's workflowRunId", ID_BYTES, ({ jobs }, runId) => jobs.enqueue(aJob(runId))),
  field("a job's workflowId", ID_BYTES, ({ jobs }, workflowId) =>
    jobs.enqueue(aJob("run-1", { workflowId })),
  ),
  field("a job's stageId", ID_BYTES, ({ jobs }, stageId) =>
    jobs.enqueue(aJob("run-1", { stageId })),
  ),
  ...(["topic", "callType", "modelKey", "modelId"] as const).map((name) =>
    field(`an AI call's ${name}`, NAME_BYTES, ({ aiCalls }, value) =>
      aiCalls.logBatchResults("batch-1", [anAICall({ [name]: value })]),
    ),
  ),
  field(
    "a batchId",
    KEY_BYTES,
    ({ aiCalls }, batchId) => aiCalls.logBatchResults(batchId, [anAICall()]),
    true,
  ),
];

/** Ids that a careless store would mix up, mangle or stumble over. */
const ODD_IDS = [
  "run",
  "RUN",
  "run ",
  " run",
  "run/1",
  "run/1/2",
  "run%2F1",
  "run_1",
  "run-1",
  "it's",
  'say "hi"',
  "back\\slash",
  "semi;colon--",
  "new\nline",
  "null",
  "undefined",
  "0",
  "0.0",
  "1e3",
  "__proto__",
  "constructor",
  "...",
  "../run",
  "%2e%2e",
  "*?[a-z]",
  "żółć",
  "é",
  "e\u0301",
  "שלום",
  "🙂",
  "👩‍👩‍👧",
  "\u202e",
  "\u0001",
  "\ufeff",
  "\u{10ffff}",
] as const;

/** Which ids, names and keys are taken. */
export function names(test: Test): void {
  for (const { name, bytes, inPath, write } of FIELDS) {
    const least = inPath ? 1 : 0;

    test(`${name} holds ${least} to ${bytes} bytes of any Unicode but NUL`, async ({ a }) => {
      for (const fitting of ["x".repeat(bytes), "é".repeat(bytes / 2), "🙂".repeat(bytes / 4)]) {
        await write(a, fitting);
      }
      for (const odd of inPath ? ["...", " .", ".. ", "%2e"] : ["", ".", ".."]) {
        await write(a, odd);
      }

      const refused: Readonly<Record<string, string>> = {
        "one byte too many": "x".repeat(bytes + 1),
        "one byte of UTF-8 too many": `x${"é".repeat(bytes / 2)}`,
        NUL,
        "NUL inside": `a${NUL}b`,
        "a lone surrogate": LONE_SURROGATE,
        "a lone surrogate inside": `a${LONE_SURROGATE}b`,
        "a low surrogate first": "\udc00x",
        ...(inPath ? { nothing: "", "one dot": ".", "two dots": ".." } : {}),
      };
      for (const [what, value] of Object.entries(refused)) {
        await expectCode(write(a, value), "INVALID_ARGUMENT", what);
      }
    });
  }

  test("what is refused for its name is not written", async ({ a }) => {
    await expectCode(seedRun(a, { id: "run-1", workflowName: NUL }), "INVALID_ARGUMENT");
    const events = [anEvent("run-1"), anEvent("run-1", { eventType: NUL })];
    await expectCode(a.persistence.appendOutboxEvents(events), "INVALID_ARGUMENT");

    expect(await a.persistence.getRun("run-1")).toBeNull();
    expect(await a.persistence.getUnpublishedOutboxEvents()).toEqual([]);
  });

  test("runs with odd ids are kept apart", async ({ a, b }) => {
    for (const id of ODD_IDS) await seedRun(a, { id, input: `input of ${id}` });

    for (const id of ODD_IDS) {
      expect(await b.persistence.getRun(id)).toMatchObject({ id, input: `input of ${id}` });
    }
    const pending = await b.persistence.getRunsByStatus("PENDING");
    expect(pending.map((run) => run.id)).toEqual(ODD_IDS);
  });

  test("stages with odd ids are kept apart", async ({ a, b }) => {
    const run = await seedRun(a, { id: "run/🙂'\"%" });
    for (const stageId of ODD_IDS) await seedStage(a, run.id, { stageId, config: stageId });

    for (const stageId of ODD_IDS) {
      const stage = present(await b.persistence.getStage(run.id, stageId));
      expect(stage).toMatchObject({ stageId, config: stageId });
      expect(await b.persistence.getStageById(stage.id)).toEqual(stage);
      await b.persistence.updateStageByRunAndStageId(run.id, stageId, { resumeData: stageId });
    }
    const stored = await a.persistence.getStagesByRun(run.id);
    expect(stored.map((stage) => stage.resumeData)).toEqual(stored.map((stage) => stage.stageId));
  });

  test("artifacts and annotations with odd keys are kept apart", async ({ a, b }) => {
    const run = await seedRun(a, { id: "run/🙂'\"%" });
    for (const key of ODD_IDS) {
      await a.persistence.saveArtifact(anArtifact(run.id, { key, data: { key } }));
      await a.persistence.appendAnnotations([
        anAnnotation(run.id, { key, value: { key }, idempotencyKey: key }),
      ]);
    }

    expect(await b.persistence.listArtifacts(run.id)).toHaveLength(ODD_IDS.length);
    for (const key of ODD_IDS) {
      expect(await b.persistence.loadArtifact(run.id, key)).toEqual({ key });
      const found = await b.persistence.listAnnotations(run.id, { key });
      expect(found).toMatchObject([{ key, value: { key }, idempotencyKey: key }]);
    }
  });

  test("events, keys and jobs with odd ids are kept apart", async ({ a, b }) => {
    for (const id of ODD_IDS) {
      await a.persistence.appendOutboxEvents([anEvent(id, { eventType: id, causationId: id })]);
      await a.persistence.completeIdempotencyKey(id, id, id);
      await a.jobs.enqueue(aJob(id, { workflowId: id, stageId: id, payload: { [id]: id } }));
    }

    const events = await b.persistence.getUnpublishedOutboxEvents();
    expect(events.map((event) => event.workflowRunId).toSorted()).toEqual(ODD_IDS.toSorted());
    for (const { workflowRunId, sequence, eventType, causationId } of events) {
      expect({ sequence, eventType, causationId }).toEqual({
        sequence: 1,
        eventType: workflowRunId,
        causationId: workflowRunId,
      });
    }
    for (const id of ODD_IDS) {
      const replay = { status: "replay", result: id };
      expect(await b.persistence.acquireIdempotencyKey(id, id)).toEqual(replay);
      const job = at(await b.jobs.getJobsByWorkflowRun(id), 0);
      expect(job).toMatchObject({ workflowRunId: id, workflowId: id, stageId: id });
      expect(Object.entries(job.payload)).toEqual([[id, id]]);
    }
  });

  test("a run id and a stage id do not run into each other", async ({ a }) => {
    const pairs = [
      ["a", "b/c"],
      ["a/b", "c"],
      ["a:b", "c"],
      ["a", "b:c"],
      ["a.b", "c"],
      ["a", "b.c"],
      ["1", "11"],
      ["11", "1"],
    ] as const;
    for (const [runId, stageId] of pairs) {
      if ((await a.persistence.getRun(runId)) === null) await seedRun(a, { id: runId });
      await seedStage(a, runId, { stageId, config: [runId, stageId] });
    }

    const records = new Set<string>();
    for (const [runId, stageId] of pairs) {
      const stage = present(await a.persistence.getStage(runId, stageId));
      expect(stage.config).toEqual([runId, stageId]);
      records.add(stage.id);
    }
    expect(records.size).toBe(pairs.length);
  });
}
