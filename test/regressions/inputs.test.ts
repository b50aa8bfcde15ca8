/** What callers without types pass, and ids that nobody can have made. */
import { describe, expect, it } from "vitest";
import type { Backend } from "../../src/contract/index.ts";
import {
  createRun,
  event,
  forced,
  jobInput,
  newId,
  outcomeOf,
  runInput,
  stageInput,
  waiting,
  ways,
} from "./ways.ts";

const LONG = "x".repeat(600);

describe.each(ways)("an id that nobody can have made, $name", ({ open }) => {
  it.each([
    ["an empty run id", "/1"],
    ["too long a run id", `${LONG}/1`],
    ["NUL", "a\0b/1"],
    ["a lone surrogate", "\ud800/1"],
  ])("is ignored among events to mark: one with %s", async (_name, id) => {
    const { a } = open();
    const run = await createRun(a);
    await a.persistence.appendOutboxEvents([event(run)]);
    await a.persistence.markOutboxEventsPublished([`${run}/1`, id]);
    expect(await waiting(a.persistence, run)).toEqual([]);
  });

  it("is no event whose retries could be counted", async () => {
    const { a } = open();
    expect(await outcomeOf(a.persistence.incrementOutboxRetryCount("/1"))).toBe("NOT_FOUND");
  });

  it.each([
    ["too long an ordinal", `a/${"0".repeat(65)}`],
    ["too long a run id", `${LONG}/0abc`],
    ["NUL", "a\0b/0abc"],
  ])("is no job to complete, and nothing to touch: one with %s", async (_name, id) => {
    const { a } = open();
    expect(await outcomeOf(a.jobs.touchJob(id))).toBe("done");
    expect(await outcomeOf(a.jobs.complete(id))).toBe("NOT_FOUND");
  });

  it.each([
    ["too long a run id", `${LONG}/s/600.0abc`],
    ["NUL", "a\0/s/2.0abc"],
  ])("is no stage: one with %s", async (_name, id) => {
    const { a } = open();
    expect(await a.persistence.getStageById(id)).toBeNull();
    expect(await outcomeOf(a.persistence.updateStage(id, {}))).toBe("NOT_FOUND");
    expect(await outcomeOf(a.persistence.deleteStage(id))).toBe("NOT_FOUND");
  });
});

type Call = (backend: Backend, run: string) => Promise<unknown>;
const nonsense: readonly (readonly [string, Call])[] = [
  ["createRun()", ({ persistence }) => persistence.createRun(forced(undefined))],
  ["createRun(null)", ({ persistence }) => persistence.createRun(forced(null))],
  ["updateRun(id)", ({ persistence }, run) => persistence.updateRun(run, forced(undefined))],
  ["updateRun(id, null)", ({ persistence }, run) => persistence.updateRun(run, forced(null))],
  ["getRun()", ({ persistence }) => persistence.getRun(forced(undefined))],
  ["createStage()", ({ persistence }) => persistence.createStage(forced(undefined))],
  [
    "upsertStage without an update",
    ({ persistence }, run) => {
      const create = stageInput(run, "s");
      return persistence.upsertStage(forced({ workflowRunId: run, stageId: "s", create }));
    },
  ],
  ["updateStage(5, {})", ({ persistence }) => persistence.updateStage(forced(5), {})],
  ["createLog()", ({ persistence }) => persistence.createLog(forced(undefined))],
  ["saveArtifact()", ({ persistence }) => persistence.saveArtifact(forced(undefined))],
  ["appendAnnotations()", ({ persistence }) => persistence.appendAnnotations(forced(undefined))],
  ["appendAnnotations([null])", ({ persistence }) => persistence.appendAnnotations(forced([null]))],
  ["appendOutboxEvents()", ({ persistence }) => persistence.appendOutboxEvents(forced(undefined))],
  [
    "appendOutboxEvents([null])",
    ({ persistence }) => persistence.appendOutboxEvents(forced([null])),
  ],
  [
    "markOutboxEventsPublished()",
    ({ persistence }) => persistence.markOutboxEventsPublished(forced(undefined)),
  ],
  [
    "markOutboxEventsPublished([5])",
    ({ persistence }) => persistence.markOutboxEventsPublished(forced([5])),
  ],
  [
    "incrementOutboxRetryCount()",
    ({ persistence }) => persistence.incrementOutboxRetryCount(forced(undefined)),
  ],
  ["withTransaction()", ({ persistence }) => persistence.withTransaction(forced(undefined))],
  ["enqueue()", ({ jobs }) => jobs.enqueue(forced(undefined))],
  ["enqueueParallel()", ({ jobs }) => jobs.enqueueParallel(forced(undefined))],
  ["enqueueParallel([null])", ({ jobs }) => jobs.enqueueParallel(forced([null]))],
  [
    "logBatchResults(id, [null])",
    ({ aiCalls }) => aiCalls.logBatchResults(newId(), forced([null])),
  ],
];

