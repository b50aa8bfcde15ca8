import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  aJob,
  aLog,
  anAiCall,
  anAnnotation,
  anArtifact,
  anEvent,
  aRun,
} from "../memory/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { aCommit, aStageOf, openRaw, type RawSession, withRow } from "./support.ts";

let session: RawSession;

beforeAll(async () => {
  session = await openRaw();
});

beforeEach(async () => {
  await emptyDatabase();
});

const run = aRun();
const update = { kind: "updateRun", id: "run", set: {}, at: 1, bump: 1 };
const event = anEvent();

describe("nested JSON in a commit", () => {
  const deep = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
  const deepObject = (depth: number) => `${'{"a":'.repeat(depth)}0${"}".repeat(depth)}`;

  it.each<[string, (json: string) => object]>([
    ["input", (input) => withRow(run, { input })],
    ["config", (config) => withRow(run, { config })],
    ["output", (output) => ({ ...update, set: { output } })],
    ["inputData", (inputData) => withRow(aStageOf("run", "s"), { inputData })],
    ["payload", (payload) => withRow(event, { payload })],
    ["payload", (payload) => withRow(aJob(), { payload })],
    ["data", (data) => withRow(anArtifact(), { data })],
    ["value", (value) => withRow(anAnnotation(), { value })],
    ["metadata", (metadata) => withRow(aLog(), { metadata })],
    ["metadata", (metadata) => withRow(anAiCall(), { metadata })],
    [
      "result",
      (result) => ({ kind: "completeIdempotencyKey", key: "k", commandType: "c", at: 1, result }),
    ],
  ])("deeper than 1,000 levels in %s is refused as everywhere else", async (field, change) => {
    for (const nested of [deep, deepObject]) {
      for (const method of ["attempt", "settle"] as const) {
        const { error } = await session[method](aCommit({ changes: [change(nested(1_001))] }));
        expect(error).toEqual({
          code: "INVALID_ARGUMENT",
          message: `${field} holds nesting deeper than 1000, which JSON cannot keep`,
          details: { field },
        });
      }
      // Another rule may refuse it, but its nesting is taken.
      const taken = await session.attempt(aCommit({ changes: [change(nested(1_000))] }));
      expect(taken.error?.message ?? "").not.toContain("nesting");
      await emptyDatabase();
    }
  });

  it("is refused before it is parsed, and text is no JSON", async () => {
    const { error } = await session.attempt(
      aCommit({ changes: [withRow(run, { input: "[".repeat(1_800_000) })] }),
    );
    expect(error).toMatchObject({ code: "INVALID_ARGUMENT", details: { field: "input" } });
    expect(error?.message).toContain("nesting deeper than 1000");
    const log = withRow(aLog(), { message: deep(5_000) });
    const quoted = withRow(event, { payload: JSON.stringify(deep(5_000)) });
    expect(await session.attempt(aCommit({ changes: [log, quoted] }))).toMatchObject({ ok: true });
  });
});
