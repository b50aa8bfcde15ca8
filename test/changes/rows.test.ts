import { describe, expect, it } from "vitest";
import { measureRow, newCommitId, tokenOf } from "../../src/changes/index.ts";
import { newRunRow } from "../../src/changes/schemas.ts";
import { aRun } from "../memory/support.ts";

describe("a row's token", () => {
  it("is the commit that wrote it last", () => {
    const [older, newer] = [newCommitId(1), newCommitId(2)];
    expect(tokenOf({ commits: newer + older })).toBe(newer);
    expect(tokenOf({ commits: older })).toBe(older);
  });
});

describe("the size of a row", () => {
  it("is that of its long text, in bytes of UTF-8", () => {
    const { row } = aRun({ id: "x".repeat(500), input: '"\u00e9"', config: "{}", output: "1" });
    expect(measureRow("runs", row)).toEqual({ size: 4 + 2 + 1, field: "input" });
  });

  it("names the column that holds most of it", () => {
    const { row } = aRun({ input: "1", metadata: '"most"' });
    expect(measureRow("runs", row).field).toBe("metadata");
  });

  it("names the first of equal columns", () => {
    expect(measureRow("annotations", { value: "12", payload: "34" }).field).toBe("value");
  });

  it("is none without long text", () => {
    expect(measureRow("artifacts", {})).toEqual({ size: 0, field: "data" });
    expect(measureRow("runs", { input: null, output: undefined, config: 7 }).size).toBe(0);
  });
});

describe("a row", () => {
  it("has no members that its table has not", () => {
    const { row } = aRun();
    expect(newRunRow.safeParse(row).success).toBe(true);
    expect(newRunRow.safeParse({ ...row, admin: true }).success).toBe(false);
    expect(newRunRow.safeParse({ ...row, commits: "" }).success).toBe(false);
  });
});
