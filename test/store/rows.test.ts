/** `model/rows.ts` describes each column once. Here the compiler compares it with the other places that describe it. */
import { getTableColumns } from "drizzle-orm";
import { getTableConfig, type SQLiteColumn } from "drizzle-orm/sqlite-core";
import { describe, expect, expectTypeOf, it } from "vitest";
import type {
  JobRecord,
  OutboxRecord,
  UpdateRunInput,
  UpdateStageInput,
  WorkflowAnnotationRecord,
  WorkflowArtifactRecord,
  WorkflowRunRecord,
  WorkflowStageRecord,
} from "../../src/contract/index.ts";
import { type Settlement } from "../../src/changes/index.ts";
import {
  LONG_TEXT,
  type NewAnnotationRow,
  type NewArtifactRow,
  type NewJobRow,
  type NewOutboxEventRow,
  type NewRunRow,
  type NewStageRow,
  type RunSet,
  type StageSet,
} from "../../src/model/index.ts";
import { KEYS, type Rows, type TableName } from "../../src/model/state.ts";
import { propertiesOf, snakeCase, textsOf } from "../../src/store/names.ts";
import { tables } from "../../schema/tables.ts";

/** The same members, not as an intersection. */
type Flat<Row> = { [Name in keyof Row]: Row[Name] };
type Stored<Name extends keyof typeof tables> = (typeof tables)[Name]["$inferSelect"];

describe("a row as the rest of the code knows it", () => {
  it("is a row of its table", () => {
    type Whole = Exclude<keyof Rows, "outboxEvents" | "jobs">;
    expectTypeOf<{ [Name in Whole]: Stored<Name> }>().toEqualTypeOf<{
      [Name in Whole]: Flat<Rows[Name]>;
    }>();
    expectTypeOf<Stored<"commits">>().toEqualTypeOf<{ id: string; outcome: Settlement }>();
  });

  it("of an event leaves out its run's place in the line", () => {
    expectTypeOf<Flat<Omit<Stored<"outboxEvents">, "turn">>>().toEqualTypeOf<
      Flat<Rows["outboxEvents"]>
    >();
    expectTypeOf<Stored<"outboxEvents">["turn"]>().toEqualTypeOf<number | null>();
  });

  it("of a job leaves out what only the index needs", () => {
    expectTypeOf<Flat<Omit<Stored<"jobs">, "delayed">>>().toEqualTypeOf<Flat<Rows["jobs"]>>();
    expectTypeOf<Stored<"jobs">["delayed"]>().toEqualTypeOf<number>();
  });
});

describe("the contract", () => {
  it("has a member for each column that callers are told", () => {
    expectTypeOf<keyof WorkflowRunRecord | "ordinal">().toEqualTypeOf<keyof NewRunRow>();
    expectTypeOf<keyof WorkflowStageRecord>().toEqualTypeOf<keyof NewStageRow>();
    expectTypeOf<keyof WorkflowArtifactRecord | "ordinal">().toEqualTypeOf<
      keyof NewArtifactRow | "id"
    >();
    expectTypeOf<keyof WorkflowAnnotationRecord | "ordinal">().toEqualTypeOf<
      keyof NewAnnotationRow | "id"
    >();
    expectTypeOf<keyof OutboxRecord>().toEqualTypeOf<keyof NewOutboxEventRow | "id" | "sequence">();
    type Kept = "ordinal" | "failures" | "undelivered" | "unanswered";
    expectTypeOf<keyof JobRecord | Kept>().toEqualTypeOf<keyof NewJobRow | "id">();
  });

  it("has a member for each column that an update may set", () => {
    expectTypeOf<keyof UpdateRunInput>().toEqualTypeOf<keyof RunSet | "expectedVersion">();
    // The contract takes `artifacts`, and stores nothing of it.
    expectTypeOf<keyof UpdateStageInput>().toEqualTypeOf<
      keyof StageSet | "expectedVersion" | "artifacts"
    >();
  });
});

describe("the key of a row", () => {
  it.each(Object.entries(KEYS))("of %s is the primary key of its table", (name, key) => {
    const table = tables[name as TableName];
    const { columns, primaryKeys } = getTableConfig(table);
    const primary = primaryKeys[0]?.columns ?? columns.filter((column) => column.primary);
    expect(primary.map((column) => column.name)).toEqual(key.map(snakeCase));
  });
});

describe.each(Object.keys(KEYS) as TableName[])(
  "the columns that statements name: of %s",
  (name) => {
    const columns = Object.entries(getTableColumns(tables[name]));
    const namesOf = (is: (column: SQLiteColumn) => boolean) =>
      columns.flatMap(([property, column]) => (is(column) ? [property] : [])).toSorted();

    it("are those of its table, without those that only an index needs", () => {
      const forIndex: readonly string[] = ["turn", "delayed"];
      const expected = namesOf(() => true).filter((property) => !forIndex.includes(property));
      expect(propertiesOf(name).toSorted()).toEqual(expected);
    });

    it("are taken for text where they are no numbers", () => {
      expect(textsOf(name).toSorted()).toEqual(namesOf(({ dataType }) => dataType !== "number"));
    });

    it("are taken for long text where their type is the one for any length", () => {
      const long: readonly string[] = name === "aiCallTotals" ? [] : LONG_TEXT[name];
      expect(long.toSorted()).toEqual(namesOf((column) => column.getSQLType() === "blob"));
    });
  },
);

describe("a column's name", () => {
  it.each([
    ["id", "id"],
    ["workflowRunId", "workflow_run_id"],
    ["dlqAt", "dlq_at"],
  ])("of %s is %s", (property, column) => {
    expect(snakeCase(property)).toBe(column);
  });
});
