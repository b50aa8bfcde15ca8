/**
 * Lists that are read page by page. The place of the last row that was seen tells where the next
 * page begins.
 */
import { PAGE_ROWS } from "./members.ts";

export interface Page<Row, Place> {
  readonly rows: readonly Row[];
  /** Where the next page begins; null: this is the last one. */
  readonly next: Place | null;
}

/** A page of up to PAGE_ROWS rows. Only a full one can have another behind it. */
export function fullPage<Row, Place>(
  rows: readonly Row[],
  placeOf: (last: Row) => Place,
): Page<Row, Place> {
  const last = rows.length < PAGE_ROWS ? undefined : rows.at(-1);
  return { rows, next: last === undefined ? null : placeOf(last) };
}

/** The rows of all pages. */
export async function allPages<Row, Place>(
  ask: (after: Place | null) => Promise<Page<Row, Place>>,
): Promise<Row[]> {
  const rows: Row[] = [];
  let after: Place | null = null;
  do {
    const page: Page<Row, Place> = await ask(after);
    rows.push(...page.rows);
    after = page.next;
  } while (after !== null);
  return rows;
}
