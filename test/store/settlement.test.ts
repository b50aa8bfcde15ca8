import { beforeEach, describe, expect, it } from "vitest";
import { type Change, type ChangeKind, type Commit } from "../../src/changes/index.ts";
import { newCommitId, stageRecordId, UNPOLLED_MS } from "../../src/model/index.ts";
import { Connection } from "../../src/persistence/connection.ts";
import type { Backend } from "../../src/contract/index.ts";
import { D1Store } from "../../src/store/index.ts";
import {
  anAnnotation as anAnnotationInput,
  aRun as aRunInput,
  expectCode,
  upTo,
} from "../../src/testing/conformance/support.ts";
import { CONNECTION_LOST, databaseVia, onFirstWrite } from "../anomalies/database.ts";
import {
  aLeasedJob,
  aLog,
  anAiCall,
  anAnnotation,
  anArtifact,
  anEvent,
  aJob,
  aMove,
  aRun,
  aSignal,
  aStage,
} from "../memory/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";

const store = new D1Store(env.DB);
const NOW = Date.UTC(2026, 0, 1);
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const STAGE_ID = stageRecordId("run", "stage", "o1");

beforeEach(async () => {
  await emptyDatabase();
});

function aCommit(changes: readonly Change[], at = NOW): Commit {
  return { id: newCommitId(at), guards: [], changes, reads: [] };
}

/** Writes a commit and returns it. */
async function write(changes: readonly Change[], at = NOW): Promise<Commit> {
  const commit = aCommit(changes, at);
  expect(await store.attempt(commit)).toMatchObject({ applied: true });
  return commit;
}

async function records(): Promise<{ id: string; outcome: string }[]> {
  const { results } = await env.DB.prepare(`SELECT * FROM "commits" ORDER BY "id"`).run<{
    id: string;
    outcome: string;
  }>();
  return results;
}

/** Everything in the tables, but for what commits remember of themselves. */
async function content(): Promise<string> {
  const names = ["runs", "stages", "stage_attempts", "signals", "logs", "artifacts", "annotations"];
  const all = [...names, "outbox_events", "idempotency_keys", "jobs", "ai_calls", "ai_call_totals"];
  const results = await env.DB.batch(all.map((name) => env.DB.prepare(`SELECT * FROM "${name}"`)));
  return JSON.stringify(results.map((result) => result.results));
}

const stage = aStage({ id: STAGE_ID });
const event = { workflowRunId: "run", sequence: 1 } as const;
const key = { key: "key", commandType: "c" } as const;
const job = { workflowRunId: "run", ordinal: "o1" } as const;
const acquire = { kind: "acquireIdempotencyKey", ...key, at: 1, staleBefore: null } as const;