describe.each(ways)("a call that makes no sense, $name", ({ open }) => {
  it.each(nonsense)("is INVALID_ARGUMENT: %s", async (_name, call) => {
    const { a } = open();
    const run = await createRun(a);
    expect(await outcomeOf(call(a, run))).toBe("INVALID_ARGUMENT");
  });

  it.each([
    ["a Map", new Map()],
    ["a Date", new Date(0)],
    ["a String", Object("x")],
    ["what toJSON makes an array of", { toJSON: () => [1] }],
  ])("is INVALID_ARGUMENT: a job whose payload is %s", async (_name, payload) => {
    const { a } = open();
    const run = newId();
    const enqueue = a.jobs.enqueue({ ...jobInput(run), payload: forced(payload) });
    expect(await outcomeOf(enqueue)).toBe("INVALID_ARGUMENT");
    expect(await a.jobs.getJobsByWorkflowRun(run)).toEqual([]);
  });

  it.each(["job 7", "5", "banana 1", "1", "2026-13-01", " "])(
    "is INVALID_ARGUMENT: an instant that is %j",
    async (text) => {
      const { a } = open();
      const run = await createRun(a);
      const update = a.persistence.updateRun(run, { startedAt: forced(text) });
      expect(await outcomeOf(update)).toBe("INVALID_ARGUMENT");
    },
  );
});

describe.each(ways)("an id that no run can have, $name", ({ open }) => {
  const IDS = ["", ".", "..", "a\0", "\ud800", LONG];

  it.each(IDS)(
    "is INVALID_ARGUMENT wherever a row is made for it, and names the field: %j",
    async (id) => {
      const { a } = open();
      const { persistence, jobs } = a;
      const run = await createRun(a);
      const artifact = { key: "k", type: "ARTIFACT", data: 1, size: 1 } as const;
      const annotation = { scope: "run", key: "k", value: 1 };
      const calls: readonly (readonly [string, () => Promise<unknown>])[] = [
        ["id", () => persistence.createRun({ ...runInput(run), id })],
        ["workflowRunId", () => persistence.createStage(stageInput(id, "s"))],
        ["stageId", () => persistence.createStage(stageInput(run, id))],
        [
          "workflowRunId",
          () => persistence.createLog({ workflowRunId: id, level: "INFO", message: "" }),
        ],
        ["workflowRunId", () => persistence.saveArtifact({ workflowRunId: id, ...artifact })],
        [
          "workflowRunId",
          () => persistence.appendAnnotations([{ workflowRunId: id, ...annotation }]),
        ],
        ["workflowRunId", () => persistence.appendOutboxEvents([event(id)])],
        ["workflowRunId", () => jobs.enqueue(jobInput(id))],
        ["stageId", () => jobs.enqueue(jobInput(run, id))],
      ];
      for (const [field, call] of calls) {
        const refused = { code: "INVALID_ARGUMENT", details: { field } };
        await expect(call(), String(call)).rejects.toMatchObject(refused);
      }
    },
  );
});

describe.each(ways)("null in the place of options, $name", ({ open }) => {
  it("means that there are none", async () => {
    const { a } = open();
    const run = await createRun(a);
    await a.persistence.createStage(stageInput(run, "s"));
    await a.persistence.appendAnnotations([
      { workflowRunId: run, scope: "run", key: "k", value: 1 },
    ]);
    expect(await a.persistence.getStagesByRun(run, forced(null))).toHaveLength(1);
    expect(await a.persistence.listAnnotations(run, forced(null))).toHaveLength(1);
    const acquired = await a.persistence.acquireIdempotencyKey(newId(), "c", forced(null));
    expect(acquired).toEqual({ status: "acquired" });
    await a.jobs.enqueue({ ...jobInput(run), payload: forced(null) });
    const jobs = await a.jobs.getJobsByWorkflowRun(run);
    expect(jobs.map(({ payload }) => payload)).toEqual([{}]);
  });
});
