import { describe, expect, it } from "vitest";
import { type Change } from "../../src/changes/index.ts";
import { COMMIT_ID_CHARS, COMMITS_REMEMBERED, ROW_BYTES_MAX } from "../../src/model/index.ts";
import { applyChanges as applyToCopy } from "../../src/changes/apply.ts";
import { applyChanges } from "./support.ts";
import { createState } from "../../src/model/state.ts";
import {
  aJob,
  aLeasedJob,
  aLog,
  anAiCall,
  anAnnotation,
  anArtifact,
  anEvent,
  aRun,
  aSignal,
  aStage,
  aStageRow,
  aState,
  contentOf,
  id,
} from "../memory/support.ts";

const big = "x".repeat(ROW_BYTES_MAX);
const runKey = { workflowRunId: "run" };
const jobKey = { ...runKey, ordinal: "o1" };
const eventKey = { ...runKey, sequence: 1 };
const idempotencyKey = { key: "k", commandType: "c" };

function touch(at = 30): Change {
  return { kind: "updateRun", id: "run", set: {}, at, bump: 1 };
}

describe("commits of a row", () => {
  it("begin with the commit that wrote it last", () => {
    const state = aState(aRun());
    applyChanges(state, [touch()], id("b"));
    expect(state.runs.get("run", "")?.commits).toBe(id("b") + id("a"));
  });

  it("hold a commit once that writes the row twice, at the front", () => {
    const state = aState(aRun(), touch(), touch());
    expect(state.runs.get("run", "")?.commits).toBe(id("a"));
    applyChanges(state, [touch(), touch()], id("b"));
    expect(state.runs.get("run", "")?.commits).toBe(id("b") + id("a"));
  });

  it("forget the oldest", () => {
    const state = aState(aRun());
    const later = [..."bcdefghij"];
    for (const letter of later) applyChanges(state, [touch()], id(letter));
    const commits = state.runs.get("run", "")?.commits ?? "";
    expect(commits).toHaveLength(COMMITS_REMEMBERED * COMMIT_ID_CHARS);
    expect(commits).toBe([..."jihgfedc"].map(id).join(""));
  });
});

describe("atomicity", () => {
  const everything: Change[] = [
    aRun(),
    aStage({ inputData: "1" }),
    aStage({ workflowRunId: "run2" }),
    aSignal(),
    aLog({ workflowStageId: "run/stage/1" }),
    anArtifact({ workflowStageId: "run/stage/1" }),
    anAnnotation({ workflowStageRecordId: "run/stage/1" }),
    anEvent(),
    { kind: "acquireIdempotencyKey", ...idempotencyKey, at: 10, staleBefore: null },
    aJob(),
    aLeasedJob({ ordinal: "o2" }),
    anAiCall(),
  ];
  const writes: Change[] = [
    touch(),
    { kind: "archiveStages", workflowRunId: "run2", stageId: "stage", group: 1, at: 30 },
    { kind: "updateStage", ...runKey, stageId: "stage", set: { config: "2" }, at: 30, bump: 1 },
    { kind: "deleteStage", ...runKey, stageId: "stage", id: "run/stage/1" },
    aStage({ id: "run/stage/2" }),
    { kind: "takeSignal", ...runKey, id: aSignal().row.id, at: 30 },
    { kind: "deleteArtifact", ...runKey, key: "key" },
    anArtifact({ data: "2" }),
    anArtifact({ key: "other" }),
    anAnnotation({ ordinal: "o2" }),
    anEvent(),
    { kind: "publishOutboxEvent", ...eventKey, at: 30 },
    { kind: "releaseIdempotencyKey", ...idempotencyKey },
    { kind: "completeIdempotencyKey", ...idempotencyKey, at: 30, result: "1" },
    { kind: "claimJobs", limit: 1, workerId: "w", at: 30 },
    { kind: "completeJob", ...jobKey, at: 31 },
    { kind: "cancelJobs", ...runKey, at: 32 },
    anAiCall({ ordinal: "o2" }),
    aRun({ id: "other" }),
  ];

  it("takes back every change before one that does not fit", () => {
    const state = aState(...everything);
    const before = contentOf(state);
    const tooBig = aLog({ ordinal: "o9", message: `${big}x` });
    expect(() => applyChanges(state, [...writes, tooBig], id("b"))).toThrow("does not fit");
    expect(contentOf(state)).toEqual(before);
  });

  it("changes all of that when everything fits", () => {
    const state = aState(...everything);
    const before = contentOf(state);
    applyChanges(state, writes, id("b"));
    const after = contentOf(state);
    for (const table of Object.keys(before).filter((name) => name !== "logs")) {
      expect([table, after[table]]).not.toEqual([table, before[table]]);
    }
    expect(after["logs"]).toEqual([]);
  });

  it("leaves the rows of another State alone that shares them", () => {
    const state = aState(...everything);
    const twin = createState();
    for (const run of state.runs.all()) twin.runs.set("run", "", run);
    applyChanges(twin, [touch(99)], id("b"));
    expect(state.runs.get("run", "")?.updatedAt).toBe(10);
    expect(twin.runs.get("run", "")?.updatedAt).toBe(99);
  });

  it("does not freeze or change what it is given", () => {
    const changes = structuredClone([...everything, ...writes]);
    aState(...changes);
    expect(changes).toEqual([...everything, ...writes]);
    expect(changes.some((change) => "row" in change && Object.isFrozen(change.row))).toBe(false);
  });

  it("refuses to create a row anew that no guard has found free", () => {
    const again = expect.objectContaining({ code: "INTERNAL" });
    for (const change of [aRun(), aStage(), aJob()]) {
      const state = aState(change);
      const before = contentOf(state);
      expect(() => applyChanges(state, [aRun({ id: "x" }), change], id("b"))).toThrow(again);
      expect(contentOf(state)).toEqual(before);
    }
  });
});