/** A change of each kind that finds something to do, and what must be there before. */
const CHANGES: Record<ChangeKind, { change: Change; before?: readonly Change[] }> = {
  createRun: { change: aRun() },
  updateRun: {
    change: { kind: "updateRun", id: "run", set: {}, at: 11, bump: 1 },
    before: [aRun()],
  },
  createStage: { change: stage, before: [aRun()] },
  updateStage: {
    change: {
      kind: "updateStage",
      workflowRunId: "run",
      stageId: "stage",
      set: {},
      at: 11,
      bump: 1,
    },
    before: [aRun(), stage],
  },
  upsertStage: { change: { kind: "upsertStage", row: stage.row, set: {} }, before: [aRun()] },
  deleteStage: {
    change: { kind: "deleteStage", workflowRunId: "run", stageId: "stage", id: STAGE_ID },
    before: [aRun(), stage],
  },
  cancelStages: {
    change: { kind: "cancelStages", workflowRunId: "run", at: 11 },
    before: [aRun(), stage],
  },
  archiveStages: {
    change: { kind: "archiveStages", workflowRunId: "run", stageId: "stage", group: 1, at: 11 },
    before: [aRun(), stage],
  },
  sendSignal: { change: aSignal(), before: [aRun()] },
  takeSignal: {
    change: { kind: "takeSignal", workflowRunId: "run", id: aSignal().row.id, at: 11 },
    before: [aRun(), aSignal()],
  },
  chargeRun: {
    change: { kind: "chargeRun", id: "run", cost: 1, tokens: 1, at: 11 },
    before: [aRun()],
  },
  createLog: { change: aLog() },
  saveArtifact: { change: anArtifact(), before: [aRun()] },
  deleteArtifact: {
    change: { kind: "deleteArtifact", workflowRunId: "run", key: "key" },
    before: [aRun(), anArtifact()],
  },
  appendAnnotation: { change: anAnnotation(), before: [aRun()] },
  appendOutboxEvent: { change: anEvent() },
  publishOutboxEvent: {
    change: { kind: "publishOutboxEvent", ...event, at: 1 },
    before: [anEvent()],
  },
  countOutboxRetry: { change: { kind: "countOutboxRetry", ...event }, before: [anEvent()] },
  putBackEvent: {
    change: { kind: "putBackEvent", ...event, seen: 0, blame: "certain", at: 1 },
    before: [anEvent()],
  },
  deadLetterOutboxEvent: {
    change: { kind: "deadLetterOutboxEvent", ...event, at: 1 },
    before: [anEvent()],
  },
  replayOutboxEvent: { change: { kind: "replayOutboxEvent", ...event }, before: [anEvent()] },
  acquireIdempotencyKey: { change: acquire },
  completeIdempotencyKey: {
    change: { kind: "completeIdempotencyKey", ...key, at: 1, result: "1" },
  },
  releaseIdempotencyKey: {
    change: { kind: "releaseIdempotencyKey", ...key },
    before: [acquire],
  },
  enqueueJob: { change: aJob() },
  claimJobs: { change: { kind: "claimJobs", workerId: "w", limit: 1, at: 20 }, before: [aJob()] },
  resumeJobs: {
    change: { kind: "resumeJobs", limit: 1, at: 20 },
    before: [aJob({ status: "SUSPENDED", nextPollAt: 20 })],
  },
  completeJob: { change: { kind: "completeJob", ...job, at: 30 }, before: [aLeasedJob()] },
  putBackFailure: {
    change: { kind: "putBackFailure", ...job, dueAt: 40 },
    before: [aJob({ status: "FAILED", completedAt: 20 })],
  },
  attendStage: {
    change: {
      kind: "attendStage",
      workflowRunId: "run",
      stageId: "stage",
      seenAt: 20 + UNPOLLED_MS,
      dueAt: 40,
    },
    before: [aRun(), aStage({ status: "SUSPENDED", nextPollAt: 20 })],
  },
  suspendJob: {
    change: { kind: "suspendJob", ...job, nextPollAt: 40, resumeAt: 40, at: 30 },
    before: [aLeasedJob()],
  },
  failJob: {
    change: { kind: "failJob", ...job, error: "e", retry: null, at: 30 },
    before: [aLeasedJob()],
  },
  returnJob: {
    change: {
      kind: "returnJob",
      ...job,
      error: "e",
      retry: { baseMs: 1, capMs: 9, jitterPermille: 0 },
      at: 30,
    },
    before: [aLeasedJob()],
  },
  unclaimJob: { change: { kind: "unclaimJob", ...job, at: 30 }, before: [aLeasedJob()] },
  touchJob: { change: { kind: "touchJob", ...job, at: 30 }, before: [aLeasedJob()] },
  releaseJob: {
    change: { kind: "releaseJob", ...job, staleBefore: 30, error: "e", at: 30 },
    before: [aLeasedJob()],
  },
  cancelJobs: { change: { kind: "cancelJobs", workflowRunId: "run", at: 30 }, before: [aJob()] },
  moveJob: { change: aMove({ state: "pending" }), before: [aLeasedJob()] },
  leaveGroup: {
    change: { kind: "leaveGroup", ...job, attempt: 1, siblings: ["stage"], at: 30 },
    before: [aRun(), stage, aLeasedJob()],
  },
  dueJobs: {
    change: { kind: "dueJobs", workflowRunId: "run", stageId: null, wakes: 1, at: 30 },
    before: [aJob({ status: "SUSPENDED", nextPollAt: 40 })],
  },
  recordAiCall: { change: anAiCall() },
  purgeExpired: {
    change: { kind: "purgeExpired", keysBefore: 20, commitsBefore: NOW - DAY_MS, limit: 10 },
    before: [acquire],
  },
};

