/** How much text a row holds. */
import { utf8Length } from "./text.ts";

/** Per table, the columns that hold text of any length. Together they must fit in a row. */
export const LONG_TEXT = {
  runs: ["input", "output", "config", "metadata"],
  stages: [
    "inputData",
    "outputData",
    "config",
    "suspendedState",
    "resumeData",
    "metrics",
    "embeddingInfo",
    "errorMessage",
  ],
  logs: ["message", "metadata"],
  artifacts: ["data", "metadata"],
  annotations: ["value", "payload"],
  outboxEvents: ["payload"],
  idempotencyKeys: ["result"],
  jobs: ["payload"],
  aiCalls: ["prompt", "response", "metadata"],
} as const;
export type LongTextTable = keyof typeof LONG_TEXT;

/** Bytes of a row's long text, and the column that holds most of it. */
export function measureRow(
  table: LongTextTable,
  row: Readonly<Record<string, unknown>>,
): { size: number; field: string } {
  let size = 0;
  let largest = -1;
  let field: string = LONG_TEXT[table][0];
  for (const column of LONG_TEXT[table]) {
    const value = row[column];
    const bytes = typeof value === "string" ? utf8Length(value) : 0;
    size += bytes;
    if (bytes > largest) {
      largest = bytes;
      field = column;
    }
  }
  return { size, field };
}

/** Bytes of a row's long text, but for the columns in `omit`. */
function longTextOf(table: LongTextTable, row: object, omit: readonly string[] = []): number {
  const kept = Object.entries(row).filter(([name]) => !omit.includes(name));
  return measureRow(table, Object.fromEntries(kept)).size;
}

/** The same of several rows. */
export function longTextOfAll(
  table: LongTextTable,
  rows: readonly object[],
  omit: readonly string[] = [],
): number {
  return rows.reduce<number>((sum, row) => sum + longTextOf(table, row, omit), 0);
}

/** The first of the rows of a table, up to where those before have `bytesMax` bytes of long text or more. */
export function withinBytes<Row extends object>(
  table: LongTextTable,
  rows: readonly Row[],
  { omit, bytesMax }: { omit?: readonly string[] | undefined; bytesMax?: number | undefined },
): Row[] {
  if (bytesMax === undefined) return [...rows];
  let before = 0;
  const kept: Row[] = [];
  for (const row of rows) {
    if (before >= bytesMax) break;
    before += longTextOf(table, row, omit);
    kept.push(row);
  }
  return kept;
}
