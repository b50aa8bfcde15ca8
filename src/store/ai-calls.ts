/**
 * AI calls: the SQL of their queries and change. Totals for each topic and model are kept as calls
 * are recorded, so that sums read the totals and never the calls.
 */
import { plainRows, presence, type ChangeSqlOf, type QuerySqlOf } from "./change-sql.ts";
import { type ChangeOf } from "../changes/index.ts";
import { PAGE_ROWS } from "../queries/index.ts";
import { type QueryOf } from "../queries/index.ts";
import { insertRows } from "./long-texts.ts";
import { propertiesOf } from "./names.ts";
import { columns, type Param, selectList, sourcesOf, type Statement, statement } from "./sql.ts";

const ROW = propertiesOf("aiCalls");
const TOTALS = propertiesOf("aiCallTotals");
const LAST_CODE_POINT = 0x10_ffff;

export function selectAiCallTotals({ prefix, after }: QueryOf<"aiCallTotals">): Statement {
  const params: Param[] = [];
  const conditions: string[] = [];
  if (prefix !== "") {
    // On a later page the walk begins after the given place and not at the first topic of the
    // prefix: the + makes this condition a mere filter.
    conditions.push(`${after === null ? "" : "+"}"topic" >= ?`);
    params.push(prefix);
    const end = prefixEnd(prefix);
    if (end !== null) {
      conditions.push(`"topic" < ?`);
      params.push(end);
    }
  }
  if (after !== null) {
    conditions.push(`("topic", "model_key") > (?, ?)`);
    params.push(after.topic, after.modelKey);
  }
  const where = conditions.length === 0 ? "" : ` WHERE ${conditions.join(" AND ")}`;
  return {
    sql: `SELECT ${selectList(TOTALS)} FROM "ai_call_totals"${where} ORDER BY "topic", "model_key" LIMIT ${PAGE_ROWS}`,
    params,
  };
}

/**
 * The smallest text that sorts after every text with this prefix, by UTF-8 bytes; null if there is
 * none.
 */
export function prefixEnd(prefix: string): string | null {
  const points = Array.from(prefix, (character) => character.codePointAt(0) ?? 0);
  for (let last = points.pop(); last !== undefined; last = points.pop()) {
    if (last < LAST_CODE_POINT) {
      const next = last + 1;
      // Surrogates are no characters of UTF-8.
      points.push(next >= 0xd800 && next <= 0xdfff ? 0xe000 : next);
      return points.map((point) => String.fromCodePoint(point)).join("");
    }
  }
  return null;
}

export function selectAiBatch(query: QueryOf<"aiBatch">): Statement {
  return statement(
    `SELECT 1 AS "found" FROM "ai_calls" WHERE "batch_id" = ? LIMIT 1`,
    query.batchId,
  );
}

/** Totals first: they count the calls that the table does not have yet. */
export function recordAiCalls(changes: readonly ChangeOf<"recordAiCall">[]) {
  // Of calls with the same place only the first counts: the table, which is asked whether a call is
  // new, has none of them.
  const places = new Map<string, ChangeOf<"recordAiCall">["row"]>();
  for (const { row } of changes) {
    const place = JSON.stringify([row.batchId, row.ordinal]);
    if (!places.has(place)) places.set(place, row);
  }
  const rows = [...places.values()];
  const statements: Statement[] = [];
  for (const source of sourcesOf(rows, [
    "batchId",
    "ordinal",
    "topic",
    "modelKey",
    "inputTokens",
    "outputTokens",
    "cost",
  ])) {
    statements.push({
      sql:
        `INSERT INTO "ai_call_totals" (${columns(TOTALS)}) ` +
        `SELECT "topic", "model_key", 1, "input_tokens", "output_tokens", "cost" FROM ${source.sql} ` +
        `WHERE NOT EXISTS (SELECT 1 FROM "ai_calls" AS known WHERE known."batch_id" = src."batch_id" AND known."ordinal" = src."ordinal") ` +
        `ON CONFLICT ("topic", "model_key") DO UPDATE SET "calls" = "calls" + 1, ` +
        `"input_tokens" = "ai_call_totals"."input_tokens" + excluded."input_tokens", ` +
        `"output_tokens" = "ai_call_totals"."output_tokens" + excluded."output_tokens", ` +
        `"cost" = "ai_call_totals"."cost" + excluded."cost"`,
      params: source.params,
    });
  }
  return [
    ...statements,
    ...insertRows("aiCalls", rows, ROW, null, statement("ON CONFLICT DO NOTHING")),
  ];
}

export const aiCallChangeSql: ChangeSqlOf<"recordAiCall"> = {
  recordAiCall: { write: recordAiCalls },
};

export const aiCallQuerySql: QuerySqlOf<"aiCallTotals" | "aiBatch"> = {
  aiCallTotals: { select: selectAiCallTotals, ...plainRows },
  aiBatch: { select: selectAiBatch, ...presence },
};