describe("a change that no transaction makes", () => {
  it("is refused where the maps are a transaction's copy", () => {
    const claim = { kind: "claimJobs", limit: 1, workerId: "w", at: 30 } as const;
    const commitId = "0".repeat(COMMIT_ID_CHARS);
    expect(() => applyToCopy(createState(), [claim], commitId, {})).toThrow(TypeError);
  });
});

describe("the limit of a row", () => {
  function refused(field: string, size: number) {
    return expect.objectContaining({
      code: "PAYLOAD_TOO_LARGE",
      details: { field, size, limit: ROW_BYTES_MAX },
    });
  }

  it("is reached by all text of the row together", () => {
    const half = "x".repeat(ROW_BYTES_MAX / 2);
    aState(aRun({ input: half, config: half }));
    expect(() => aState(aRun({ input: half, config: `${half}x` }))).toThrow(
      refused("config", ROW_BYTES_MAX + 1),
    );
  });

  it("counts bytes of UTF-8", () => {
    const text = "é".repeat(ROW_BYTES_MAX / 2);
    aState(aLog({ message: text }));
    expect(() => aState(aLog({ message: text, metadata: "1" }))).toThrow(
      refused("message", ROW_BYTES_MAX + 1),
    );
  });

  const rest = 'x"'.length;
  const grown: [string, string, Change[], Change][] = [
    [
      "updateRun",
      "output",
      [aRun({ input: "{}", config: "" })],
      { kind: "updateRun", id: "run", set: { output: big }, at: 30, bump: 1 },
    ],
    [
      "updateStage",
      "outputData",
      [aStage({ config: "{}" })],
      {
        kind: "updateStage",
        ...runKey,
        stageId: "stage",
        set: { outputData: big },
        at: 1,
        bump: 1,
      },
    ],
    [
      "upsertStage",
      "outputData",
      [aStage({ config: "{}" })],
      { kind: "upsertStage", row: aStageRow(), set: { outputData: big } },
    ],
    ["saveArtifact", "data", [anArtifact({ metadata: "{}" })], anArtifact({ data: big })],
    ["appendAnnotation", "value", [], anAnnotation({ value: big, payload: "{}" })],
    ["appendOutboxEvent", "payload", [], anEvent({ payload: `${big}{}` })],
    ["enqueueJob", "payload", [], aJob({ payload: `${big}{}` })],
    [
      "completeIdempotencyKey",
      "result",
      [],
      { kind: "completeIdempotencyKey", ...idempotencyKey, at: 30, result: `${big}{}` },
    ],
    ["recordAiCall", "prompt", [], anAiCall({ prompt: big, response: "{}" })],
  ];
  it.each(grown)("holds for %s, which names %s", (_kind, field, before, change) => {
    const state = aState(...before);
    const content = contentOf(state);
    expect(() => applyChanges(state, [change], id("b"))).toThrow(
      refused(field, ROW_BYTES_MAX + rest),
    );
    expect(contentOf(state)).toEqual(content);
  });

  const offered: Change[] = [
    { kind: "upsertStage", row: aStageRow({ inputData: big, outputData: "1" }), set: {} },
    aLog({ message: big, metadata: "1" }),
    anArtifact({ data: big, metadata: "1" }),
    anAnnotation({ value: big, payload: "1" }),
    anAiCall({ prompt: big, response: "", metadata: "1" }),
  ];
  it.each(offered)("holds for the row of $kind also when it is there already", (change) => {
    const state = aState(aStage(), aLog(), anArtifact(), anAnnotation(), anAiCall());
    expect(() => applyChanges(state, [change], id("b"))).toThrow("does not fit");
  });
});

describe("numbers", () => {
  it("know no negative zero, as in SQLite", () => {
    const state = aState(aRun({ totalCost: -0 }), anAiCall({ cost: -0 }));
    expect(state.runs.get("run", "")?.totalCost).toBe(0);
    expect(state.aiCalls.get("", "o1")?.cost).toBe(0);
    expect(state.aiCallTotals.get("topic", "model")?.cost).toBe(0);
  });
});
