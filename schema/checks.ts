/** Conditions that several tables put on their rows. */
import { sql } from "drizzle-orm";
import { check } from "drizzle-orm/sqlite-core";
import { LONG_TEXT, type LongTextTable, ROW_BYTES_MAX } from "../src/model/index.ts";
import { STATUSES } from "../src/model/status.ts";
import { snakeCase } from "../src/store/names.ts";
import { longTextBytes } from "../src/store/place.ts";

/** Refuses a row that D1 in production could not hold; local D1 would take it. */
export function rowFits(table: LongTextTable) {
  const sizes = LONG_TEXT[table].map((column) => longTextBytes(`"${snakeCase(column)}"`));
  return check(`${snakeCase(table)}_row_fits`, sql.raw(`${sizes.join(" + ")} <= ${ROW_BYTES_MAX}`));
}

/** Refuses a status that no code of ours writes. */
export function knownStatus(table: LongTextTable) {
  const known = STATUSES.map((status) => `'${status}'`).join(", ");
  return check(`${snakeCase(table)}_status_known`, sql.raw(`"status" IN (${known})`));
}
