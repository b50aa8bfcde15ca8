/** What the queue's consumer and the sweep ask. */
import { describe, expect, it } from "vitest";
import { type NewJobRow, type NewStageRow, stageJob, UNPOLLED_MS } from "../../src/model/index.ts";
import { runMetadata } from "../../src/runner/lease.ts";
import { applyChanges } from "../changes/support.ts";
import { answerAny as answer } from "../../src/memory/answers/index.ts";
import { aJob, aLeasedJob, anEvent, aRun, aStage, aState, id, KEPT } from "../memory/support.ts";

const OVER = ["COMPLETED", "FAILED", "CANCELLED"] as const;

describe("liveJob", () => {
  it("answers the live job that has the key, of whatever run, or null", () => {
    const over = OVER.map((status) => aJob({ ordinal: status, status, dedupeKey: "k" }));
    const query = { q: "liveJob", dedupeKey: "k" } as const;
    expect(answer(aState(...over, aJob({ dedupeKey: "K" }), aJob({ ordinal: "o2" })), query)).toBe(
      null,
    );
    const live = aLeasedJob({ workflowRunId: "other", dedupeKey: "k" });
    expect(answer(aState(...over, live), query)).toEqual({
      ...live.row,
      ...KEPT,
      commits: id("a"),
    });
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
      resumeAt: null,
      concurrencyKey: null,
      commits: id("a"),
      keyWaits: 0,
    });
  });

  it("leaves out those of which nobody is to be told, if it is asked to", () => {
    const state = aState(
      aJob({ ordinal: "due" }),
      aLeasedJob({ ordinal: "leased" }),
      aJob({ ordinal: "suspended", status: "SUSPENDED" }),
      ...OVER.map((status) => aJob({ ordinal: status, status })),
      keyed("keyed", { status: "COMPLETED" }),
    );
    const all = [...state.jobs.all()].map(({ workflowRunId, ordinal }) => ({
      workflowRunId,
      ordinal,
    }));
    const states = answer(state, { q: "jobStates", keys: all, now: 30, wakingOnly: true });
    expect(states.map(({ ordinal }) => ordinal).toSorted()).toEqual(
      ["FAILED", "due", "keyed", "suspended"].toSorted(),
    );
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

describe("unwrittenJobs", () => {
  it("answers each job that the commit did not write once, unknown ones too", () => {
    const state = aState(
      aLeasedJob(),
      aLeasedJob({ ordinal: "o2" }),
      aLeasedJob({ ordinal: "o3" }),
    );
    const job = (ordinal: string) => ({ workflowRunId: "run", ordinal, at: 30 });
    const touched = ["o1", "o2"].map((ordinal) => ({ kind: "touchJob" as const, ...job(ordinal) }));
    applyChanges(state, touched, id("b"));
    // Another commit has written it since.
    applyChanges(state, [{ kind: "completeJob", ...job("o2") }], id("c"));
    const keys = ["o1", "o2", "o3", "o3", "none"].map((ordinal) => ({
      workflowRunId: "run",
      ordinal,
    }));
    expect(answer(state, { q: "unwrittenJobs", keys, commitId: id("b") })).toEqual([
      { workflowRunId: "run", ordinal: "o3", status: "RUNNING", attempt: 1 },
      { workflowRunId: "run", ordinal: "none", status: null, attempt: null },
    ]);
    expect(answer(state, { q: "unwrittenJobs", keys: [], commitId: id("b") })).toEqual([]);
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

  it("count only the jobs of stages, if they are asked for", () => {
    const state = aState(
      aJob({ ordinal: "o1", createdAt: 10, payload: stageJob({}) }),
      aJob({ ordinal: "o2", createdAt: 10, payload: stageJob({ 1: 2 }) }),
      aJob({ ordinal: "o3", createdAt: 10, payload: '{"~stage":0}' }),
      aJob({ ordinal: "o4", createdAt: 11, payload: stageJob({}) }),
    );
    const query = { q: "overdueJobs", before: 10, limit: 9, stagesOnly: true } as const;
    expect(answer(state, query)).toBe(2);
    expect(answer(state, { ...query, limit: 1 })).toBe(1);
  });

  it("count SUSPENDED jobs whose instant has come, up to a limit", () => {
    const suspended = (ordinal: string, nextPollAt: number | null) =>
      aJob({ ordinal, status: "SUSPENDED", nextPollAt });
    const state = aState(suspended("o1", 9), suspended("o2", 10), suspended("o3", 11));
    const query = { q: "resumableJobs", now: 10 + UNPOLLED_MS, limit: 9 } as const;
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
  it("counts those that have waited long enough, whatever goes before them in the order of claims", () => {
    const waiting = (name: string, priority: number, createdAt: number) =>
      aRun({ id: name, ordinal: name, priority, createdAt });
    const state = aState(waiting("a", 5, 10), waiting("b", 9, 20), waiting("c", 1, 10));
    const query = { q: "waitingRuns", before: 10, limit: 9 } as const;
    expect(answer(state, query)).toBe(2);
    expect(answer(state, { ...query, before: 9 })).toBe(0);
    expect(answer(state, { ...query, limit: 1 })).toBe(1);
    expect(answer(aState(aRun({ status: "RUNNING" })), query)).toBe(0);
  });
});

describe("unattendedStages", () => {
  const suspended = (stageId: string, row: Partial<NewStageRow> = {}) =>
    aStage({ stageId, status: "SUSPENDED", nextPollAt: 20, ...row });
  const query = { q: "unattendedStages", now: 30 + UNPOLLED_MS, limit: 9 } as const;

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

  it("tells by its run's metadata whether a typed workflow started it", () => {
    const typed = (metadata: string | null) =>
      answer(aState(aRun({ metadata }), suspended("s")), query).map((stage) => stage.typed);
    expect(typed(runMetadata({ version: 1, shape: "s", publishes: false }))).toEqual([1]);
    expect(typed('{"model":1}')).toEqual([0]);
    expect(typed(null)).toEqual([0]);
  });

  it("tells those whose run is finished or missing from those that have a live job of their own", () => {
    const states = (...changes: Parameters<typeof aState>) =>
      answer(aState(...changes), query).map(({ state }) => state);
    for (const status of OVER) {
      expect(states(aRun({ status }), suspended("s"))).toEqual(["over"]);
    }
    expect(states(suspended("s"))).toEqual(["over"]);
    const stage = [aRun({ status: "SUSPENDED" }), suspended("s")];
    expect(states(...stage, aJob({ stageId: "s", status: "SUSPENDED" }))).toEqual(["attended"]);
    const others = [
      aJob({ stageId: "t" }),
      aJob({ ordinal: "o2", stageId: "s", status: "FAILED" }),
    ];
    expect(states(...stage, ...others)).toEqual(["unattended"]);
  });

  it("looks no more at one that was put back, until it is due again, is written, or its run is live again", () => {
    const state = aState(aRun({ status: "CANCELLED" }), suspended("s"));
    const attend = (dueAt: number | null) => {
      const seenAt = state.stages.get("run", "s")?.attendAt ?? 0;
      const stage = { workflowRunId: "run", stageId: "s" };
      applyChanges(state, [{ kind: "attendStage", ...stage, seenAt, dueAt }], id("b"));
    };
    attend(query.now + 1);
    expect(answer(state, query)).toEqual([]);
    expect(answer(state, { ...query, now: query.now + 1 })).toHaveLength(1);
    attend(null);
    attend(5);
    expect(answer(state, { ...query, now: 2 * query.now })).toEqual([]);
    applyChanges(
      state,
      [{ kind: "updateRun", id: "run", set: { status: "RUNNING" }, at: 9, bump: 1 }],
      id("c"),
    );
    expect(answer(state, query)).toMatchObject([{ state: "unattended" }]);
    attend(null);
    const set = { nextPollAt: 21 };
    applyChanges(
      state,
      [{ kind: "updateStage", workflowRunId: "run", stageId: "s", set, at: 9, bump: 1 }],
      id("d"),
    );
    expect(answer(state, query)).toMatchObject([{ nextPollAt: 21 }]);
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
  const query = { q: "unhandledFailures", now: 20, limit: 9 } as const;
  const live = [aRun({ status: "RUNNING" }), aStage({ status: "RUNNING" })];
  const states = (...changes: Parameters<typeof aState>) =>
    answer(aState(...changes), query).map(({ state }) => state);

  it("answers those that are due to be handed over, the longest due first", () => {
    const other = aStage({ stageId: "other", status: "PENDING" });
    const older = failed({ ordinal: "o2", stageId: "other", completedAt: 15 });
    const state = aState(
      ...live,
      other,
      failed(),
      older,
      failed({ ordinal: "o3", completedAt: 21 }),
    );
    expect(answer(state, query).map(({ ordinal }) => ordinal)).toEqual(["o2", "o1"]);
    expect(states(...live, failed({ completedAt: null }))).toEqual([]);
    expect(states(...live, aJob({ status: "COMPLETED", completedAt: 20 }))).toEqual([]);
  });

  it("takes what has left nothing open for closed: its run is finished or missing, or its stage has a later job", () => {
    for (const status of OVER)
      expect(states(aRun({ status }), aStage(), failed())).toEqual(["closed"]);
    expect(states(aStage(), failed())).toEqual(["closed"]);
    const elsewhere = aJob({ ordinal: "o2", stageId: "elsewhere" });
    expect(states(...live, failed(), elsewhere)).toEqual(["open"]);
    const later = aJob({ ordinal: "o3", status: "CANCELLED" });
    expect(states(...live, failed(), elsewhere, later)).toEqual(["closed"]);
  });

  it("takes one whose stage is done for open too, unless something moves its run on", () => {
    for (const status of OVER) {
      const done = [aRun({ status: "RUNNING" }), aStage({ status }), failed()];
      expect(states(...done)).toEqual(["open"]);
      expect(states(...done, aStage({ stageId: "next", status: "PENDING" }))).toEqual(["open"]);
      expect(states(...done, aJob({ ordinal: "o2", stageId: "next" }))).toEqual(["busy"]);
      const polled = aStage({ stageId: "next", status: "SUSPENDED", nextPollAt: 99 });
      expect(states(...done, polled)).toEqual(["busy"]);
      expect(states(aRun({ status: "PENDING" }), aStage({ status }), failed())).toEqual(["busy"]);
    }
    expect(states(aRun({ status: "RUNNING" }), failed())).toEqual(["open"]);
  });

  it("answers one that was put back when it is due again, and no more once it has nothing open", () => {
    const state = aState(...live, failed());
    const putBack = (dueAt: number | null) =>
      applyChanges(
        state,
        [{ kind: "putBackFailure", workflowRunId: "run", ordinal: "o1", dueAt }],
        id("b"),
      );
    putBack(30);
    expect(answer(state, query)).toEqual([]);
    putBack(20);
    expect(answer(state, query)).toMatchObject([{ ordinal: "o1" }]);
    putBack(null);
    putBack(10);
    expect(answer(state, query)).toEqual([]);
  });
});
