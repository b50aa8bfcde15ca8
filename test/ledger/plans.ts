/** What D1 means to do for a statement, and which of it is a scan that should not be. */
import type { Statement } from "../../src/store/sql.ts";

export type Plan = readonly string[];

/** A scan that a plan may contain, and why. */
interface AllowedScan {
  readonly step: RegExp;
  readonly because: string;
}

export const ALLOWED_SCANS: readonly AllowedScan[] = [
  {
    step: /^SCAN (?:\d+ )?CONSTANT ROWS?$/,
    because: "the rows that are being written, bound value by value",
  },
  {
    step: /^SCAN (?:json_each|place|item|part|sibling) VIRTUAL TABLE INDEX 1:$/,
    because: "the rows of the call itself, unfolded from its parameter; of a merge, its parts",
  },
  {
    step: /^SCAN source VIRTUAL TABLE INDEX 3:$/,
    because: "the stages whose outputs a stage takes, unfolded from the list in its row",
  },
  {
    step: /^SCAN (?:answer|src|due|failed|page|keys|best|place|looked|counted|chosen|sized|kinds|found|share|part|head|event|\(subquery-\d+\))$/,
    because: "the result of a subquery, whose own plan is checked as well",
  },
  {
    because: "the one last event of a run, which was looked up by the key",
    step: /^SCAN tail LEFT-JOIN$/,
  },
  {
    step: /^SCAN workflows$/,
    because: "the kinds of runs, up to a limit",
  },
  {
    step: /^SCAN runs USING INDEX runs_pending_idx$/,
    because: "partial: PENDING runs, in the order of claims; looked at up to a limit",
  },
  {
    step: /^SCAN jobs USING INDEX jobs_ready_idx$/,
    because:
      "partial: PENDING jobs that are due, in the order of claims; the claim takes the first",
  },
  {
    step: /^SCAN jobs USING COVERING INDEX jobs_(?:leased|suspended)_idx$/,
    because: "partial: jobs that are leased or suspended, counted up to 10,000",
  },
  {
    step: /^SCAN outbox_events USING INDEX outbox_events_waiting_idx$/,
    because: "partial: events that are still to be published, counted or listed up to a limit",
  },
];

/** Scans that one query alone may contain. */
const ALLOWED_IN: readonly (AllowedScan & { readonly query: RegExp })[] = [
  {
    query:
      /^(?:WITH answer AS MATERIALIZED \()?SELECT .* FROM "ai_call_totals" ORDER BY "topic", "model_key" LIMIT \d+(?:\) SELECT .*)?$/,
    step: /^SCAN ai_call_totals$/,
    because: "the totals of every topic are what is asked for",
  },
];

/** The plan of each statement, by its text. */
export async function plansOf(
  db: D1Database,
  statements: readonly Statement[],
): Promise<Map<string, Plan>> {
  const explained = statements.map(({ sql, params }) =>
    db.prepare(`EXPLAIN QUERY PLAN ${sql}`).bind(...params),
  );
  const results = await db.batch<{ detail: string }>(explained);
  return new Map(
    statements.map(({ sql }, index) => [
      sql,
      (results[index]?.results ?? []).map(({ detail }) => detail),
    ]),
  );
}

/** The steps that nobody has allowed: scans, and indexes built for one statement. */
export function badSteps(sql: string, plan: Plan): string[] {
  return plan.filter((step) => {
    if (step.includes("AUTOMATIC")) return true;
    if (!step.startsWith("SCAN")) return false;
    return ![...ALLOWED_SCANS, ...ALLOWED_IN.filter(({ query }) => query.test(sql))].some(
      (allowed) => allowed.step.test(step),
    );
  });
}
