import { describe, expect, it } from "vitest";
import { type Change } from "../../src/changes/index.ts";
import { type AnnotationRowFilters, PAGE_ROWS } from "../../src/queries/index.ts";
import { applyChanges } from "../changes/support.ts";
import { answerAny as answer } from "../../src/memory/answers/index.ts";
import {
  anAiCall,
  anAnnotation,
  anArtifact,
  anEvent,
  aRun,
  aState,
  id,
} from "../memory/support.ts";

const run = { workflowRunId: "run" } as const;

describe("artifact and hasArtifact", () => {
  it("answer the row or null, and whether there is one", () => {
    const state = aState(anArtifact());
    const row = { ...anArtifact().row, commits: id("a") };
    expect(answer(state, { q: "artifact", ...run, key: "key" })).toEqual(row);
    expect(answer(state, { q: "artifact", ...run, key: "x" })).toBeNull();
    expect(answer(state, { q: "hasArtifact", ...run, key: "key" })).toBe(true);
    expect(answer(state, { q: "hasArtifact", ...run, key: "x" })).toBe(false);
  });
});

describe("artifacts", () => {
  it("answers the run's artifacts by key, in the order of UTF-8", () => {
    const keys = ["\u{1f600}", "b", "\ufffd", "", "B"];
    const state = aState(
      ...keys.map((key) => anArtifact({ key })),
      anArtifact({ workflowRunId: "other" }),
    );
    const sorted = answer(state, { q: "artifacts", ...run }).map((artifact) => artifact.key);
    expect(sorted).toEqual(["", "B", "b", "\ufffd", "\u{1f600}"]);
  });
});

describe("annotations", () => {
  const state = aState(
    anAnnotation({ ordinal: "o3", createdAt: 20, key: "a.b", scope: "stage", scopeId: "s" }),
    anAnnotation({ ordinal: "o1", createdAt: 20, key: "a.c", actorId: "x", actorKind: "agent" }),
    anAnnotation({ ordinal: "o2", createdAt: 30, key: "A.b", attempt: 1, scopeId: "" }),
    anAnnotation({ ordinal: "o0", createdAt: 40, key: "a%b" }),
    anAnnotation({ ordinal: "o9", workflowRunId: "other" }),
  );

  function ordinals(filters: Partial<AnnotationRowFilters> = {}) {
    const query = { q: "annotations", ...run, filters: { limit: 100, ...filters } } as const;
    return answer(state, query).map((row) => row.ordinal);
  }

  it("answers the run's annotations by createdAt, then ordinal", () => {
    expect(ordinals()).toEqual(["o1", "o3", "o2", "o0"]);
  });

  it("filters by key, which wins over the prefix", () => {
    expect(ordinals({ key: "a.b" })).toEqual(["o3"]);
    expect(ordinals({ key: "a.b", keyPrefix: "A" })).toEqual(["o3"]);
    expect(ordinals({ key: "" })).toEqual([]);
  });

  it("filters by a prefix that is literal and knows case", () => {
    expect(ordinals({ keyPrefix: "a." })).toEqual(["o1", "o3"]);
    expect(ordinals({ keyPrefix: "a%" })).toEqual(["o0"]);
    expect(ordinals({ keyPrefix: "A" })).toEqual(["o2"]);
    expect(ordinals({ keyPrefix: "" })).toEqual(["o1", "o3", "o2", "o0"]);
  });

  it("filters by scope, actor and attempt", () => {
    expect(ordinals({ scope: "stage" })).toEqual(["o3"]);
    expect(ordinals({ actorId: "x" })).toEqual(["o1"]);
    expect(ordinals({ actorKind: "agent" })).toEqual(["o1"]);
    expect(ordinals({ attempt: 1 })).toEqual(["o2"]);
    expect(ordinals({ scope: "stage", actorId: "x" })).toEqual([]);
  });

  it("tells a scope id from the empty one and from none", () => {
    expect(ordinals({ scopeId: "s" })).toEqual(["o3"]);
    expect(ordinals({ scopeId: "" })).toEqual(["o2"]);
    expect(ordinals({ scopeId: null })).toEqual(["o1", "o0"]);
    expect(ordinals({ scopeId: undefined })).toHaveLength(4);
  });

  it("includes both ends of a span of time", () => {
    expect(ordinals({ since: 30 })).toEqual(["o2", "o0"]);
    expect(ordinals({ until: 30 })).toEqual(["o1", "o3", "o2"]);
    expect(ordinals({ since: 30, until: 30 })).toEqual(["o2"]);
  });

  it("limits what has passed the filters", () => {
    expect(ordinals({ since: 30, limit: 1 })).toEqual(["o2"]);
    expect(ordinals({ limit: 0 })).toEqual([]);
  });
});

