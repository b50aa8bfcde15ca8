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
const [append] = anAppend("run-1").changes;
const [appendToOther] = anAppend("run-2").changes;

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
    ["without events goes straight to D1", changing(touch), null],
    ["without changes goes straight to D1", changing(), null],
  ])("%s", (_, commit, run) => {
    expect(coordinatedRun(commit)).toBe(run);
  });
});
