import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  COMMIT_ID_CHARS,
  commitIdAt,
  createOrdinals,
  ID_BYTES_MAX,
  isStorable,
  joinId,
  newCommitId,
  splitEventId,
  splitId,
  splitStageRecordId,
  stageRecordId,
} from "../../src/model/index.ts";
import { upTo } from "../../src/testing/conformance/support.ts";

const NOW = Date.UTC(2026, 10, 17);
const ORDINAL = createOrdinals()(NOW);

/** Ids as callers choose them, of what ours are made of, too. */
const anId = fc
  .oneof(
    fc.string({ unit: "binary", minLength: 1, maxLength: 40 }).filter(isStorable),
    fc.string({ unit: fc.constantFrom("/", ".", "0", "3", "12", "a", "\u{1f600}"), minLength: 1 }),
  )
  .filter((id) => id !== "." && id !== "..");
const anOrdinal = fc.string({ unit: fc.constantFrom("0", "9", "a", "z"), minLength: 1 });

describe("a stage's record id", () => {
  it("tells its run and its stage, whatever these are", () => {
    fc.assert(
      fc.property(anId, anId, anOrdinal, (workflowRunId, stageId, ordinal) => {
        const id = stageRecordId(workflowRunId, stageId, ordinal);
        expect(splitStageRecordId(id)).toEqual({ workflowRunId, stageId });
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ["run", "stage"],
    ["a/b", "c"],
    ["a", "b/c"],
    ["a/1.b", "c/1.d"],
    ["r", "/"],
    ["/", "/"],
    ["run.1", "stage.2"],
    ["\u{1f600}", "\u00e9"],
  ])("of %s and %s tells them", (workflowRunId, stageId) => {
    const id = stageRecordId(workflowRunId, stageId, ORDINAL);
    expect(splitStageRecordId(id)).toEqual({ workflowRunId, stageId });
  });

  it("of ids as long as they may be tells them", () => {
    const [workflowRunId, stageId] = ["x".repeat(ID_BYTES_MAX), "y".repeat(ID_BYTES_MAX)];
    const id = stageRecordId(workflowRunId, stageId, ORDINAL);
    expect(splitStageRecordId(id)).toEqual({ workflowRunId, stageId });
  });

  it("is another for each pair of run and stage", () => {
    fc.assert(
      fc.property(anId, anId, anId, anId, (run, stage, otherRun, otherStage) => {
        fc.pre(run !== otherRun || stage !== otherStage);
        expect(stageRecordId(run, stage, "o")).not.toBe(stageRecordId(otherRun, otherStage, "o"));
      }),
    );
  });

  it.each([
    "",
    "stage",
    "run/stage",
    "run/stage/o1",
    "run/stage/3",
    "run/stage/3.",
    "run/stage/3.O1",
    "run/stage/.o1",
    "run/stage/0.o1",
    "run/stage/4.o1",
    "run/stage/9.o1",
    "run/stage/10.o1",
    "run/stage/99999.o1",
    "run//3.o1",
    "run/3.o1",
    "/stage/0.o1",
    "run/stage/3.o1 ",
    "run/stage/3.o1\n",
    "r\0n/stage/3.o1",
    "run/\ud83d/3.o1",
    "../stage/2.o1",
    "run/./3.o1",
  ])("is not %j", (id) => {
    expect(splitStageRecordId(id)).toBeNull();
  });

  it("is not longer than its parts may be", () => {
    expect(splitStageRecordId(`run/${"x".repeat(ID_BYTES_MAX)}/3.o1`)).not.toBeNull();
    expect(splitStageRecordId(`run/${"x".repeat(ID_BYTES_MAX + 1)}/3.o1`)).toBeNull();
    expect(splitStageRecordId(`run/stage/3.${"o".repeat(2_100)}`)).toBeNull();
  });
});

describe("the id of a job, an annotation, a log or an artifact", () => {
  it("tells its run and its ordinal", () => {
    fc.assert(
      fc.property(anId, anOrdinal, (workflowRunId, ordinal) => {
        expect(splitId(joinId(workflowRunId, ordinal))).toEqual({ workflowRunId, ordinal });
      }),
    );
  });

  it.each([
    "",
    "run",
    "run/",
    "/o1",
    "./1",
    "../o1",
    "run/O1",
    "run/a.b",
    "run/o1\n",
    "r\0n/o1",
    "\ud83d/o1",
  ])("is not %j", (id) => {
    expect(splitId(id)).toBeNull();
  });

  it("is not longer than its parts may be", () => {
    expect(splitId(`${"x".repeat(ID_BYTES_MAX)}/${"o".repeat(64)}`)).not.toBeNull();
    expect(splitId(`run/${"o".repeat(65)}`)).toBeNull();
    expect(splitId(`${"x".repeat(ID_BYTES_MAX + 1)}/o1`)).toBeNull();
    expect(splitId(`${"\u00e9".repeat(ID_BYTES_MAX / 2 + 1)}/o1`)).toBeNull();
  });
});

describe("an outbox event's id", () => {
  it("tells its run and its sequence", () => {
    fc.assert(
      fc.property(anId, fc.integer({ min: 1, max: 999_999_999_999_999 }), (run, sequence) => {
        expect(splitEventId(joinId(run, sequence))).toEqual({ workflowRunId: run, sequence });
      }),
    );
  });

  it.each([
    "",
    "run",
    "run/",
    "run/0",
    "run/-1",
    "run/01",
    "run/1.5",
    "run/1e3",
    "run/x",
    "run/ 1",
  ])("is not %j", (id) => {
    expect(splitEventId(id)).toBeNull();
  });
});

describe("ordinals", () => {
  const instants = fc.array(fc.integer({ min: -1_000, max: 5_000_000_000_000 }), {
    minLength: 2,
    maxLength: 50,
  });

  it("strictly increase, also when the clock stands still or goes back", () => {
    fc.assert(
      fc.property(instants, (clock) => {
        const next = createOrdinals();
        const made = clock.map((now) => next(now));
        expect(made).toEqual(made.toSorted());
        expect(new Set(made).size).toBe(made.length);
      }),
    );
  });

  it("go on from where they were after the clock has gone back", () => {
    const next = createOrdinals();
    const ahead = next(NOW + 3_600_000);
    const back = next(NOW);
    const again = next(NOW + 3_600_001);
    expect([ahead, back, again].toSorted()).toEqual([ahead, back, again]);
  });

  it("of two connections sort by time", () => {
    const [one, other] = [createOrdinals(), createOrdinals()];
    const made = upTo(50).map((n) => (n % 2 === 0 ? one : other)(NOW + n));
    expect(made).toEqual(made.toSorted());
  });

  it("of two connections in one instant differ", () => {
    const made = upTo(1_000).map(() => createOrdinals()(NOW));
    expect(new Set(made).size).toBe(1_000);
  });

  it("strictly increase beyond as many as one millisecond counts", () => {
    const next = createOrdinals();
    let last = next(NOW);
    let inOrder = true;
    for (let n = 0; n < 36 ** 4 + 10; n += 1) {
      const made = next(NOW);
      inOrder &&= made > last;
      last = made;
    }
    expect(inOrder).toBe(true);
    expect(next(NOW + 1) > last).toBe(true);
  });

  it("have one length and the characters of an ordinal", () => {
    for (const now of [-1, 0, 1.5, NOW, 9e13]) {
      expect(createOrdinals()(now)).toMatch(/^[0-9a-z]{22}$/);
    }
  });
});

describe("commit ids", () => {
  it("have one length and differ", () => {
    const ids = upTo(1_000).map(() => newCommitId(NOW));
    expect(new Set(ids).size).toBe(1_000);
    for (const id of ids) expect(id).toMatch(new RegExp(`^[0-9a-z]{${COMMIT_ID_CHARS}}$`));
  });

  it("sort by time", () => {
    const whole = fc.integer({ min: 0, max: 9e13 });
    fc.assert(
      fc.property(whole, whole, (a, b) => {
        fc.pre(a < b);
        expect(newCommitId(a) < newCommitId(b)).toBe(true);
      }),
    );
  });

  it("of an instant lie from its smallest one to that of the next", () => {
    for (const now of [0, 1, 35, 36, NOW]) {
      const id = newCommitId(now);
      expect(commitIdAt(now) <= id && id < commitIdAt(now + 1)).toBe(true);
      expect(commitIdAt(now)).toHaveLength(COMMIT_ID_CHARS);
    }
  });

  it("before 1970 are the first", () => {
    expect(newCommitId(-5) < commitIdAt(1)).toBe(true);
    expect(commitIdAt(-5)).toBe(commitIdAt(0));
  });
});
