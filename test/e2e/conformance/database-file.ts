/** The file of a local D1 database, beside the service that has it open. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Long for a transaction of the service's, short for a test. */
const BUSY_TIMEOUT_MS = 10_000;

export class DatabaseFile {
  readonly #database: DatabaseSync;
  readonly #empty: string;

  /** The one D1 database of a state folder of `wrangler dev`. */
  constructor(stateDir: string) {
    const folder = join(stateDir, "v3", "d1", "miniflare-D1DatabaseObject");
    const files = readdirSync(folder).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
    const [file] = files;
    if (file === undefined || files.length > 1) {
      throw new Error(`${folder} should have one database, and has ${files.length}`);
    }
    this.#database = new DatabaseSync(join(folder, file), { timeout: BUSY_TIMEOUT_MS });
    this.#empty = this.#tables()
      .map((name) => `DELETE FROM "${name}";`)
      .join("\n");
  }

  /** Empties every table, in one transaction. A second's work for `wrangler d1 execute`, and some milliseconds' here. */
  empty(): void {
    // Children and parents go together, in whatever order.
    this.#database.exec(`BEGIN IMMEDIATE; PRAGMA defer_foreign_keys = ON; ${this.#empty} COMMIT;`);
  }

  /** All but what SQLite, D1 and its migrations keep for themselves. */
  #tables(): string[] {
    const rows = this.#database
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
      .all();
    const names = rows.map(({ name }) => String(name));
    return names.filter((name) => !/^(sqlite_|_cf_|d1_)/.test(name));
  }

  close(): void {
    this.#database.close();
  }
}