describe("outboxEvent and outboxTail", () => {
  it("answer the row or null, and the highest sequence or 0", () => {
    const state = aState(...Array.from({ length: 10 }, () => anEvent()));
    expect(answer(state, { q: "outboxEvent", ...run, sequence: 10 })?.sequence).toBe(10);
    expect(answer(state, { q: "outboxEvent", ...run, sequence: 11 })).toBeNull();
    expect(answer(state, { q: "outboxTail", ...run })).toBe(10);
    expect(answer(state, { q: "outboxTail", workflowRunId: "x" })).toBe(0);
  });
});

function events(runs: Readonly<Record<string, number>>): Change[] {
  return Object.entries(runs).flatMap(([workflowRunId, count]) =>
    Array.from({ length: count }, () => anEvent({ workflowRunId })),
  );
}

describe("unpublishedEvents", () => {
  function page(state: ReturnType<typeof aState>, limit: number) {
    return answer(state, { q: "unpublishedEvents", limit }).map(
      (event) => `${event.workflowRunId}${event.sequence}`,
    );
  }

  it("answers by run, in the order of UTF-8, then by sequence as a number", () => {
    const state = aState(...events({ "\u{1f600}": 1, b: 11, "\ufffd": 1 }));
    const ofB = Array.from({ length: 11 }, (_, index) => `b${index + 1}`);
    expect(page(state, 100)).toEqual([...ofB, "\ufffd1", "\u{1f600}1"]);
  });

  it("takes the first of every run before the second of any, and the runs in the order of their line", () => {
    const state = aState(...events({ c: 3, a: 4, b: 1 }));
    expect(page(state, 2)).toEqual(["a1", "c1"]);
    expect(page(state, 3)).toEqual(["a1", "b1", "c1"]);
    expect(page(state, 4)).toEqual(["a1", "b1", "c1", "c2"]);
    expect(page(state, 7)).toEqual(["a1", "a2", "a3", "b1", "c1", "c2", "c3"]);
    expect(page(state, 0)).toEqual([]);
  });

  it("leaves out what is published or in the DLQ, and ranks what is left", () => {
    const state = aState(...events({ a: 3, b: 2 }));
    const event = { workflowRunId: "a", at: 30 } as const;
    applyChanges(
      state,
      [
        { kind: "publishOutboxEvent", ...event, sequence: 1 },
        { kind: "deadLetterOutboxEvent", ...event, sequence: 2 },
      ],
      id("b"),
    );
    expect(page(state, 2)).toEqual(["a3", "b1"]);
  });

  it("sends a run to the end of the line when its first event is published, dies, is replayed or has failed", () => {
    const state = aState(...events({ a: 3, b: 1, c: 2, d: 2 }));
    const line = () => {
      const { turns } = state.outboxEvents;
      return [...turns].toSorted((a, b) => a[1] - b[1]).map(([of]) => of);
    };
    const after = (
      kind: "publishOutboxEvent" | "deadLetterOutboxEvent",
      of: string,
      sequence: number,
    ) => {
      applyChanges(state, [{ kind, workflowRunId: of, sequence, at: 30 }], id("b"));
      return line();
    };
    const retry = (
      kind: "countOutboxRetry" | "replayOutboxEvent",
      of: string,
      sequence: number,
    ) => {
      applyChanges(state, [{ kind, workflowRunId: of, sequence }], id("b"));
      return line();
    };
    expect(line()).toEqual(["a", "b", "c", "d"]);
    expect(after("publishOutboxEvent", "a", 1)).toEqual(["b", "c", "d", "a"]);
    expect(retry("countOutboxRetry", "b", 1)).toEqual(["c", "d", "a", "b"]);
    expect(after("deadLetterOutboxEvent", "c", 1)).toEqual(["d", "a", "b", "c"]);
    // Not the first of their runs: nothing changes.
    expect(after("publishOutboxEvent", "d", 2)).toEqual(["d", "a", "b", "c"]);
    expect(retry("countOutboxRetry", "a", 3)).toEqual(["d", "a", "b", "c"]);
    expect(after("publishOutboxEvent", "d", 1)).toEqual(["a", "b", "c"]);
    expect(retry("replayOutboxEvent", "c", 1)).toEqual(["a", "b", "c"]);
    expect(page(state, 3)).toEqual(["a2", "b1", "c1"]);
    expect(retry("replayOutboxEvent", "a", 1)).toEqual(["b", "c", "a"]);
  });

  it("keeps the line when the commit is taken back", () => {
    const state = aState(...events({ a: 2, b: 1 }));
    const at = { workflowRunId: "a", sequence: 1, at: 30 } as const;
    const fails = aRun();
    applyChanges(state, [fails], id("b"));
    expect(() =>
      applyChanges(state, [{ kind: "publishOutboxEvent", ...at }, fails], id("c")),
    ).toThrow("creates a row");
    expect(Object.fromEntries(state.outboxEvents.turns)).toEqual({ a: 1, b: 2 });
  });
});