/** Applying these again does no harm, so nobody looks whether they were applied. */
const HARMLESS = new Set<string>([
  "publishOutboxEvent",
  "resumeJobs",
  "putBackFailure",
  "putBackEvent",
  "attendStage",
  "cancelStages",
  "takeSignal",
  "dueJobs",
  "recordAiCall",
  "purgeExpired",
]);

describe.each(Object.entries(CHANGES))("a commit of %s", (kind, { change, before = [] }) => {
  it("that was applied is found", async () => {
    await write(before, NOW - MINUTE_MS);
    const commit = await write([change]);
    expect(await store.settle(commit)).toBe(HARMLESS.has(kind) ? "fenced" : "applied");
  });

  it("that was not applied never is, once it is settled", async () => {
    await write(before, NOW - MINUTE_MS);
    const untouched = await content();
    const commit = aCommit([change]);
    expect(await store.settle(commit)).toBe("fenced");
    await expectCode(store.attempt(commit), "UNAVAILABLE");
    expect(await content()).toBe(untouched);
  });

  it("may be applied again under another id, where it is harmless", async () => {
    if (!HARMLESS.has(kind)) return;
    await write(before, NOW - MINUTE_MS);
    await write([change]);
    const once = (await content()).replace(/[0-9a-z]{18}/g, "");
    await write([change]);
    expect((await content()).replace(/[0-9a-z]{18}/g, "")).toBe(once);
  });
});

const touch: Change = { kind: "updateRun", id: "run", set: {}, at: 11, bump: 1 };

describe("a row that was written since", () => {
  it("seven times still tells of a commit, after eight nobody knows", async () => {
    await write([aRun()], NOW - MINUTE_MS);
    for (const [writes, settlement] of [
      [7, "applied"],
      [8, "unknown"],
    ] as const) {
      const commit = await write([touch]);
      for (const _ of upTo(writes)) await write([touch]);
      expect(await store.settle(commit)).toBe(settlement);
    }
  });

  it("eight times long ago tells that a commit was not applied", async () => {
    await write([aRun()], NOW - DAY_MS);
    for (const _ of upTo(8)) await write([touch], NOW - MINUTE_MS);
    expect(await store.settle(aCommit([touch]))).toBe("fenced");
  });

  it("eight times by clocks that may be ahead does not", async () => {
    await write([aRun()], NOW - DAY_MS);
    for (const _ of upTo(8)) await write([touch], NOW - 9_000);
    expect(await store.settle(aCommit([touch]))).toBe("unknown");
  });

  it("by other events of its run tells of eight commits", async () => {
    const commits: Commit[] = [];
    for (const _ of upTo(9)) commits.push(await write([anEvent()]));
    const settlements: string[] = [];
    for (const commit of commits) settlements.push(await store.settle(commit));
    expect(settlements).toEqual(["unknown", ...upTo(8).map(() => "applied")]);
  });
});

describe("an unknown outcome", () => {
  it("is UNAVAILABLE to the caller, and final", async () => {
    await write([aRun()], NOW - MINUTE_MS);
    const busy = onFirstWrite(async (batch, send) => {
      await send(batch);
      for (const _ of upTo(8)) await write([touch], Date.now());
      throw new Error(CONNECTION_LOST);
    });
    const { persistence } = new Connection(new D1Store(databaseVia(env.DB, busy)));
    await expectCode(persistence.updateRun("run", { totalTokens: 1 }), "UNAVAILABLE");
    expect(await persistence.getRun("run")).toMatchObject({ version: 10, totalTokens: 1 });
    expect((await records()).map(({ outcome }) => outcome)).toEqual(["unknown"]);
  });
});

