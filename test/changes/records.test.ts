import { describe, expect, it } from "vitest";
import { applyChanges } from "./support.ts";
import {
  aLog,
  anAiCall,
  anAnnotation,
  anArtifact,
  aStage,
  aState,
  contentOf,
  id,
} from "../memory/support.ts";

describe("createLog", () => {
  it("inserts the row", () => {
    expect(aState(aLog()).logs.get("run", "o1")).toEqual(aLog().row);
  });

  it("does nothing when the row exists", () => {
    const state = aState(aLog(), aLog({ message: "again" }));
    expect(state.logs.get("run", "o1")?.message).toBe("hello");
  });
});

describe("saveArtifact", () => {
  const later = { ordinal: "o2", createdAt: 20, updatedAt: 20, data: "2", size: 2 };

  it("inserts the row", () => {
    const change = anArtifact({ workflowStageId: "s", metadata: "{}" });
    expect(aState(change).artifacts.get("run", "key")).toEqual({ ...change.row, commits: id("a") });
  });

  it("replaces updatedAt, data, size and type, and keeps the rest", () => {
    const first = anArtifact({ workflowStageId: "s", metadata: "{}" });
    const state = aState(first);
    const row = { ...later, type: "METADATA", workflowStageId: "x", metadata: "1" } as const;
    applyChanges(state, [anArtifact(row)], id("b"));
    expect(state.artifacts.get("run", "key")).toEqual({
      ...first.row,
      updatedAt: 20,
      data: "2",
      size: 2,
      type: "METADATA",
      commits: id("b") + id("a"),
    });
  });

  it("replaces the stage reference when told so, also by null", () => {
    const state = aState(anArtifact({ workflowStageId: "s", metadata: "{}" }));
    applyChanges(state, [anArtifact({ workflowStageId: "x" }, { replaceStage: true })], id("b"));
    expect(state.artifacts.get("run", "key")).toMatchObject({
      workflowStageId: "x",
      metadata: "{}",
    });
    applyChanges(state, [anArtifact({ workflowStageId: null }, { replaceStage: true })], id("c"));
    expect(state.artifacts.get("run", "key")?.workflowStageId).toBeNull();
  });

  it("replaces the metadata when told so, also by null", () => {
    const state = aState(anArtifact({ workflowStageId: "s", metadata: "{}" }));
    applyChanges(state, [anArtifact({ metadata: "1" }, { replaceMetadata: true })], id("b"));
    expect(state.artifacts.get("run", "key")).toMatchObject({
      workflowStageId: "s",
      metadata: "1",
    });
    applyChanges(state, [anArtifact({ metadata: null }, { replaceMetadata: true })], id("c"));
    expect(state.artifacts.get("run", "key")?.metadata).toBeNull();
  });

  it("links the stage that the run has at this point of the commit", () => {
    const link = { linkStageId: "stage", replaceStage: true };
    const state = aState(
      anArtifact({ key: "before" }, link),
      aStage(),
      anArtifact({ key: "after" }, link),
    );
    expect(state.artifacts.get("run", "before")?.workflowStageId).toBeNull();
    expect(state.artifacts.get("run", "after")?.workflowStageId).toBe("run/stage/1");
    applyChanges(state, [anArtifact({ key: "before" }, link)], id("b"));
    expect(state.artifacts.get("run", "before")?.workflowStageId).toBe("run/stage/1");
  });

  it("links null when the run has no such stage, whatever the row says", () => {
    const state = aState(
      aStage({ workflowRunId: "other" }),
      anArtifact({ workflowStageId: "s" }, { linkStageId: "stage" }),
    );
    expect(state.artifacts.get("run", "key")?.workflowStageId).toBeNull();
  });

  it("leaves the reference of an artifact alone that is not told to replace it", () => {
    const state = aState(aStage(), anArtifact({ workflowStageId: "s" }));
    applyChanges(state, [anArtifact({}, { linkStageId: "stage" })], id("b"));
    expect(state.artifacts.get("run", "key")?.workflowStageId).toBe("s");
  });
});

describe("deleteArtifact", () => {
  it("deletes this artifact only", () => {
    const state = aState(anArtifact(), anArtifact({ key: "other" }));
    const change = { kind: "deleteArtifact", workflowRunId: "run" } as const;
    applyChanges(
      state,
      [
        { ...change, key: "key" },
        { ...change, key: "unknown" },
      ],
      id("b"),
    );
    expect([...state.artifacts.part("run").keys()]).toEqual(["other"]);
  });
});

describe("appendAnnotation", () => {
  it("inserts the row", () => {
    const change = anAnnotation();
    const state = aState(change);
    expect(state.annotations.get("run", "o1")).toEqual({ ...change.row, commits: id("a") });
  });

  it("does nothing when the ordinal exists", () => {
    const state = aState(anAnnotation(), anAnnotation({ value: "2" }));
    expect([...state.annotations.all()]).toEqual([{ ...anAnnotation().row, commits: id("a") }]);
  });

  it("does nothing when run, key and idempotency key exist, the empty one included", () => {
    for (const idempotencyKey of ["i", ""]) {
      const state = aState(
        anAnnotation({ idempotencyKey }),
        anAnnotation({ idempotencyKey, ordinal: "o2", value: "2" }),
      );
      expect([...state.annotations.part("run").keys()]).toEqual(["o1"]);
    }
  });

  it("inserts what differs in run, key or idempotency key, or has none", () => {
    const state = aState(
      anAnnotation({ idempotencyKey: "i" }),
      anAnnotation({ idempotencyKey: "j", ordinal: "o2" }),
      anAnnotation({ idempotencyKey: "i", key: "k", ordinal: "o3" }),
      anAnnotation({ idempotencyKey: "i", workflowRunId: "other" }),
      anAnnotation({ ordinal: "o4" }),
      anAnnotation({ ordinal: "o5" }),
    );
    expect([...state.annotations.all()]).toHaveLength(6);
  });
});

describe("recordAiCall", () => {
  it("inserts the call and begins its totals", () => {
    const state = aState(anAiCall());
    expect(state.aiCalls.get("", "o1")).toEqual(anAiCall().row);
    expect([...state.aiCallTotals.all()]).toEqual([
      { topic: "topic", modelKey: "model", calls: 1, inputTokens: 3, outputTokens: 4, cost: 0.5 },
    ]);
  });

  it("adds to the totals of its topic and model, in the order of the changes", () => {
    const costs = [0.1, 0.2, 0.3, 1e16, -1e16];
    const calls = costs.map((cost, index) => anAiCall({ ordinal: `o${index}`, cost }));
    const state = aState(...calls, anAiCall({ ordinal: "p", modelKey: "other" }));
    expect(state.aiCallTotals.get("topic", "model")).toEqual({
      topic: "topic",
      modelKey: "model",
      calls: 5,
      inputTokens: 15,
      outputTokens: 20,
      cost: costs.reduce((sum, cost) => sum + cost, 0),
    });
    expect(state.aiCallTotals.get("topic", "other")?.calls).toBe(1);
  });

  it("counts a call once", () => {
    const state = aState(anAiCall({ batchId: "b" }), anAiCall({ batchId: "b", cost: 9 }));
    expect(contentOf(state)).toEqual(contentOf(aState(anAiCall({ batchId: "b" }))));
  });

  it("counts equal ordinals of two batches as two calls", () => {
    const state = aState(anAiCall({ batchId: "b" }), anAiCall({ batchId: "c" }));
    expect(state.aiCallTotals.get("topic", "model")?.calls).toBe(2);
  });
});
