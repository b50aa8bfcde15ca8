/** A D1 database that notes what each round trip through it costs, by D1's own count. */
import type { Param, Statement } from "../../src/store/sql.ts";

/** What one batch cost. */
interface Batch {
  readonly statements: number;
  rowsRead: number;
  rowsWritten: number;
}

/** What a call cost. */
export interface Figures {
  /** Batches sent to D1. */
  readonly roundTrips: number;
  readonly statements: number;
  readonly rowsRead: number;
  readonly rowsWritten: number;
  /** Of the round trips, those that went through a run's coordinator: one Durable Object request each. */
  readonly coordinated: number;
}

/** What the project uses of D1Database, and nothing else: any other call fails. */
export class Recorder {
  readonly database: D1Database;
  /** Every statement that went through, by its text. */
  readonly seen = new Map<string, Statement>();
  #batches: Batch[] = [];
  #coordinated = 0;

  constructor(db: D1Database) {
    const prepare = (sql: string) => ({
      bind: (...params: Param[]): Bound => ({
        inner: db.prepare(sql).bind(...params),
        statement: { sql, params },
      }),
    });
    const batch = (bound: readonly Bound[]) => this.#send(db, bound);
    this.database = { prepare, batch } as unknown as D1Database;
  }

  async #send(db: D1Database, bound: readonly Bound[]) {
    const batch: Batch = { statements: bound.length, rowsRead: 0, rowsWritten: 0 };
    this.#batches.push(batch);
    for (const { statement } of bound) this.seen.set(statement.sql, statement);
    // A batch that D1 rolls back rejects here, and nobody learns what it read.
    const results = await db.batch(bound.map(({ inner }) => inner));
    for (const { meta } of results) {
      batch.rowsRead += meta.rows_read;
      batch.rowsWritten += meta.rows_written;
    }
    return results;
  }

  /** The next batch goes through a coordinator. */
  noteCoordinator(): void {
    this.#coordinated += 1;
  }

  reset(): void {
    this.#batches = [];
    this.#coordinated = 0;
  }

  /** Of everything since the last reset. */
  figures(): Figures {
    return {
      roundTrips: this.#batches.length,
      statements: this.#batches.reduce((sum, { statements }) => sum + statements, 0),
      rowsRead: this.#batches.reduce((sum, { rowsRead }) => sum + rowsRead, 0),
      rowsWritten: this.#batches.reduce((sum, { rowsWritten }) => sum + rowsWritten, 0),
      coordinated: this.#coordinated,
    };
  }
}

interface Bound {
  readonly inner: D1PreparedStatement;
  readonly statement: Statement;
}
