/** Texts of middling length stand beside their rows: which do, and that none is lost, shared or left behind. */
import { beforeEach, describe, expect, it } from "vitest";
import { type Change, type Commit } from "../../src/changes/index.ts";
import {
  blank,
  newArtifactRow,
  newCommitId,
  newOutboxEventRow,
  newStageRow,
} from "../../src/model/index.ts";
import { D1Store } from "../../src/store/index.ts";
import { LONG_TEXT_MAX, LONG_TEXT_MIN } from "../../src/store/long-texts.ts";
import { aRun } from "../memory/support.ts";
import { D1_FAULTS, faultyD1 } from "../../src/testing/faulty-d1.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { textsAstray, textsBeside } from "../support/long-texts.ts";

const AT = 1_000;
const ORDINAL = "0".repeat(22);
const store = new D1Store(env.DB, { now: () => AT });
const LONG = "a".repeat(1_500);
const OTHER = "b".repeat(1_000);

beforeEach(async () => {
  await emptyDatabase();
});

function commitOf(...changes: Change[]): Commit {
  return { id: newCommitId(AT), guards: [], changes, reads: [] };
}

async function apply(...changes: Change[]): Promise<void> {
  expect(await store.attempt(commitOf(...changes))).toMatchObject({ applied: true });
}

/** The texts that stand beside a row, in the order of their letters. */
async function beside(): Promise<string[]> {
  expect(await textsAstray()).toEqual([]);
  return [...(await textsBeside()).values()].toSorted();
}

const createRun = aRun({ id: "run" });

const stageRow = {
  ...blank(newStageRow),
  workflowRunId: "run",
  stageId: "s",
  id: "run/s/3.1",
  createdAt: AT,
  updatedAt: AT,
  version: 1,
  stageName: "S",
  stageNumber: 1,
  executionGroup: 1,
  attempt: 0,
  status: "PENDING" as const,
};

function setStage(set: { outputData?: string | null; config?: string | null }): Change {
  return { kind: "updateStage", workflowRunId: "run", stageId: "s", set, at: AT, bump: 1 };
}

function saveArtifact(data: string, metadata: string | null): Change {
  const row = { ...blank(newArtifactRow), workflowRunId: "run", key: "k", ordinal: ORDINAL };
  return {
    kind: "saveArtifact",
    row: {
      ...row,
      createdAt: AT,
      updatedAt: AT,
      type: "ARTIFACT",
      data,
      size: data.length,
      metadata,
    },
    linkStageId: null,
    replaceStage: false,
    replaceMetadata: false,
  };
}

function log(ordinal: number, message: string): Change {
  return {
    kind: "createLog",
    row: {
      workflowRunId: "run",
      ordinal: String(ordinal).padStart(22, "0"),
      createdAt: AT,
      workflowStageId: stageRow.id,
      level: "INFO",
      message,
      metadata: null,
    },
  };
}

async function outputOfStage(): Promise<string | null | undefined> {
  const [stage] = await store.read([{ q: "stage", workflowRunId: "run", stageId: "s" }]);
  return stage?.outputData;
}

describe("a text stands beside its row", () => {
  it.each([
    [LONG_TEXT_MIN - 1, "a", false],
    [LONG_TEXT_MIN, "a", true],
    [LONG_TEXT_MAX, "a", true],
    [LONG_TEXT_MAX + 1, "a", false],
    [LONG_TEXT_MIN / 2, "\u00e9", true],
    [LONG_TEXT_MAX / 2, "\u00e9", true],
    [LONG_TEXT_MAX / 2 + 1, "\u00e9", false],
  ])("of %d times %s: %s, and is read whole either way", async (length, letter, is) => {
    const outputData = letter.repeat(length);
    await apply(createRun, { kind: "createStage", row: { ...stageRow, outputData } });
    expect(await beside()).toEqual(is ? [outputData] : []);
    expect(await outputOfStage()).toBe(outputData);
  });
});

describe("what writes a column again", () => {
  beforeEach(async () => {
    await apply(createRun, { kind: "createStage", row: { ...stageRow, outputData: LONG } });
  });

  it.each([
    ["another such text", OTHER, [OTHER]],
    ["a short text", "{}", []],
    ["a longer text", "c".repeat(LONG_TEXT_MAX + 1), []],
    ["nothing", null, []],
  ])("leaves of a text beside the row: %s", async (_, outputData, left) => {
    await apply(setStage({ outputData }));
    expect(await beside()).toEqual(left);
    expect(await outputOfStage()).toBe(outputData);
  });

  it("leaves the texts of other columns alone", async () => {
    await apply(setStage({ config: OTHER }));
    expect(await beside()).toEqual([LONG, OTHER]);
    await apply(setStage({ config: null }));
    expect(await beside()).toEqual([LONG]);
  });

  it("twice in one commit leaves the last", async () => {
    await apply(setStage({ outputData: OTHER }), setStage({ outputData: LONG }));
    expect(await beside()).toEqual([LONG]);
  });

  it("as an upsert leaves what was set, and nothing of the row that was not inserted", async () => {
    const row = { ...stageRow, outputData: OTHER, config: OTHER };
    await apply({ kind: "upsertStage", row, set: { outputData: "{}" } });
    expect(await beside()).toEqual([]);
    await apply({ kind: "upsertStage", row, set: { outputData: OTHER } });
    expect(await beside()).toEqual([OTHER]);
    await apply({ kind: "upsertStage", row: stageRow, set: { outputData: null } });
    expect(await beside()).toEqual([]);
  });

  it("of a row that is not there leaves nothing", async () => {
    await apply({
      kind: "updateStage",
      workflowRunId: "run",
      stageId: "absent",
      set: { outputData: OTHER },
      at: AT,
      bump: 1,
    });
    expect(await beside()).toEqual([LONG]);
  });
});

