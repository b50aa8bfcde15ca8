/** D1 with someone on the line: statements can be watched, held, changed or lost on their way. */
import type { Statement } from "../../src/store/sql.ts";

export type Answers = D1Result<Record<string, unknown>>[];
export type Send = (batch: readonly Statement[]) => Promise<Answers>;
/** What is done with a batch instead of sending it. */
export type Line = (batch: readonly Statement[], send: Send) => Promise<Answers>;

/** A database that hands every batch to `line` first. Lines can be put on top of each other. */
export function databaseVia(db: D1Database, line: Line): D1Database {
  const send: Send = async (batch) =>
    db.batch<Record<string, unknown>>(
      batch.map(({ sql, params }) => db.prepare(sql).bind(...params)),
    );
  const held = {
    prepare: (sql: string) => ({
      bind: (...params: Statement["params"]): Statement => ({ sql, params }),
    }),
    batch: (batch: readonly Statement[]) => line(batch, send),
  };
  return held as unknown as D1Database;
}

export function isWrite(batch: readonly Statement[]): boolean {
  return batch.some(({ sql }) => !sql.startsWith("SELECT"));
}

/** A line that treats the first write in its own way and passes on everything else. */
export function onFirstWrite(line: Line): Line {
  let seen = false;
  return async (batch, send) => {
    if (seen || !isWrite(batch)) return send(batch);
    seen = true;
    return line(batch, send);
  };
}

export const CONNECTION_LOST = "D1_ERROR: Network connection lost.";
