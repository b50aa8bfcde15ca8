import { describe, expect, it } from "vitest";
import { createState, placeOf, Table } from "../../src/model/state.ts";
import { aRun, aState, anEvent, id } from "../memory/support.ts";

describe("Table", () => {
  it("keeps equal keys of different parts apart", () => {
    const table = new Table<number>();
    table.set("a", "k", 1);
    table.set("b", "k", 2);
    expect([table.get("a", "k"), table.get("b", "k")]).toEqual([1, 2]);
  });

  it("replaces what a place held", () => {
    const table = new Table<number>();
    table.set("a", "k", 1);
    table.set("a", "k", 2);
    expect([...table.all()]).toEqual([2]);
  });

  it("answers nothing for what it never held", () => {
    const table = new Table<number>();
    expect(table.get("a", "k")).toBeUndefined();
    expect(table.part("a").size).toBe(0);
    table.set("a", "k", undefined);
    expect([...table.all()]).toEqual([]);
  });

  it("forgets what was deleted, and only that", () => {
    const table = new Table<number>();
    table.set("a", "k", 1);
    table.set("a", "l", 2);
    table.set("a", "k", undefined);
    expect([...table.part("a")]).toEqual([["l", 2]]);
    table.set("a", "l", undefined);
    expect(table.part("a").size).toBe(0);
  });

  it("lists one part or all", () => {
    const table = new Table<number>();
    table.set("a", "k", 1);
    table.set("b", "k", 2);
    expect([...table.part("a").values()]).toEqual([1]);
    expect([...table.all()]).toEqual([1, 2]);
    table.clear();
    expect([...table.all()]).toEqual([]);
  });
});

describe("placeOf()", () => {
  it("is where a change puts the row", () => {
    const state = aState(aRun(), anEvent());
    for (const run of state.runs.all()) expect(placeOf("runs", run)).toEqual(["run", ""]);
    for (const event of state.outboxEvents.all()) {
      expect(placeOf("outboxEvents", event)).toEqual(["run", "1"]);
    }
    const total = { topic: "t", modelKey: "m", calls: 1, inputTokens: 1, outputTokens: 1, cost: 1 };
    expect(placeOf("aiCallTotals", total)).toEqual(["t", "m"]);
    const key = { key: "k", commandType: "c", createdAt: 1, acquiredAt: 1, result: null };
    const row = { ...key, state: "completed" as const, commits: id("a") };
    expect(placeOf("idempotencyKeys", row)).toEqual(["k", "c"]);
  });
});

describe("createState()", () => {
  it("is empty", () => {
    for (const table of Object.values(createState())) expect([...table.all()]).toEqual([]);
  });
});
