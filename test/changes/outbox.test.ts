import { describe, expect, it } from "vitest";
import { type Change, type ChangeOf, servedKind } from "../../src/changes/index.ts";
import { COMMIT_ID_CHARS, COMMITS_REMEMBERED } from "../../src/model/index.ts";
import { applyChanges } from "./support.ts";
import type { State } from "../../src/model/state.ts";
import { aState, anEvent, contentOf, id } from "../memory/support.ts";

const eventKey = { workflowRunId: "run", sequence: 1 };

function eventAfter(...changes: Change[]) {
  const state = aState(anEvent());
  changes.forEach((change, index) => applyChanges(state, [change], id("bcdef"[index] ?? "z")));
  return state.outboxEvents.get("run", "1");
}

describe("appendOutboxEvent", () => {
  it("gives each run its own sequence, from 1 and without gaps", () => {
    const state = aState(anEvent(), anEvent({ workflowRunId: "other" }), anEvent());
    applyChanges(state, [anEvent()], id("b"));
    expect([...state.outboxEvents.part("run").keys()]).toEqual(["1", "2", "3"]);
    expect([...state.outboxEvents.part("other").keys()]).toEqual(["1"]);
  });

  it("counts beyond 9 by number, not by text", () => {
    const state = aState(...Array.from({ length: 12 }, () => anEvent()));
    expect(state.outboxEvents.part("run").size).toBe(12);
    expect(state.outboxEvents.get("run", "12")?.sequence).toBe(12);
  });

  it("continues the commits of the event before it", () => {
    const state = aState(anEvent());
    for (const letter of "bc") applyChanges(state, [anEvent()], id(letter));
    expect(state.outboxEvents.get("run", "1")?.commits).toBe(id("a"));
    expect(state.outboxEvents.get("run", "3")?.commits).toBe(id("c") + id("b") + id("a"));
  });

  it("names its commit once when one commit appends several", () => {
    const state = aState(anEvent());
    applyChanges(state, [anEvent(), anEvent(), anEvent()], id("b"));
    for (const sequence of ["2", "3", "4"]) {
      expect(state.outboxEvents.get("run", sequence)?.commits).toBe(id("b") + id("a"));
    }
  });

  it("remembers as many commits as other rows do", () => {
    const state = aState(anEvent());
    for (const letter of "bcdefghij") applyChanges(state, [anEvent()], id(letter));
    const commits = state.outboxEvents.get("run", "10")?.commits;
    expect(commits).toHaveLength(COMMITS_REMEMBERED * COMMIT_ID_CHARS);
  });
});

describe("a wake-up for events", () => {
  it("follows an event only if it waits", () => {
    const wakes = (event: ChangeOf<"appendOutboxEvent">) => servedKind(event).wakes(event);
    expect(wakes(anEvent())).toEqual([{ kind: "outbox", at: null }]);
    expect(wakes(anEvent({ publishedAt: 10 }))).toEqual([]);
    expect(wakes(anEvent({ dlqAt: 10 }))).toEqual([]);
  });
});

const publish = { kind: "publishOutboxEvent", ...eventKey } as const;
const bury = { kind: "deadLetterOutboxEvent", ...eventKey } as const;
const retry: Change = { kind: "countOutboxRetry", ...eventKey };
const replay: Change = { kind: "replayOutboxEvent", ...eventKey };

describe("publishOutboxEvent", () => {
  it("sets publishedAt", () => {
    expect(eventAfter({ ...publish, at: 20 })).toEqual({
      ...anEvent().row,
      sequence: 1,
      publishedAt: 20,
      countAfter: null,
      commits: id("b") + id("a"),
    });
  });

  it("keeps the first publishedAt", () => {
    expect(eventAfter({ ...publish, at: 20 }, { ...publish, at: 30 })).toMatchObject({
      publishedAt: 20,
      commits: id("c") + id("b") + id("a"),
    });
  });

  it("takes the event out of the DLQ", () => {
    const event = eventAfter({ ...bury, at: 15 }, { ...publish, at: 20 });
    expect(event).toMatchObject({ dlqAt: null, publishedAt: 20 });
  });
});

describe("countOutboxRetry", () => {
  it("adds one", () => {
    expect(eventAfter(retry, retry)?.retryCount).toBe(2);
  });
});

