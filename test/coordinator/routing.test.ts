import { describe, expect, it } from "vitest";
import type { Change, Commit, Guard } from "../../src/changes/index.ts";
import { coordinatedRun, isClaim } from "../../src/coordinator/routing.ts";
import { aClaim, aCommit, anAppend } from "./support.ts";

function isPending(id: string): Guard {
  return { on: "run", id, expect: { is: "status", status: "PENDING" } };
}

function toRunning(id: string): Change {
  return { kind: "updateRun", id, set: { status: "RUNNING" }, at: 1, bump: 1 };
}

const touch: Change = { kind: "updateRun", id: "run-2", set: {}, at: 1, bump: 1 };
const ofHolder: Guard = {
  on: "job",
  workflowRunId: "run-1",
  ordinal: "job",
  expect: { is: "attempt", attempt: 1 },
};
const ofJob: Guard = { ...ofHolder, expect: { is: "present" } };
const [append] = anAppend("run-1").changes;
const [appendToOther] = anAppend("run-2").changes;

function create(id: string): Change {
  return {
    kind: "createRun",
    row: {
      id,
      ordinal: "o",
      createdAt: 1,
      updatedAt: 1,
      version: 1,
      workflowId: "w",
      workflowName: "W",
      workflowType: "w",
      status: "PENDING",
      startedAt: null,
      completedAt: null,
      duration: null,
      input: "{}",
      output: null,
      config: "{}",
      totalCost: 0,
      totalTokens: 0,
      priority: 5,
      metadata: null,
    },
  };
}

function changing(...changes: readonly (Change | undefined)[]): Commit {
  return aCommit(changes.filter((change) => change !== undefined));
}

describe("a commit that claims one PENDING run and does nothing else", () => {
  it("is a claim", () => {
    expect(isClaim(aClaim("run-1"))).toBe(true);
    expect(coordinatedRun(aClaim("run-1"))).toBe("run-1");
  });

  it.each<[string, Commit]>([
    ["changes something else too", aCommit([toRunning("run-1"), touch], [isPending("run-1")])],
    ["has no guard", aCommit([toRunning("run-1")])],
    ["changes nothing", aCommit([], [isPending("run-1")])],
    ["has a further guard", aCommit([toRunning("run-1")], [isPending("run-1"), isPending("r")])],
    ["looks at another run", aCommit([toRunning("run-1")], [isPending("run-2")])],
    [
      "expects another status",
      aCommit(
        [toRunning("run-1")],
        [{ on: "run", id: "run-1", expect: { is: "status", status: "SUSPENDED" } }],
      ),
    ],
    [
      "expects a version",
      aCommit(
        [toRunning("run-1")],
        [{ on: "run", id: "run-1", expect: { is: "version", version: 1 } }],
      ),
    ],
    [
      "makes it another status",
      aCommit(
        [{ kind: "updateRun", id: "run-1", set: { status: "CANCELLED" }, at: 1, bump: 1 }],
        [isPending("run-1")],
      ),
    ],
  ])("is none if it %s", (_, commit) => {
    expect(isClaim(commit)).toBe(false);
    expect(coordinatedRun(commit)).toBeNull();
  });
});

describe("a commit that is no claim", () => {
  it.each<[string, Commit, string | null]>([
    ["with one run's event goes through that run's coordinator", changing(append), "run-1"],
    ["with one run's events does, too", changing(append, append), "run-1"],
    ["with one run's event does whatever else it changes", changing(touch, append), "run-1"],
    ["with the events of two runs goes straight to D1", changing(append, appendToOther), null],
    [
      "with one run's event that the holder of a job makes goes straight to D1",
      { ...changing(append), guards: [ofHolder] },
      null,
    ],
    [
      "with one run's event that anybody with a job's id makes does not",
      { ...changing(append), guards: [ofJob] },
      "run-1",
    ],
    [
      "with the event of a run that it creates goes straight to D1",
      changing(create("run-1"), append),
      null,
    ],
    [
      "with an event, and another run that it creates, does not",
      changing(create("run-2"), append),
      "run-1",
    ],
    ["without events goes straight to D1", changing(touch), null],
    ["without changes goes straight to D1", changing(), null],
  ])("%s", (_, commit, run) => {
    expect(coordinatedRun(commit)).toBe(run);
  });
});
