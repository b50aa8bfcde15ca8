import { describe, expect, expectTypeOf, it } from "vitest";
import type { Commit } from "../../src/changes/index.ts";
import type { RunRow } from "../../src/model/index.ts";
import { ROW_BYTES_MAX } from "../../src/model/index.ts";
import { createMemoryStore } from "../../src/memory/store.ts";
import { aLog, anEvent, aRun, contentOf, id } from "./support.ts";

function aCommit(letter: string, parts: Partial<Commit> = {}): Commit {
  return { id: id(letter), guards: [], changes: [], reads: [], ...parts };
}

const tail = { q: "outboxTail", workflowRunId: "run" } as const;
const unavailable = expect.objectContaining({ name: "ServiceError", code: "UNAVAILABLE" });

describe("now()", () => {
  it("is the clock given", async () => {
    let now = 5;
    const store = createMemoryStore({ now: () => now });
    expect(await store.now()).toBe(5);
    now = 6;
    expect(await store.now()).toBe(6);
  });

  it("is the machine's clock by default", async () => {
    const before = Date.now();
    expect(await createMemoryStore().now()).toBeGreaterThanOrEqual(before);
  });
});

describe("attempt()", () => {
  it("applies the changes and answers the reads as of afterwards", async () => {
    const store = createMemoryStore();
    const outcome = await store.attempt(
      aCommit("a", {
        changes: [aRun(), anEvent(), anEvent()],
        reads: [tail, { q: "runStatus", id: "run" }],
      }),
    );
    expect(outcome).toEqual({ applied: true, results: [2, "PENDING"] });
  });

  it("refuses when a guard does not hold, and changes nothing", async () => {
    const store = createMemoryStore();
    const guards: Commit["guards"] = [
      { on: "outboxTail", workflowRunId: "run", sequence: 0 },
      { on: "run", id: "run", expect: { is: "present" } },
    ];
    const before = contentOf(store.state);
    const outcome = await store.attempt(aCommit("a", { guards, changes: [anEvent()] }));
    expect(outcome).toEqual({ applied: false, violation: { guard: 1, actual: -1 } });
    expect(contentOf(store.state)).toEqual(before);
  });

  it("checks all guards before the first change", async () => {
    const store = createMemoryStore();
    const outcome = await store.attempt(
      aCommit("a", {
        guards: [{ on: "run", id: "run", expect: { is: "absent" } }],
        changes: [aRun()],
      }),
    );
    expect(outcome).toMatchObject({ applied: true });
  });

  it("rejects a row that does not fit, and changes nothing", async () => {
    const store = createMemoryStore();
    const commit = aCommit("a", {
      changes: [anEvent(), aLog({ message: "x".repeat(ROW_BYTES_MAX + 1) })],
    });
    const tooLarge = expect.objectContaining({ code: "PAYLOAD_TOO_LARGE" });
    await expect(store.attempt(commit)).rejects.toEqual(tooLarge);
    expect(await store.read([tail])).toEqual([0]);
    expect(await store.settle(commit)).toBe("fenced");
  });

  it("lets exactly one of many that start at once have what their guards ask for", async () => {
    const store = createMemoryStore();
    const outcomes = await Promise.all(
      [..."abcdefgh"].map((letter) =>
        store.attempt(
          aCommit(letter, {
            guards: [{ on: "run", id: "run", expect: { is: "absent" } }],
            changes: [aRun()],
          }),
        ),
      ),
    );
    expect(outcomes.filter((outcome) => outcome.applied)).toHaveLength(1);
  });
});

describe("settle()", () => {
  it("finds a commit that was applied, however often it is asked", async () => {
    const store = createMemoryStore();
    await store.attempt(aCommit("a", { changes: [anEvent()] }));
    expect(await store.settle(aCommit("a"))).toBe("applied");
    expect(await store.settle(aCommit("a"))).toBe("applied");
  });

  it("fences a commit that was not, so that a late attempt changes nothing", async () => {
    const store = createMemoryStore();
    const commit = aCommit("a", { changes: [anEvent()] });
    expect(await store.settle(commit)).toBe("fenced");
    await expect(store.attempt(commit)).rejects.toEqual(unavailable);
    expect(await store.settle(commit)).toBe("fenced");
    expect(await store.read([tail])).toEqual([0]);
  });

  it("fences a commit that a guard refused", async () => {
    const store = createMemoryStore();
    const commit = aCommit("a", {
      guards: [{ on: "run", id: "run", expect: { is: "present" } }],
    });
    await store.attempt(commit);
    expect(await store.settle(commit)).toBe("fenced");
  });

  it("remembers the last 1,000 that were applied", async () => {
    const store = createMemoryStore();
    const ids = Array.from({ length: 1_001 }, (_, index) => String(index).padStart(18, "0"));
    for (const commitId of ids) await store.attempt({ ...aCommit("a"), id: commitId });
    expect(await store.settle({ ...aCommit("a"), id: ids[1] ?? "" })).toBe("applied");
    expect(await store.settle({ ...aCommit("a"), id: ids[0] ?? "" })).toBe("fenced");
  });
});

describe("read()", () => {
  it("answers every query in its place, typed", async () => {
    const store = createMemoryStore();
    await store.attempt(aCommit("a", { changes: [aRun()] }));
    const [last, run] = await store.read([tail, { q: "run", id: "run" }]);
    expectTypeOf(last).toEqualTypeOf<number>();
    expectTypeOf(run).toEqualTypeOf<RunRow | null>();
    expect([last, run?.id]).toEqual([0, "run"]);
    expect(await store.read([])).toEqual([]);
  });

  it("keeps its answer when the row is written later", async () => {
    const store = createMemoryStore();
    await store.attempt(aCommit("a", { changes: [aRun()] }));
    const [run] = await store.read([{ q: "run", id: "run" }]);
    const update = { kind: "updateRun", id: "run", set: {}, at: 99, bump: 1 } as const;
    await store.attempt(aCommit("b", { changes: [update] }));
    expect(run).toMatchObject({ updatedAt: 10, version: 1 });
  });
});

describe("clear()", () => {
  it("forgets rows and settlements", async () => {
    const store = createMemoryStore();
    const { state } = store;
    await store.attempt(aCommit("a", { changes: [aRun()] }));
    await store.settle(aCommit("b"));
    store.clear();
    expect([...state.runs.all()]).toEqual([]);
    expect(await store.attempt(aCommit("b"))).toEqual({ applied: true, results: [] });
    expect(await store.settle(aCommit("a"))).toBe("fenced");
  });
});