describe("deadLetterOutboxEvent", () => {
  it("sets dlqAt, the latest one", () => {
    expect(eventAfter({ ...bury, at: 20 }, { ...bury, at: 30 })?.dlqAt).toBe(30);
  });

  it("does nothing to a published event", () => {
    expect(eventAfter({ ...publish, at: 20 }, { ...bury, at: 30 })).toMatchObject({
      dlqAt: null,
      commits: id("b") + id("a"),
    });
  });
});

describe("replayOutboxEvent", () => {
  it("takes the event out of the DLQ with a fresh count", () => {
    expect(eventAfter(retry, { ...bury, at: 20 }, replay)).toMatchObject({
      dlqAt: null,
      retryCount: 0,
    });
  });
});

describe("a change of an unknown event", () => {
  it("does nothing", () => {
    const state = aState(anEvent());
    const unknown = { workflowRunId: "run", sequence: 2 };
    applyChanges(
      state,
      [
        { ...publish, ...unknown, at: 1 },
        { ...bury, ...unknown, at: 1 },
        { kind: "countOutboxRetry", ...unknown },
        { kind: "replayOutboxEvent", ...unknown },
      ],
      id("b"),
    );
    expect(contentOf(state)).toEqual(contentOf(aState(anEvent())));
  });
});

const key = { key: "k", commandType: "c" };

function acquire(at: number, staleBefore: number | null): ChangeOf<"acquireIdempotencyKey"> {
  return { kind: "acquireIdempotencyKey", ...key, at, staleBefore };
}

function complete(at: number, result: string): ChangeOf<"completeIdempotencyKey"> {
  return { kind: "completeIdempotencyKey", ...key, at, result };
}

const release: Change = { kind: "releaseIdempotencyKey", ...key };

function keyOf(state: State) {
  return state.idempotencyKeys.get("k", "c");
}

const inProgress = {
  ...key,
  createdAt: 10,
  acquiredAt: 10,
  state: "in_progress",
  result: null,
  commits: id("a"),
};

describe("acquireIdempotencyKey", () => {
  it("inserts the key in progress", () => {
    expect(keyOf(aState(acquire(10, null)))).toEqual(inProgress);
  });

  it("takes over a key acquired at or before staleBefore", () => {
    const state = aState(acquire(10, null));
    applyChanges(state, [acquire(30, 10)], id("b"));
    expect(keyOf(state)).toEqual({ ...inProgress, acquiredAt: 30, commits: id("b") + id("a") });
  });

  it("leaves a key alone that is younger, or with null any key, its commits included", () => {
    const state = aState(acquire(10, null));
    applyChanges(state, [acquire(30, 9), acquire(30, null)], id("b"));
    expect(keyOf(state)).toEqual(inProgress);
  });

  it("leaves a completed key alone", () => {
    const state = aState(complete(10, "1"));
    applyChanges(state, [acquire(30, 30)], id("b"));
    expect(keyOf(state)).toMatchObject({ state: "completed", acquiredAt: 10, commits: id("a") });
  });

  it("keeps command types apart", () => {
    const state = aState(acquire(10, null));
    applyChanges(state, [{ ...acquire(20, null), commandType: "d" }], id("b"));
    expect(state.idempotencyKeys.part("k").size).toBe(2);
  });
});

describe("completeIdempotencyKey", () => {
  it("completes a key in progress", () => {
    const state = aState(acquire(10, null));
    applyChanges(state, [complete(20, "1")], id("b"));
    expect(keyOf(state)).toEqual({
      ...inProgress,
      state: "completed",
      result: "1",
      commits: id("b") + id("a"),
    });
  });

  it("replaces the result of a completed key", () => {
    const state = aState(complete(10, "1"));
    applyChanges(state, [complete(20, "2")], id("b"));
    expect(keyOf(state)).toMatchObject({ createdAt: 10, result: "2", commits: id("b") + id("a") });
  });

  it("inserts a key that is absent", () => {
    const completed = { ...inProgress, state: "completed", result: "1" };
    expect(keyOf(aState(complete(10, "1")))).toEqual(completed);
  });
});