describe("deadLetters", () => {
  it("answers by dlqAt, then run and sequence, the first ones", () => {
    const state = aState(...events({ b: 1, a: 11, c: 1 }));
    const at = { b: 20, c: 10 };
    const bury = { kind: "deadLetterOutboxEvent", workflowRunId: "a", at: 20 } as const;
    applyChanges(
      state,
      [
        { ...bury, sequence: 11 },
        { ...bury, sequence: 2 },
        { ...bury, workflowRunId: "b", sequence: 1, at: at.b },
        { ...bury, workflowRunId: "c", sequence: 1, at: at.c },
      ],
      id("b"),
    );
    const places = answer(state, { q: "deadLetters", limit: 10 }).map(
      (event) => `${event.workflowRunId}${event.sequence}`,
    );
    expect(places).toEqual(["c1", "a2", "a11", "b1"]);
    expect(answer(state, { q: "deadLetters", limit: 1 })).toHaveLength(1);
  });
});

describe("idempotencyKey", () => {
  it("answers the row or null", () => {
    const key = { key: "k", commandType: "c" };
    const state = aState({ kind: "acquireIdempotencyKey", ...key, at: 10, staleBefore: null });
    const query = { q: "idempotencyKey", ...key } as const;
    expect(answer(state, query)).toMatchObject({ ...key, state: "in_progress" });
    expect(answer(state, { ...query, commandType: "d" })).toBeNull();
  });
});

describe("aiCallTotals", () => {
  const topics = ["b", "a.x", "a%x", "A", "a.\u{1f600}", "a.\ufffd"];
  const state = aState(
    ...topics.map((topic, index) => anAiCall({ topic, ordinal: `o${index}` })),
    anAiCall({ topic: "b", modelKey: "another", ordinal: "p" }),
  );

  function places(prefix: string, after: { topic: string; modelKey: string } | null = null) {
    return answer(state, { q: "aiCallTotals", prefix, after }).map(
      (total) => `${total.topic} ${total.modelKey}`,
    );
  }

  it("answers everything by topic, in the order of UTF-8, then model", () => {
    const sorted = ["A", "a%x", "a.x", "a.\ufffd", "a.\u{1f600}"].map((topic) => `${topic} model`);
    expect(places("")).toEqual([...sorted, "b another", "b model"]);
  });

  it("takes the prefix literally, case included", () => {
    expect(places("a.")).toEqual(["a.x model", "a.\ufffd model", "a.\u{1f600} model"]);
    expect(places("a%")).toEqual(["a%x model"]);
    expect(places("x")).toEqual([]);
  });

  it("goes on after a place", () => {
    expect(places("", { topic: "b", modelKey: "another" })).toEqual(["b model"]);
    expect(places("a.", { topic: "a.x", modelKey: "model" })).toHaveLength(2);
  });

  it("answers one page", () => {
    const calls = Array.from({ length: PAGE_ROWS + 1 }, (_, index) =>
      anAiCall({ topic: `t${index}`, ordinal: `o${index}` }),
    );
    const query = { q: "aiCallTotals", prefix: "", after: null } as const;
    expect(answer(aState(...calls), query)).toHaveLength(PAGE_ROWS);
  });
});

describe("aiBatch", () => {
  it("tells whether a call is recorded under the batch id", () => {
    const state = aState(anAiCall({ batchId: "b" }));
    expect(answer(state, { q: "aiBatch", batchId: "b" })).toBe(true);
    expect(answer(state, { q: "aiBatch", batchId: "" })).toBe(false);
  });
});
