/** What a row's `commits` tells: see `rows.ts`. */
import { COMMIT_ID_CHARS } from "./ids.ts";

/** How many commits a row remembers. */
export const COMMITS_REMEMBERED = 8;

/** A row's token: the commit that wrote it last. */
export function tokenOf(row: { readonly commits: string }): string {
  return row.commits.slice(0, COMMIT_ID_CHARS);
}

/** The token that the row had before its last commit; "" if that one inserted it. */
export function tokenBefore(row: { readonly commits: string }): string {
  return row.commits.slice(COMMIT_ID_CHARS, 2 * COMMIT_ID_CHARS);
}

/** Whether the commit is among the last that wrote the row. */
export function wasWrittenBy(row: { readonly commits: string }, commitId: string): boolean {
  for (let start = 0; start < row.commits.length; start += COMMIT_ID_CHARS) {
    if (row.commits.startsWith(commitId, start)) return true;
  }
  return false;
}