describe("purgeExpired", () => {
  const aged = (name: string, at: number): Change => ({ ...acquire(at, null), key: name });
  const purge = (limit: number): Change => ({
    kind: "purgeExpired",
    keysBefore: 30,
    commitsBefore: 30,
    limit,
  });
  const left = (state: State) => [...state.idempotencyKeys.all()].map((row) => row.key).toSorted();

  it("deletes the oldest keys, completed ones too, and none that is young enough", () => {
    const keys = [aged("a", 29), aged("b", 10), aged("c", 30), { ...complete(20, "1"), key: "d" }];
    expect(left(aState(...keys, purge(9)))).toEqual(["c"]);
    expect(left(aState(...keys, purge(2)))).toEqual(["a", "c"]);
  });

  it("deletes with the last of them all that are as old", () => {
    const keys = ["a", "b", "c"].map((name) => aged(name, 10));
    expect(left(aState(...keys, aged("d", 11), purge(2)))).toEqual(["d"]);
  });
});

describe("releaseIdempotencyKey", () => {
  it("deletes a key in progress", () => {
    expect(keyOf(aState(acquire(10, null), release))).toBeUndefined();
  });

  it("leaves a completed key alone, and an absent one absent", () => {
    expect(keyOf(aState(complete(10, "1"), release))?.commits).toBe(id("a"));
    expect(keyOf(aState(release))).toBeUndefined();
  });
});

describe("putBackEvent", () => {
  const MINUTE_MS = 60_000;
  const putBack = (blame: "none" | "suspected" | "certain", seen: number, at: number): Change => ({
    kind: "putBackEvent",
    ...eventKey,
    seen,
    blame,
    at,
  });

  it("counts a failure while others were published, at once and each time", () => {
    expect(eventAfter(putBack("certain", 0, 1), putBack("certain", 1, 1))).toMatchObject({
      retryCount: 2,
      countAfter: null,
    });
  });

  it("counts failures while nothing was published after pauses that double up to an hour", () => {
    const state = aState(anEvent());
    const instants: number[] = [];
    let at = 0;
    for (let count = 0; count < 9; count += 1) {
      const changes = [putBack("suspected", count, at), putBack("suspected", count, at)];
      applyChanges(state, changes, id("b"));
      const event = state.outboxEvents.get("run", "1");
      expect(event?.retryCount).toBe(count + 1);
      const next = event?.countAfter ?? 0;
      applyChanges(state, [putBack("suspected", count + 1, next - 1)], id("c"));
      expect(state.outboxEvents.get("run", "1")?.retryCount).toBe(count + 1);
      instants.push((next - at) / MINUTE_MS);
      at = next;
    }
    expect(instants).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
  });

  it("counts at once an event that was at fault while others were published, also when nothing is", () => {
    expect(
      eventAfter(putBack("certain", 0, 1), putBack("suspected", 1, 1), putBack("suspected", 2, 1)),
    ).toMatchObject({ retryCount: 3, countAfter: null });
    // And one that was suspected before.
    expect(
      eventAfter(putBack("suspected", 0, 1), putBack("certain", 1, 1), putBack("suspected", 2, 1)),
    ).toMatchObject({ retryCount: 3, countAfter: null });
  });

  it("counts nothing where only the turn is over, and leaves the event as it was read", () => {
    const tried = { retryCount: 0, countAfter: 1, commits: id("a") };
    expect(eventAfter(putBack("none", 0, 1), putBack("none", 0, 2))).toMatchObject(tried);
    // Its next failure is the first that counts.
    expect(eventAfter(putBack("none", 0, 1), putBack("suspected", 0, 1))).toMatchObject({
      retryCount: 1,
      countAfter: 1 + MINUTE_MS,
    });
    expect(eventAfter(putBack("certain", 0, 1), putBack("none", 1, 2))).toMatchObject({
      countAfter: null,
    });
  });

  it("does nothing to an event that others have counted, published or given up", () => {
    const others: Change[] = [retry, { ...publish, at: 5 }, { ...bury, at: 5 }];
    for (const other of others) {
      const after = eventAfter(other);
      expect(eventAfter(other, putBack("certain", 0, 10))).toEqual(after);
    }
  });

  it("is forgotten when the event is replayed", () => {
    expect(eventAfter(putBack("suspected", 0, 1), { ...bury, at: 2 }, replay)).toMatchObject({
      retryCount: 0,
      countAfter: null,
    });
  });
});
