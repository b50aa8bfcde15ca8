/** What the queue's consumer and the sweep ask. */
import { describe, expect, it } from "vitest";
import type { NewJobRow, NewStageRow } from "../../src/model/index.ts";
import { applyChanges } from "../../src/changes/change.ts";
import { answer } from "../../src/queries/query.ts";
import { aJob, aLeasedJob, anEvent, aRun, aStage, aState, id } from "../memory/support.ts";

const OVER = ["COMPLETED", "FAILED", "CANCELLED"] as const;

describe("liveJob", () => {
  it("answers the live job that has the key, of whatever run, or null", () => {
    const over = OVER.map((status) => aJob({ ordinal: status, status, dedupeKey: "k" }));
    const query = { q: "liveJob", dedupeKey: "k" } as const;
    expect(answer(aState(...over, aJob({ dedupeKey: "K" }), aJob({ ordinal: "o2" })), query)).toBe(
      null,
    );
    const live = aLeasedJob({ workflowRunId: "other", dedupeKey: "k" });
    expect(answer(aState(...over, live), query)).toEqual({ ...live.row, commits: id("a") });
  });
});

describe("jobStates", () => {
  const keyed = (ordinal: string, row: Partial<NewJobRow>) =>
    aJob({ ordinal, concurrencyKey: "k", ...row });
  const keys = ["o1", "o1", "o2", "none"].map((ordinal) => ({ workflowRunId: "run", ordinal }));

  it("answers each known job once, with what it has come to", () => {
    const state = aState(aLeasedJob({ nextPollAt: 7 }), aJob({ ordinal: "o2" }));
    const states = answer(state, { q: "jobStates", keys, now: 30 });
    expect(states.map(({ ordinal }) => ordinal).toSorted()).toEqual(["o1", "o2"]);
    expect(states.find(({ ordinal }) => ordinal === "o1")).toEqual({
      workflowRunId: "run",
      ordinal: "o1",
      status: "RUNNING",
      attempt: 1,
      nextPollAt: 7,
      concurrencyKey: null,
      commits: id("a"),
      keyWaits: 0,
    });
  });

  it("tells whether a due job waits for the same key", () => {
    const waits = (...others: ReturnType<typeof aJob>[]) => {
      const state = aState(keyed("o1", { status: "RUNNING" }), ...others);
      return answer(state, { q: "jobStates", keys: keys.slice(0, 1), now: 30 })[0]?.keyWaits;
    };
    expect(waits()).toBe(0);
    expect(waits(keyed("o2", {}))).toBe(1);
    expect(waits(keyed("o2", { nextPollAt: 30 }))).toBe(1);
    expect(waits(keyed("o2", { nextPollAt: 31 }))).toBe(0);
    expect(waits(keyed("o2", { status: "RUNNING" }))).toBe(0);
    expect(waits(keyed("o2", { concurrencyKey: "other" }), aJob({ ordinal: "o3" }))).toBe(0);
  });
});

describe("overdueJobs and resumableJobs", () => {
  it("count PENDING jobs that were due at an instant, up to a limit", () => {
    const state = aState(
      aJob({ ordinal: "o1", createdAt: 10 }),
      aJob({ ordinal: "o2", createdAt: 11 }),
      aJob({ ordinal: "o3", createdAt: 1, nextPollAt: 10 }),
      aJob({ ordinal: "o4", createdAt: 1, nextPollAt: 11 }),
      aLeasedJob({ ordinal: "o5", createdAt: 1 }),
    );
    const query = { q: "overdueJobs", before: 10, limit: 9 } as const;
    expect(answer(state, query)).toBe(2);
    expect(answer(state, { ...query, before: 11 })).toBe(4);
    expect(answer(state, { ...query, limit: 1 })).toBe(1);
  });

  it("count SUSPENDED jobs whose instant has come, up to a limit", () => {
    const suspended = (ordinal: string, nextPollAt: number | null) =>
      aJob({ ordinal, status: "SUSPENDED", nextPollAt });
    const state = aState(suspended("o1", 9), suspended("o2", 10), suspended("o3", 11));
    const query = { q: "resumableJobs", now: 10, limit: 9 } as const;
    expect(answer(state, query)).toBe(2);
    expect(answer(state, { ...query, limit: 1 })).toBe(1);
    expect(
      answer(aState(suspended("o1", null), aJob({ ordinal: "o2", nextPollAt: 1 })), query),
    ).toBe(0);
  });
});

describe("waitingEvents", () => {
  it("counts events neither published nor in the DLQ, up to a limit", () => {
    const state = aState(
      anEvent(),
      anEvent({ workflowRunId: "other" }),
      anEvent({ publishedAt: 1 }),
      anEvent({ dlqAt: 1 }),
    );
    expect(answer(state, { q: "waitingEvents", limit: 9 })).toBe(2);
    expect(answer(state, { q: "waitingEvents", limit: 1 })).toBe(1);
  });
});

