import { describe, expect, it } from "vitest";
import type { Guard } from "../../src/changes/index.ts";
import { applyChanges } from "../changes/support.ts";
import { checkGuards } from "../../src/memory/guards.ts";
import { listTokens } from "../../src/memory/row-guards.ts";
import {
  aJob,
  aLeasedJob,
  anAnnotation,
  anArtifact,
  anEvent,
  aRun,
  aStage,
  aState,
  id,
} from "./support.ts";

const run = { workflowRunId: "run" };
const SUBJECTS = {
  run: { on: "run", id: "run" },
  stage: { on: "stage", ...run, stageId: "stage" },
  artifact: { on: "artifact", ...run, key: "key" },
  outboxEvent: { on: "outboxEvent", ...run, sequence: 1 },
  idempotencyKey: { on: "idempotencyKey", key: "k", commandType: "c" },
  job: { on: "job", ...run, ordinal: "o1" },
} as const;

const STATUSES = ["PENDING", "RUNNING", "SUSPENDED", "COMPLETED", "FAILED", "CANCELLED"] as const;
const present = { is: "present" } as const;
const absent = { is: "absent" } as const;

function unchanged(letter: string) {
  return { is: "unchanged", token: id(letter) } as const;
}

function aFullState() {
  return aState(
    aRun({ version: 4, status: "RUNNING" }),
    aStage({ version: 5 }),
    anArtifact(),
    anEvent(),
    {
      kind: "acquireIdempotencyKey",
      key: "k",
      commandType: "c",
      at: 10,
      staleBefore: null,
    },
    aLeasedJob({ attempt: 2 }),
  );
}

/** What the guard finds amiss, by `actual`; null when it holds. */
function found(guard: Guard, state = aFullState()): number | null {
  return checkGuards(state, [guard])?.actual ?? null;
}

describe("a guard on a row that exists", () => {
  const guards: [Guard, number | null][] = [
    [{ ...SUBJECTS.run, expect: present }, null],
    [{ ...SUBJECTS.run, expect: absent }, 4],
    [{ ...SUBJECTS.run, expect: unchanged("a") }, null],
    [{ ...SUBJECTS.run, expect: unchanged("b") }, 4],
    [{ ...SUBJECTS.run, expect: { is: "version", version: 4 } }, null],
    [{ ...SUBJECTS.run, expect: { is: "version", version: 3 } }, 4],
    [{ ...SUBJECTS.run, expect: { is: "status", status: "RUNNING" } }, null],
    [{ ...SUBJECTS.run, expect: { is: "status", status: "PENDING" } }, 4],
    [{ ...SUBJECTS.stage, expect: present }, null],
    [{ ...SUBJECTS.stage, expect: absent }, 5],
    [{ ...SUBJECTS.stage, expect: unchanged("a") }, null],
    [{ ...SUBJECTS.stage, expect: unchanged("b") }, 5],
    [{ ...SUBJECTS.stage, expect: { is: "version", version: 5 } }, null],
    [{ ...SUBJECTS.stage, expect: { is: "version", version: 4 } }, 5],
    [{ ...SUBJECTS.stage, expect: { is: "record", id: "run/stage/1" } }, null],
    [{ ...SUBJECTS.stage, expect: { is: "record", id: "run/stage/2" } }, 5],
    [{ ...SUBJECTS.artifact, expect: present }, null],
    [{ ...SUBJECTS.artifact, expect: absent }, 0],
    [{ ...SUBJECTS.artifact, expect: unchanged("a") }, null],
    [{ ...SUBJECTS.artifact, expect: unchanged("b") }, 0],
    [{ ...SUBJECTS.outboxEvent, expect: present }, null],
    [{ ...SUBJECTS.outboxEvent, expect: absent }, 0],
    [{ ...SUBJECTS.outboxEvent, expect: unchanged("a") }, null],
    [{ ...SUBJECTS.outboxEvent, expect: unchanged("b") }, 0],
    [{ ...SUBJECTS.idempotencyKey, expect: absent }, 0],
    [{ ...SUBJECTS.idempotencyKey, expect: unchanged("a") }, null],
    [{ ...SUBJECTS.idempotencyKey, expect: unchanged("b") }, 0],
    [{ ...SUBJECTS.job, expect: present }, null],
    [{ ...SUBJECTS.job, expect: absent }, 2],
    [{ ...SUBJECTS.job, expect: unchanged("a") }, null],
    [{ ...SUBJECTS.job, expect: unchanged("b") }, 2],
    [{ ...SUBJECTS.job, expect: { is: "attempt", attempt: 2 } }, null],
    [{ ...SUBJECTS.job, expect: { is: "attempt", attempt: 1 } }, 2],
  ];
  it.each(guards)("%j finds %j", (guard, actual) => {
    expect(found(guard)).toBe(actual);
  });
});

