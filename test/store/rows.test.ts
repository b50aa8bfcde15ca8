import { describe, expect, expectTypeOf, it } from "vitest";
import type {
  AiCallRow,
  AiCallTotalRow,
  AnnotationRow,
  ArtifactRow,
  IdempotencyKeyRow,
  JobRow,
  LogRow,
  OutboxEventRow,
  RunRow,
  StageRow,
} from "../../src/model/index.ts";
import { type Settlement } from "../../src/changes/index.ts";
import { LONG_TEXT } from "../../src/model/index.ts";
import { snakeCase, tables } from "../../src/store/schema.ts";

/** The same members, not as an intersection. */
type Flat<Row> = { [Name in keyof Row]: Row[Name] };
/** Where a row's long texts are is the store's business. */
type Stored<Name extends keyof typeof tables> = Flat<
  Omit<(typeof tables)[Name]["$inferSelect"], "longTextId" | "laterTextId">
>;

describe("a row as the rest of the code knows it", () => {
  it("is a row of its table", () => {
    expectTypeOf<Stored<"runs">>().toEqualTypeOf<Flat<RunRow>>();
    expectTypeOf<Stored<"stages">>().toEqualTypeOf<Flat<StageRow>>();
    expectTypeOf<Stored<"logs">>().toEqualTypeOf<Flat<LogRow>>();
    expectTypeOf<Stored<"artifacts">>().toEqualTypeOf<Flat<ArtifactRow>>();
    expectTypeOf<Stored<"annotations">>().toEqualTypeOf<Flat<AnnotationRow>>();
    expectTypeOf<Stored<"idempotencyKeys">>().toEqualTypeOf<Flat<IdempotencyKeyRow>>();
    expectTypeOf<Stored<"aiCalls">>().toEqualTypeOf<Flat<AiCallRow>>();
    expectTypeOf<Stored<"aiCallTotals">>().toEqualTypeOf<Flat<AiCallTotalRow>>();
    expectTypeOf<Stored<"commits">>().toEqualTypeOf<{ id: string; outcome: Settlement }>();
  });

  it("of an event leaves out its run's place in the line", () => {
    expectTypeOf<Flat<Omit<Stored<"outboxEvents">, "turn">>>().toEqualTypeOf<
      Flat<OutboxEventRow>
    >();
    expectTypeOf<Stored<"outboxEvents">["turn"]>().toEqualTypeOf<number | null>();
  });

  it("of a job leaves out what only the index needs", () => {
    expectTypeOf<Flat<Omit<Stored<"jobs">, "delayed">>>().toEqualTypeOf<Flat<JobRow>>();
    expectTypeOf<Stored<"jobs">["delayed"]>().toEqualTypeOf<number>();
  });
});

describe("the columns of long text", () => {
  it.each(Object.entries(LONG_TEXT))("of %s are columns of its table", (name, columns) => {
    const table = tables[name as keyof typeof LONG_TEXT];
    for (const column of columns) expect(table).toHaveProperty(column);
  });
});

describe("a column's name", () => {
  it.each([
    ["id", "id"],
    ["workflowRunId", "workflow_run_id"],
    ["dlqAt", "dlq_at"],
  ])("of %s is %s", (property, column) => {
    expect(snakeCase(property)).toBe(column);
  });
});
