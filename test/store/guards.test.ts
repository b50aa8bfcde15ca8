import { beforeAll, describe, expect, it } from "vitest";
import { type Change, type Guard } from "../../src/changes/index.ts";
import { newCommitId } from "../../src/model/index.ts";
import { guardStatements, violationIn } from "../../src/store/guards.ts";
import { D1Store } from "../../src/store/index.ts";
import type { Statement } from "../../src/store/sql.ts";
import { upTo } from "../../src/testing/conformance/support.ts";
import { aJob, anAnnotation, anArtifact, anEvent, aRun, aStage, id } from "../memory/support.ts";
import { env } from "../support/env.ts";

const RUN = { workflowRunId: "run" };
const [FIRST, OTHER] = [id("a"), id("b")];

/** What the guards look at: all written by one commit, but the second stage. */
const ROWS: readonly Change[] = [
  aRun({ version: 3 }),
  aStage({ stageId: "one", version: 2, status: "COMPLETED" }),
  anArtifact(),
  anAnnotation(),
  anEvent(),
  anEvent(),
  { kind: "acquireIdempotencyKey", key: "key", commandType: "c", at: 1, staleBefore: null },
  aJob({ attempt: 2, dedupeKey: "live" }),
];

beforeAll(async () => {
  const store = new D1Store(env.DB);
  const commit = { guards: [], reads: [] };
  await store.attempt({ ...commit, id: FIRST, changes: ROWS });
  await store.attempt({ ...commit, id: OTHER, changes: [aStage({ stageId: "two" })] });
});

/** What a batch of these comes to: the violation, or null when all hold. */
async function check(statements: readonly Statement[]) {
  try {
    await env.DB.batch(statements.map(({ sql, params }) => env.DB.prepare(sql).bind(...params)));
    return null;
  } catch (error) {
    const violation = error instanceof Error ? violationIn(error.message) : null;
    if (violation === null) throw error;
    return violation;
  }
}

const run = (expected: Extract<Guard, { on: "run" }>["expect"], key = "run"): Guard => ({
  on: "run",
  id: key,
  expect: expected,
});
const stage = (expected: Extract<Guard, { on: "stage" }>["expect"], stageId = "one"): Guard => ({
  on: "stage",
  ...RUN,
  stageId,
  expect: expected,
});
const artifact = (expected: Extract<Guard, { on: "artifact" }>["expect"], key = "key"): Guard => ({
  on: "artifact",
  ...RUN,
  key,
  expect: expected,
});
const event = (expected: Extract<Guard, { on: "outboxEvent" }>["expect"], sequence = 2): Guard => ({
  on: "outboxEvent",
  ...RUN,
  sequence,
  expect: expected,
});
const key = (
  expected: Extract<Guard, { on: "idempotencyKey" }>["expect"],
  commandType = "c",
): Guard => ({ on: "idempotencyKey", key: "key", commandType, expect: expected });
const job = (expected: Extract<Guard, { on: "job" }>["expect"], ordinal = "o1"): Guard => ({
  on: "job",
  ...RUN,
  ordinal,
  expect: expected,
});
type ListGuard = Extract<Guard, { on: "list" }>;
const list = (
  of: ListGuard["list"],
  tokens: string,
  status: ListGuard["status"] = null,
): Guard => ({ on: "list", list: of, ...RUN, status, tokens });
const tail = (sequence: number, workflowRunId = "run"): Guard => ({
  on: "outboxTail",
  workflowRunId,
  sequence,
});

const present = { is: "present" } as const;
const absent = { is: "absent" } as const;
const unchanged = (token: string) => ({ is: "unchanged", token }) as const;

