/** What is told where the database has not the tables of this version. */

/** A statement names what only a later migration makes. D1 has rolled the batch back. */
const NOT_MIGRATED = /\bno such (?:table|column|index)\b|\bhas no column named\b/;

/** What makes the tables that this code knows. */
export const APPLY_MIGRATIONS =
  "apply the migrations, npx wrangler d1 migrations apply DB (--local or --remote)";

/** Begins the message of an INTERNAL error that they mend. */
export const LACKS_TABLES = `The database lacks tables of this version: ${APPLY_MIGRATIONS}.`;

/** Whether D1 says so. */
export function saysNotMigrated(message: string): boolean {
  return NOT_MIGRATED.test(message);
}