describe("waitingRuns", () => {
  it("counts, of the first PENDING runs, those that have waited long enough", () => {
    const waiting = (name: string, priority: number, updatedAt: number) =>
      aRun({ id: name, ordinal: name, priority, updatedAt });
    const state = aState(waiting("a", 5, 10), waiting("b", 9, 20), waiting("c", 1, 10));
    const query = { q: "waitingRuns", before: 10, limit: 9 } as const;
    expect(answer(state, query)).toBe(2);
    expect(answer(state, { ...query, before: 9 })).toBe(0);
    expect(answer(state, { ...query, limit: 1 })).toBe(0);
    expect(answer(aState(aRun({ status: "RUNNING" })), query)).toBe(0);
  });
});

describe("unattendedStages", () => {
  const suspended = (stageId: string, row: Partial<NewStageRow> = {}) =>
    aStage({ stageId, status: "SUSPENDED", nextPollAt: 20, ...row });
  const query = { q: "unattendedStages", before: 30, limit: 9 } as const;

  it("answers those that are due, by instant, with their workflow", () => {
    const state = aState(
      aRun({ status: "RUNNING", workflowId: "flow" }),
      suspended("b"),
      suspended("a"),
      suspended("first", { nextPollAt: 10 }),
      suspended("later", { nextPollAt: 31 }),
      suspended("never", { nextPollAt: null }),
      aStage({ stageId: "running", status: "RUNNING", nextPollAt: 10 }),
    );
    const answered = answer(state, query);
    expect(answered.map(({ stageId }) => stageId)).toEqual(["first", "a", "b"]);
    expect(answered[0]).toMatchObject({ workflowRunId: "run", nextPollAt: 10, workflowId: "flow" });
    expect(answer(state, { ...query, limit: 2 })).toHaveLength(2);
  });

  it("answers none whose run is finished, or that has a live job of its own", () => {
    for (const status of OVER) {
      expect(answer(aState(aRun({ status }), suspended("s")), query)).toEqual([]);
    }
    const stage = [aRun({ status: "SUSPENDED" }), suspended("s")];
    expect(answer(aState(...stage, aJob({ stageId: "s", status: "SUSPENDED" })), query)).toEqual(
      [],
    );
    const others = [
      aJob({ stageId: "t" }),
      aJob({ ordinal: "o2", stageId: "s", status: "FAILED" }),
    ];
    expect(answer(aState(...stage, ...others), query)).toHaveLength(1);
  });
});

describe("expired", () => {
  it("tells whether there is a key that purgeExpired would delete", () => {
    const state = aState({
      kind: "acquireIdempotencyKey",
      key: "k",
      commandType: "c",
      at: 10,
      staleBefore: null,
    });
    const query = { q: "expired", keysBefore: 11, commitsBefore: 0 } as const;
    expect(answer(state, query)).toBe(1);
    expect(answer(state, { ...query, keysBefore: 10 })).toBe(0);
    expect(answer(aState(), query)).toBe(0);
  });
});

describe("unhandledFailures", () => {
  const failed = (row: Partial<NewJobRow> = {}) =>
    aJob({ status: "FAILED", completedAt: 20, ...row });
  const query = { q: "unhandledFailures", since: 20, limit: 9 } as const;
  const live = [aRun({ status: "RUNNING" }), aStage({ status: "RUNNING" })];
  const ordinals = (...changes: Parameters<typeof aState>) =>
    answer(aState(...changes), query).map(({ ordinal }) => ordinal);

  it("answers failures whose stage and run go on, the oldest first", () => {
    const other = aStage({ stageId: "other", status: "PENDING" });
    const older = failed({ ordinal: "o2", stageId: "other" });
    const newer = failed({ completedAt: 25 });
    expect(ordinals(...live, other, newer, older)).toEqual(["o2", "o1"]);
    expect(ordinals(...live, failed({ completedAt: 19 }))).toEqual([]);
    expect(ordinals(...live, failed({ completedAt: null }))).toEqual([]);
  });

  it("answers none whose stage or run is finished, or missing", () => {
    for (const status of OVER) {
      expect(ordinals(aRun({ status }), aStage(), failed())).toEqual([]);
      expect(ordinals(aRun(), aStage({ status }), failed())).toEqual([]);
    }
    expect(ordinals(aRun(), failed())).toEqual([]);
    expect(ordinals(aStage(), failed())).toEqual([]);
  });

  it("answers none after which the stage was given another job", () => {
    const state = aState(...live, failed());
    applyChanges(state, [aJob({ ordinal: "o2", stageId: "elsewhere" })], id("b"));
    expect(answer(state, query)).toHaveLength(1);
    applyChanges(state, [aJob({ ordinal: "o3", status: "CANCELLED" })], id("c"));
    expect(answer(state, query)).toEqual([]);
  });
});