describe("a signal", () => {
  it("tells of the commit that sent it, and of no other that sends it again", async () => {
    await write([aRun()], NOW - MINUTE_MS);
    const first = await write([aSignal()]);
    const again = aCommit([aSignal({ ordinal: "o2" })]);
    expect(await store.settle(again)).toBe("fenced");
    expect(await store.settle(first)).toBe("applied");
    const due: Change = { kind: "dueJobs", workflowRunId: "run", stageId: null, wakes: 1, at: 30 };
    expect(await store.settle(aCommit([aSignal({ ordinal: "o3" }), due]))).toBe("fenced");
  });
});

describe("a row that was deleted since", () => {
  it.each<[string, Change, readonly Change[]]>([
    ["stage", CHANGES.deleteStage.change, [stage]],
    ["archived stage", CHANGES.archiveStages.change, [stage]],
    ["artifact", CHANGES.deleteArtifact.change, [anArtifact()]],
    ["key", CHANGES.releaseIdempotencyKey.change, [acquire]],
  ])("still tells of the commits that wrote it (%s)", async (_, deletion, insertion) => {
    await write([aRun()], NOW - DAY_MS);
    const commit = await write(insertion);
    const deleting = await write([deletion], NOW + 1_000);
    expect(await store.settle(commit)).toBe("applied");
    expect(await store.settle(deleting)).toBe("applied");
  });

  it("tells of as many as it remembered itself", async () => {
    await write([aRun()], NOW - DAY_MS);
    const commits = [await write([anArtifact()])];
    for (const _ of upTo(9)) commits.push(await write([anArtifact()]));
    await write([CHANGES.deleteArtifact.change], NOW + 1_000);
    expect(await records()).toHaveLength(9);
    for (const commit of commits.slice(2)) expect(await store.settle(commit)).toBe("applied");
  });

  it("tells nothing of commits that nobody can be waiting for", async () => {
    await write([aRun(), anArtifact()], NOW - 6 * MINUTE_MS - 1);
    const deleting = await write([CHANGES.deleteArtifact.change]);
    expect(await records()).toEqual([{ id: deleting.id, outcome: "applied" }]);
  });
});

describe("the record of a commit that only deletes", () => {
  it("stays where no sweep deletes it", async () => {
    await write([aRun()], NOW - DAY_MS);
    const { change } = CHANGES.deleteArtifact;
    const early = await write([change], NOW);
    const late = await write([change], NOW + 2 * DAY_MS);
    expect((await records()).map(({ id }) => id)).toEqual([early.id, late.id]);
  });

  it("is needed by no other commit", async () => {
    await write([aRun(), anArtifact()]);
    await write([touch, CHANGES.deleteArtifact.change], NOW + DAY_MS);
    expect(await records()).toEqual([]);
  });
});

describe("a lost answer of a transaction, one of whose changes found nothing to write,", () => {
  /** A connection whose first write lands and is never answered. */
  function losing(): Backend {
    const line = onFirstWrite(async (batch, send) => {
      await send(batch);
      throw new Error(CONNECTION_LOST);
    });
    return new Connection(new D1Store(databaseVia(env.DB, line)));
  }

  it("is found by the others (a duplicate annotation)", async () => {
    const once = anAnnotationInput("run-1", { idempotencyKey: "once" });
    const { persistence } = new Connection(store);
    await persistence.createRun(aRunInput({ id: "run-1" }));
    await persistence.appendAnnotations([once]);

    await losing().persistence.withTransaction(async (tx) => {
      const tokens = (await tx.getRun("run-1"))?.totalTokens ?? 0;
      await tx.updateRun("run-1", { totalTokens: tokens + 1 });
      await tx.appendAnnotations([once]);
    });

    expect(await persistence.getRun("run-1")).toMatchObject({ totalTokens: 1, version: 2 });
  });

  it("is found by the others (no job to cancel)", async () => {
    const { persistence } = new Connection(store);
    await persistence.createRun(aRunInput({ id: "run-1" }));
    const { persistence: lossy, jobs } = losing();

    await lossy.withTransaction(async (tx) => {
      await tx.updateRun("run-1", { status: "CANCELLED", expectedVersion: 1 });
      await jobs.cancelByRun("run-1");
    });

    expect(await persistence.getRun("run-1")).toMatchObject({ status: "CANCELLED", version: 2 });
  });
});