describe("a commit that is tried again", () => {
  it("finds its answer and leaves the same texts", async () => {
    await apply(createRun, { kind: "createStage", row: { ...stageRow, outputData: LONG } });
    const commit = commitOf(setStage({ outputData: OTHER }), saveArtifact(LONG, OTHER));
    for (let n = 0; n < 2; n += 1) await store.attempt(commit);
    expect(await beside()).toEqual([LONG, OTHER, OTHER]);
    expect(await store.settle(commit)).toBe("applied");
    await expect(store.attempt(commit)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await beside()).toEqual([LONG, OTHER, OTHER]);
  });

  it("after it was settled as never applied leaves nothing", async () => {
    await apply(createRun, { kind: "createStage", row: { ...stageRow, outputData: LONG } });
    const commit = commitOf(setStage({ outputData: OTHER }), log(1, OTHER));
    expect(await store.settle(commit)).toBe("fenced");
    await expect(store.attempt(commit)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await beside()).toEqual([LONG]);
  });

  it("since its answer was lost has its texts once", async () => {
    await apply(createRun, { kind: "createStage", row: { ...stageRow, outputData: LONG } });
    const { db } = faultyD1(env.DB, ({ index }) => (index === 0 ? D1_FAULTS.lost : null));
    const losing = new D1Store(db, { now: () => AT });
    const commit = commitOf(setStage({ outputData: OTHER }), log(1, LONG));
    await expect(losing.attempt(commit)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await losing.settle(commit)).toBe("applied");
    expect(await beside()).toEqual([LONG, OTHER]);
  });

  it("and lands when it was given up leaves nothing", async () => {
    await apply(createRun, { kind: "createStage", row: { ...stageRow, outputData: LONG } });
    const late = faultyD1(env.DB, ({ index }) => (index === 0 ? D1_FAULTS.late : null));
    const losing = new D1Store(late.db, { now: () => AT });
    const commit = commitOf(setStage({ outputData: OTHER }), log(1, LONG));
    await expect(losing.attempt(commit)).rejects.toMatchObject({ code: "UNAVAILABLE" });
    expect(await losing.settle(commit)).toBe("fenced");
    await late.release();
    expect(late.calls[0]).toMatchObject({ ran: true });
    expect(await beside()).toEqual([LONG]);
  });

  it("or is refused leaves nothing", async () => {
    const refused = {
      ...commitOf(log(1, OTHER), createRun),
      guards: [{ on: "run", id: "run", expect: { is: "present" } } as const],
    };
    expect(await store.attempt(refused)).toMatchObject({ applied: false });
    expect(await beside()).toEqual([]);
  });

  it("with a row that was there before keeps the text of that row", async () => {
    await apply(log(1, LONG));
    await apply(log(1, OTHER), log(2, OTHER));
    expect(await beside()).toEqual([LONG, OTHER]);
  });
});

describe("what is not replaced or not inserted", () => {
  it("keeps its text, and brings none", async () => {
    await apply(createRun, saveArtifact(LONG, LONG));
    await apply(saveArtifact(OTHER, OTHER));
    expect(await beside()).toEqual([LONG, OTHER]);
  });
});

describe("what is deleted", () => {
  it("takes its texts along: a stage with its logs", async () => {
    await apply(createRun, { kind: "createStage", row: { ...stageRow, config: LONG } });
    await apply(log(1, LONG), log(2, OTHER));
    const key = { workflowRunId: "run", stageId: "s", id: stageRow.id };
    await apply({ kind: "deleteStage", ...key });
    expect(await beside()).toEqual([]);
  });

  it("takes its texts along: an artifact", async () => {
    await apply(createRun, saveArtifact(LONG, OTHER));
    await apply({ kind: "deleteArtifact", workflowRunId: "run", key: "k" });
    expect(await beside()).toEqual([]);
  });

  it("takes its texts along: an expired key", async () => {
    for (const [key, at] of [
      ["old", AT],
      ["new", 2 * AT],
    ] as const) {
      const result = key === "old" ? LONG : OTHER;
      await apply({ kind: "completeIdempotencyKey", key, commandType: "c", at, result });
    }
    await apply({ kind: "purgeExpired", keysBefore: 2 * AT, commitsBefore: AT, limit: 10 });
    expect(await beside()).toEqual([OTHER]);
  });
});

describe("many texts in one commit", () => {
  it("each find their row: logs, whose rows may be there, and events, whose sequences are not known", async () => {
    const texts = Array.from({ length: 1_000 }, (_, n) => `"${String(n).padStart(1_500, "x")}"`);
    const row = { ...blank(newOutboxEventRow), workflowRunId: "run", eventType: "e" };
    await apply(
      ...texts.map((text, n) => log(n, text)),
      ...texts.map((payload, n): Change => ({
        kind: "appendOutboxEvent",
        row: { ...row, payload, causationId: String(n), occurredAt: AT, retryCount: 0 },
      })),
    );
    expect(await beside()).toHaveLength(2 * texts.length);
    const page = { q: "page", workflowRunId: "run", after: null, limit: 1_000 } as const;
    const [logs, events] = await store.read([
      { ...page, of: "logs", descending: false },
      { ...page, of: "outboxEvents", descending: false },
    ]);
    expect(logs.map((each) => ("message" in each ? each.message : null))).toEqual(texts);
    expect(events.map((each) => ("payload" in each ? each.payload : null))).toEqual(texts);
  });
});