const HOLDING: readonly [string, Guard][] = [
  ["a run that is present", run(present)],
  ["a run that is absent", run(absent, "none")],
  ["a run that is unchanged", run(unchanged(FIRST))],
  ["a run of this version", run({ is: "version", version: 3 })],
  ["a run of this status", run({ is: "status", status: "PENDING" })],
  ["a stage that is present", stage(present)],
  ["a stage that is absent", stage(absent, "three")],
  ["a stage that is unchanged", stage(unchanged(OTHER), "two")],
  ["a stage of this version", stage({ is: "version", version: 2 })],
  ["a stage of this record", stage({ is: "record", id: "run/one/1" })],
  ["an artifact that is present", artifact(present)],
  ["an artifact that is absent", artifact(absent, "none")],
  ["an artifact that is unchanged", artifact(unchanged(FIRST))],
  ["an event that is present", event(present)],
  ["an event that is absent", event(absent, 3)],
  ["an event that is unchanged", event(unchanged(FIRST))],
  ["a key that is absent", key(absent, "other")],
  ["a key that is unchanged", key(unchanged(FIRST))],
  ["a job that is present", job(present)],
  ["a job that is absent", job(absent, "o2")],
  ["a job that is unchanged", job(unchanged(FIRST))],
  ["a job of this attempt", job({ is: "attempt", attempt: 2 })],
  ["a dedupe key that no live job has", { on: "dedupeKey", dedupeKey: "free" }],
  ["a list of stages", list("stages", `${FIRST},${OTHER}`)],
  ["a list of the stages of one status", list("stages", FIRST, "COMPLETED")],
  ["an empty list of stages", list("stages", "", "FAILED")],
  ["a list of artifacts", list("artifacts", FIRST)],
  ["a list of annotations", list("annotations", FIRST)],
  ["a list of jobs", list("jobs", FIRST)],
  ["the last event", tail(2)],
  ["no event", tail(0, "none")],
];

/** Each with what it finds: the version or the attempt, 0 for what has neither, -1 for a missing row. */
const FAILING: readonly [string, Guard, number][] = [
  ["a dedupe key that a live job has", { on: "dedupeKey", dedupeKey: "live" }, 0],
  ["a run that is absent", run(present, "none"), -1],
  ["a run that is present", run(absent), 3],
  ["a run that changed", run(unchanged(OTHER)), 3],
  ["a run that vanished", run(unchanged(FIRST), "none"), -1],
  ["a run of another version", run({ is: "version", version: 2 }), 3],
  ["the version of no run", run({ is: "version", version: 3 }, "none"), -1],
  ["a run of another status", run({ is: "status", status: "RUNNING" }), 3],
  ["the status of no run", run({ is: "status", status: "PENDING" }, "none"), -1],
  ["a stage that is absent", stage(present, "three"), -1],
  ["a stage that is present", stage(absent), 2],
  ["a stage that changed", stage(unchanged(OTHER)), 2],
  ["a stage that vanished", stage(unchanged(FIRST), "three"), -1],
  ["a stage of another version", stage({ is: "version", version: 1 }), 2],
  ["the version of no stage", stage({ is: "version", version: 2 }, "three"), -1],
  ["a stage of another record", stage({ is: "record", id: "run/one/2" }), 2],
  ["the record of no stage", stage({ is: "record", id: "run/one/1" }, "three"), -1],
  ["an artifact that is absent", artifact(present, "none"), -1],
  ["an artifact that is present", artifact(absent), 0],
  ["an artifact that changed", artifact(unchanged(OTHER)), 0],
  ["an artifact that vanished", artifact(unchanged(FIRST), "none"), -1],
  ["an event that is absent", event(present, 3), -1],
  ["an event that is present", event(absent), 0],
  ["an event that changed", event(unchanged(OTHER)), 0],
  ["an event that vanished", event(unchanged(FIRST), 3), -1],
  ["a key that is present", key(absent), 0],
  ["a key that changed", key(unchanged(OTHER)), 0],
  ["a key that vanished", key(unchanged(FIRST), "other"), -1],
  ["a job that is absent", job(present, "o2"), -1],
  ["a job that is present", job(absent), 2],
  ["a job that changed", job(unchanged(OTHER)), 2],
  ["a job that vanished", job(unchanged(FIRST), "o2"), -1],
  ["a job of another attempt", job({ is: "attempt", attempt: 1 }), 2],
  ["the attempt of no job", job({ is: "attempt", attempt: 0 }, "o2"), -1],
  ["a list of stages that grew", list("stages", FIRST), 0],
  ["a list of stages that shrank", list("stages", `${FIRST},${OTHER},${FIRST}`), 0],
  ["a list of stages in another order", list("stages", `${OTHER},${FIRST}`), 0],
  ["a list of the stages of one status", list("stages", "", "COMPLETED"), 0],
  ["a list of artifacts", list("artifacts", OTHER), 0],
  ["a list of annotations", list("annotations", ""), 0],
  ["a list of jobs", list("jobs", `${FIRST},${FIRST}`), 0],
  ["the last event", tail(1), 0],
  ["the first event", tail(0), 0],
];

