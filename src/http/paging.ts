/**
 * Pages by key: a cursor names the last row that was seen, so that pages stay right while rows arrive and go. To the caller a cursor is
 * opaque.
 */
import { z } from "@hono/zod-openapi";
import { HttpFault } from "./problem.ts";

const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1_000;
/** Of a list by text: the row after which it goes on is in it. */
const CURSOR_EXAMPLE = "IjBtd3dxZmpldjAwMDBnb3ci";

export const pageQuery = z.object({
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(LIMIT_MAX)
    .default(LIMIT_DEFAULT)
    .openapi({ description: "Rows of a page, at most.", example: LIMIT_DEFAULT }),
  cursor: z.string().max(10_000).optional().openapi({
    description: "What an earlier page gave as `nextCursor`. Left out: the first page.",
    example: CURSOR_EXAMPLE,
  }),
  order: z.enum(["asc", "desc"]).default("asc").openapi({
    description: "`desc`: the other way round.",
    example: "asc",
  }),
});

export const nextCursor = z.string().nullable().openapi({
  description: "The cursor of the next page; null on the last one.",
  example: CURSOR_EXAMPLE,
});

/** The cursor after a page; null when the page was not full. */
export function cursorAfter<Row>(
  rows: readonly Row[],
  limit: number,
  key: (row: Row) => unknown,
): string | null {
  const last = rows.at(-1);
  if (last === undefined || rows.length < limit) return null;
  const bytes = new TextEncoder().encode(JSON.stringify(key(last)));
  return btoa(String.fromCharCode(...bytes))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "");
}

/** @throws INVALID_ARGUMENT for anything but a cursor of ours. */
export function keyOf<Key>(cursor: string | undefined, schema: z.ZodType<Key>): Key | null {
  if (cursor === undefined) return null;
  try {
    const binary = atob(cursor.replace(/-/g, "+").replace(/_/g, "/"));
    const bytes = Uint8Array.from(binary, (char) => char.charCodeAt(0));
    return schema.parse(
      JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes)),
    );
  } catch {
    throw new HttpFault("INVALID_ARGUMENT", "cursor: not one that this list has given", {
      field: "cursor",
    });
  }
}