describe("a guard on a row that is missing", () => {
  const guards: [Guard, number | null][] = [
    [{ on: "run", id: "x", expect: absent }, null],
    [{ on: "run", id: "x", expect: present }, -1],
    [{ on: "run", id: "x", expect: unchanged("a") }, -1],
    [{ on: "run", id: "x", expect: { is: "version", version: 4 } }, -1],
    [{ on: "run", id: "x", expect: { is: "status", status: "RUNNING" } }, -1],
    [{ ...SUBJECTS.stage, stageId: "x", expect: absent }, null],
    [{ ...SUBJECTS.stage, stageId: "x", expect: { is: "record", id: "x" } }, -1],
    [{ ...SUBJECTS.stage, workflowRunId: "x", expect: present }, -1],
    [{ ...SUBJECTS.artifact, key: "x", expect: absent }, null],
    [{ ...SUBJECTS.artifact, key: "x", expect: present }, -1],
    [{ ...SUBJECTS.outboxEvent, sequence: 2, expect: absent }, null],
    [{ ...SUBJECTS.outboxEvent, sequence: 2, expect: present }, -1],
    [{ ...SUBJECTS.idempotencyKey, commandType: "x", expect: absent }, null],
    [{ ...SUBJECTS.idempotencyKey, commandType: "x", expect: unchanged("a") }, -1],
    [{ ...SUBJECTS.job, ordinal: "x", expect: absent }, null],
    [{ ...SUBJECTS.job, ordinal: "x", expect: { is: "attempt", attempt: 0 } }, -1],
  ];
  it.each(guards)("%j finds %j", (guard, actual) => {
    expect(found(guard)).toBe(actual);
  });
});

describe("a guard on the tail of the outbox", () => {
  it("holds for the last sequence of the run, by number", () => {
    const state = aState(...Array.from({ length: 10 }, () => anEvent()));
    expect(found({ on: "outboxTail", ...run, sequence: 10 }, state)).toBeNull();
    expect(found({ on: "outboxTail", ...run, sequence: 9 }, state)).toBe(0);
  });

  it("holds for 0 when the run has no event", () => {
    expect(found({ on: "outboxTail", workflowRunId: "x", sequence: 0 })).toBeNull();
    expect(found({ on: "outboxTail", workflowRunId: "x", sequence: 1 })).toBe(0);
  });
});

describe("a guard on a dedupe key", () => {
  const guard = { on: "dedupeKey", dedupeKey: "k" } as const;

  it("holds while no live job of any run has the key", () => {
    const held = STATUSES.filter((status) => {
      const jobs = [aJob({ status, dedupeKey: "k" }), aJob({ ordinal: "o2", dedupeKey: "K" })];
      return found(guard, aState(...jobs)) === null;
    });
    expect(held).toEqual(["COMPLETED", "FAILED", "CANCELLED"]);
    expect(found(guard, aState(aJob({ workflowRunId: "other", dedupeKey: "k" })))).toBe(0);
    expect(found(guard, aState(aJob()))).toBeNull();
  });
});

describe("a guard on a list", () => {
  const list = { on: "list", list: "stages", ...run, status: null } as const;

  it("holds while no row comes, goes or changes", () => {
    expect(found({ ...list, tokens: id("a") })).toBeNull();
    expect(found({ ...list, tokens: id("b") })).toBe(0);
    expect(found({ ...list, tokens: "" })).toBe(0);
    expect(found({ ...list, tokens: `${id("a")},${id("a")}` })).toBe(0);
  });

  it("looks only at stages with the status", () => {
    expect(found({ ...list, status: "PENDING", tokens: id("a") })).toBeNull();
    expect(found({ ...list, status: "FAILED", tokens: "" })).toBeNull();
    expect(found({ ...list, status: "FAILED", tokens: id("a") })).toBe(0);
  });
});

describe("checkGuards()", () => {
  it("is null without guards", () => {
    expect(checkGuards(aState(), [])).toBeNull();
  });

  it("tells of the first guard that does not hold", () => {
    const guards: Guard[] = [
      { ...SUBJECTS.run, expect: present },
      { ...SUBJECTS.stage, expect: absent },
      { ...SUBJECTS.job, expect: absent },
    ];
    expect(checkGuards(aFullState(), guards)).toEqual({ guard: 1, actual: 5 });
  });
});

describe("listTokens()", () => {
  it("is empty for a run without rows", () => {
    for (const list of ["stages", "artifacts", "annotations", "jobs"] as const) {
      expect(listTokens(aFullState(), list, "x", null)).toBe("");
    }
  });

  it("joins the tokens in the order of the keys' UTF-8 bytes", () => {
    const state = aState();
    const keys = [
      ["\u{1f600}", "d"],
      ["b", "b"],
      ["\ufffd", "c"],
      ["B", "a"],
    ] as const;
    for (const [key, letter] of keys) {
      applyChanges(state, [aStage({ stageId: key }), anArtifact({ key })], id(letter));
    }
    const tokens = ["a", "b", "c", "d"].map(id).join(",");
    expect(listTokens(state, "stages", "run", null)).toBe(tokens);
    expect(listTokens(state, "artifacts", "run", null)).toBe(tokens);
  });

  it("orders annotations and jobs by ordinal, whenever they came", () => {
    const state = aState();
    for (const [ordinal, letter] of [
      ["o2", "b"],
      ["o1", "a"],
    ] as const) {
      applyChanges(state, [anAnnotation({ ordinal }), aJob({ ordinal })], id(letter));
    }
    expect(listTokens(state, "annotations", "run", null)).toBe(`${id("a")},${id("b")}`);
    expect(listTokens(state, "jobs", "run", null)).toBe(`${id("a")},${id("b")}`);
  });

  it("takes each row's latest commit", () => {
    const state = aState(aStage());
    const update = { kind: "updateStage", ...run, stageId: "stage", set: {}, at: 20 } as const;
    applyChanges(state, [{ ...update, bump: 1 }], id("b"));
    expect(listTokens(state, "stages", "run", null)).toBe(id("b"));
  });

  it("knows no status but that of stages", () => {
    expect(listTokens(aState(aJob()), "jobs", "run", "FAILED")).toBe(id("a"));
  });
});