describe("a guard on", () => {
  it.each(HOLDING)("%s holds", async (_, guard) => {
    expect(await check(guardStatements([guard]))).toBeNull();
  });

  it.each(FAILING)("%s fails", async (_, guard, actual) => {
    expect(await check(guardStatements([guard]))).toEqual({ guard: 0, actual });
  });
});

describe("guards", () => {
  it("that all hold let the batch through", async () => {
    expect(await check(guardStatements(HOLDING.map(([, guard]) => guard)))).toBeNull();
  });

  it("share a statement with their neighbours of the same kind", () => {
    expect(guardStatements([run(present), run(absent, "a"), run(absent, "b")])).toHaveLength(1);
    expect(guardStatements([run(present), stage(present), run(present)])).toHaveLength(3);
    expect(guardStatements([list("jobs", ""), list("jobs", "")])).toHaveLength(1);
    expect(guardStatements([list("jobs", ""), list("stages", "")])).toHaveLength(2);
    expect(guardStatements([])).toEqual([]);
  });

  it("tell of the first that fails, in the order of the guards", async () => {
    const [holding, failing] = [run(present), run({ is: "version", version: 1 })];
    for (const place of [0, 1, 2, 3, 4]) {
      const guards = upTo(5).map((n) => (n - 1 >= place ? failing : holding));
      expect(await check(guardStatements(guards))).toEqual({ guard: place, actual: 3 });
    }
  });

  it("tell of the first that fails, whatever the kinds", async () => {
    const guards = [stage(present), list("jobs", FIRST), tail(7), run(absent)];
    expect(await check(guardStatements(guards))).toEqual({ guard: 2, actual: 0 });
  });

  it("are ten thousand in one batch, which names the last", async () => {
    const guards = upTo(9_999).map((n) => run(absent, `run-${n}`));
    const statements = guardStatements([...guards, run(absent)]);
    expect(await check(statements)).toEqual({ guard: 9_999, actual: 3 });
  });

  it("of alternating kinds are as many statements as D1 can bind the parameters of", async () => {
    const store = new D1Store(env.DB);
    const both = [job(unchanged(FIRST)), stage(unchanged(FIRST))];
    for (const count of [16, 17, 33, 100]) {
      const guards = upTo(count).flatMap((n) => both[n % 2] ?? []);
      const commit = { guards, changes: [], reads: [] };
      expect((await store.attempt({ ...commit, id: newCommitId(count) })).applied).toBe(true);
      const failing = { ...commit, guards: [...guards, run(absent)], id: newCommitId(count) };
      expect(await store.attempt(failing)).toEqual({
        applied: false,
        violation: { guard: count, actual: 3 },
      });
    }
  });

  it("may hold the tokens of thousands of rows", async () => {
    const tokens = upTo(20_000)
      .map(() => FIRST)
      .join(",");
    expect(await check(guardStatements([list("jobs", FIRST), list("stages", tokens)]))).toEqual({
      guard: 1,
      actual: 0,
    });
  });

  it("are matched to the byte", async () => {
    for (const name of ["Run", "run ", "ru", "run\u0301", "'run'"]) {
      expect(await check(guardStatements([run(absent, name)]))).toBeNull();
    }
  });
});

describe("the violation in a message", () => {
  it.each([
    ["D1_ERROR: bad JSON path: 'wfe:guard:0:-1': SQLITE_ERROR", { guard: 0, actual: -1 }],
    ["bad JSON path: 'wfe:guard:12:340'", { guard: 12, actual: 340 }],
    ["D1_ERROR: bad JSON path: 'wfe:fenced:abc': SQLITE_ERROR", null],
    ["D1_ERROR: Network connection lost.", null],
    ["", null],
  ])("%j is %j", (message, violation) => {
    expect(violationIn(message)).toEqual(violation);
  });

  it("is none of a commit that arrives after it was settled", async () => {
    const store = new D1Store(env.DB);
    const late = { id: newCommitId(1), guards: [], changes: [aRun({ id: "late" })], reads: [] };
    expect(await store.settle(late)).toBe("fenced");
    await expect(store.attempt(late)).rejects.toMatchObject({ code: "UNAVAILABLE" });
  });
});
