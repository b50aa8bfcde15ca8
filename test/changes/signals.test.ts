import { describe, expect, it } from "vitest";
import { applyChanges } from "./support.ts";
import { nextSignal, signalId, signalPrefix, takenSignalId } from "../../src/model/index.ts";
import { validCommit } from "../../src/changes/validation.ts";
import { aRun, aSignal, aState, contentOf, id } from "../memory/support.ts";

const key = { workflowRunId: "run", id: aSignal().row.id };

describe("sendSignal", () => {
  it("inserts the signal, once for a name and a key", () => {
    const state = aState(aRun(), aSignal());
    applyChanges(state, [aSignal({ ordinal: "o2", payload: "2", receivedAt: 99 })], id("b"));
    expect([...state.signals.all()]).toEqual([aSignal().row]);
    applyChanges(
      state,
      [aSignal({ key: "twice" }), aSignal({ name: "other" }), aSignal({ workflowRunId: "run2" })],
      id("c"),
    );
    expect([...state.signals.all()]).toHaveLength(4);
  });

  it("does not send a taken signal again", () => {
    const state = aState(aRun(), aSignal());
    applyChanges(state, [{ kind: "takeSignal", ...key, at: 20 }], id("b"));
    applyChanges(state, [aSignal()], id("c"));
    expect([...state.signals.all()]).toMatchObject([{ takenAt: 20 }]);
  });
});

describe("takeSignal", () => {
  it("marks the signal, which stays", () => {
    const state = aState(aRun(), aSignal(), aSignal({ key: "other" }));
    applyChanges(state, [{ kind: "takeSignal", ...key, at: 30 }], id("b"));
    expect([...state.signals.all()].map(({ takenAt }) => takenAt)).toEqual([null, 30]);
  });

  it("keeps the instant at which it was taken first", () => {
    const state = aState(aRun(), aSignal());
    const taken = takenSignalId(key.id);
    for (const [at, one] of [
      [20, key.id],
      [30, key.id],
      [40, taken],
    ] as const) {
      applyChanges(state, [{ kind: "takeSignal", ...key, id: one, at }], id("b"));
    }
    expect([...state.signals.all()]).toMatchObject([{ id: taken, takenAt: 20 }]);
  });

  it("does nothing for an unknown signal", () => {
    const state = aState(aRun());
    applyChanges(state, [{ kind: "takeSignal", ...key, at: 30 }], id("b"));
    expect(contentOf(state)).toEqual(contentOf(aState(aRun())));
  });
});

describe("a signal's id", () => {
  const commitWith = (signalOf: string) => ({
    id: id("a"),
    guards: [],
    changes: [{ ...aSignal(), row: { ...aSignal({ name: "go" }).row, id: signalOf } }],
    reads: [],
  });

  it.each(["go", "2.og/key", "3.go/key", "2.go", ""])("is refused if not its name's: %j", (not) => {
    expect(() => validCommit(commitWith(not))).toThrow("A signal's id does not belong to its name");
  });

  it.each([
    ["go", "key"],
    ["a/b", "c/d"],
    ["12.", "0"],
    ["\u{1f600}", ""],
  ])("is outside of the range of those that wait once it is taken: %j", (name, own) => {
    const taken = takenSignalId(signalId(name, own));
    expect(taken.startsWith(signalPrefix(name))).toBe(false);
    expect(taken.replace(/0(?=.{0,3}$)/, "/")).toBe(signalId(name, own));
    expect(takenSignalId(taken)).toBe(taken);
  });

  it.each(["2.go/", "2.go/key", "2.go/a/b"])("is taken if it is: %j", (own) => {
    expect(validCommit(commitWith(own))).toEqual(commitWith(own));
  });
});

describe("the next signal", () => {
  const rows = (...signals: ReturnType<typeof aSignal>[]) => signals.map(({ row }) => row);

  it("is the untaken one of the name that came first", () => {
    const signals = rows(
      aSignal({ key: "c", ordinal: "o3" }),
      aSignal({ key: "b", ordinal: "o2" }),
      aSignal({ key: "a", ordinal: "o1", takenAt: 20 }),
      aSignal({ name: "sign", key: "z", ordinal: "o0" }),
    );
    expect(nextSignal(signals, "signal")?.ordinal).toBe("o2");
    expect(nextSignal(signals, "other")).toBeNull();
  });
});
