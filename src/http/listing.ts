/**
 * Lists: pages by key, and a choice of fields. A cursor names the last row that was seen, so that
 * pages stay right while rows come and go. To the caller a cursor is opaque.
 */
import * as z from "zod";
import { type Store } from "../changes/index.ts";
import {
  type ArtifactRow,
  type JobRow,
  KEY_BYTES_MAX,
  type LogRow,
  LONG_TEXT,
  longTextOfAll,
  type LongTextTable,
  type OutboxEventRow,
  PAGE_BYTES_MAX,
} from "../model/index.ts";
import { requireShape } from "../persistence/encode.ts";
import { QUERY_KINDS, type QueryOf } from "../queries/index.ts";
import { HttpFault } from "./problem.ts";
import { wholeText } from "./schemas/common.ts";

const NO_CURSOR = "not one that a list of this kind has given";
const LIMIT_DEFAULT = 100;
const LIMIT_MAX = 1_000;

/** The lists. A cursor holds the name of its own. */
type ListName =
  | keyof RowsOfRun
  | "runs"
  | "stuckRuns"
  | "stages"
  | "suspendedStages"
  | "annotations"
  | "suspendedJobs"
  | "waitingEvents"
  | "deadLetters";

/**
 * The cursor of the longest artifact key: as JSON each byte of the key may become six, and as
 * base64 three become four.
 */
const CURSOR_LENGTH_MAX = Math.ceil((('["artifacts",""]'.length + 6 * KEY_BYTES_MAX) * 4) / 3);

/** A cursor of the logs. */
const CURSOR_EXAMPLE = "WyJsb2dzIiwiMG13d3FmZWp2MDAwMGdvdyJd";

const limit = wholeText(1, LIMIT_MAX).default(LIMIT_DEFAULT).meta({
  description: "Rows of a page, at most.",
  example: 100,
});
const base64url = z
  .string()
  .min(1)
  .max(CURSOR_LENGTH_MAX)
  .regex(/^[A-Za-z0-9_-]*$/, NO_CURSOR);
const cursor = base64url.optional().meta({
  description: "What an earlier page gave as `nextCursor`. Left out: the first page.",
  example: CURSOR_EXAMPLE,
});
export const order = (first: "asc" | "desc") =>
  z.enum(["asc", "desc"]).default(first).meta({
    description: "`asc`: in the list's order; `desc`: the other way round.",
    example: first,
  });

/**
 * Names of a record's fields, with commas between. Columns that are not asked for are not read from
 * the database.
 */
function fieldsOf<Shape extends z.ZodRawShape>(record: z.ZodObject<Shape>) {
  const names = Object.keys(record.shape);
  return z
    .string()
    .transform((text, context) => {
      const wanted = text.split(",");
      const unknown = wanted.find((name) => !names.includes(name));
      if (unknown !== undefined) {
        const message = `there is no field ${JSON.stringify(unknown)}; there are ${names.join(", ")}`;
        context.addIssue({ code: "custom", message });
      }
      return new Set(["id", ...wanted]);
    })
    .optional()
    .meta({
      type: "string",
      description:
        "The fields that are wanted, separated by commas; the id is always there. Left out: all.",
      example: names.slice(0, 2).join(","),
    });
}

/** The query parameters of every list of such records. */
export function listQuery<Shape extends z.ZodRawShape>(record: z.ZodObject<Shape>) {
  return z.strictObject({ limit, cursor, fields: fieldsOf(record) });
}

/** The schema of a page. Each item has its id, and all other fields unless `fields` names fewer. */
export function pageOf<Shape extends z.ZodRawShape & { id: z.ZodString }>(
  name: string,
  record: z.ZodObject<Shape>,
) {
  const item = record
    .partial()
    .extend({ id: record.shape.id })
    .meta({ id: `${name}Item` });
  return z
    .object({
      items: z.array(item),
      nextCursor: z.string().nullable().meta({
        description: "The cursor of the next page; null on the last one.",
        example: CURSOR_EXAMPLE,
      }),
    })
    .meta({ id: `${name}Page` });
}

/** An example of a page. */
export function onePage<Item>(item: Item): { items: Item[]; nextCursor: null } {
  return { items: [item], nextCursor: null };
}

/**
 * The long columns of a table that are not asked for: they are left out of the answer, so they need
 * not be read.
 */
export function omitted<Name extends string>(
  longColumns: readonly Name[],
  fields: ReadonlySet<string> | undefined,
): Name[] {
  return fields === undefined ? [] : longColumns.filter((name) => !fields.has(name));
}

/** The record with the fields that are asked for. */
export function pick<T extends { readonly id: string }>(
  record: T,
  fields: ReadonlySet<string> | undefined,
): Partial<T> & Pick<T, "id"> {
  if (fields === undefined) return record;
  const { id, ...rest } = record;
  const entries = Object.entries(rest).filter(([name]) => fields.has(name));
  // Members of T, under their own names.
  return { id, ...Object.fromEntries(entries) } as Partial<T> & Pick<T, "id">;
}

/** The cursor of a place in a list; null at the end. */
function cursorOf(list: ListName, place: unknown): string | null {
  if (place === null) return null;
  const bytes = new TextEncoder().encode(JSON.stringify([list, place]));
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/** What fills a page: this many rows, or, of a table with long text, PAGE_BYTES_MAX of it. */
interface Full {
  readonly rows: number;
  readonly table?: LongTextTable;
  readonly fields?: ReadonlySet<string> | undefined;
}

/** The place after a page's last row; null when the page was not full, and so was the last. */
export function placeAfter<Row extends object, Place>(
  found: readonly Row[],
  { rows, table, fields }: Full,
  place: (row: Row) => Place,
): Place | null {
  const last = found.at(-1);
  if (last === undefined) return null;
  if (found.length >= rows) return place(last);
  if (table === undefined) return null;
  const bytes = longTextOfAll(table, found, omitted(LONG_TEXT[table], fields));
  return bytes >= PAGE_BYTES_MAX ? place(last) : null;
}

/**
 * The place that a cursor names; null without one. A cursor holds no run, no filter and no order: a
 * caller that changes these between pages goes on from the same place.
 * @throws INVALID_ARGUMENT for a text that is no cursor of such a list.
 */
export function placeIn<Place>(
  list: ListName,
  text: string | undefined,
  schema: z.ZodType<Place>,
): Place | null {
  if (text === undefined) return null;
  try {
    const bytes = Uint8Array.fromBase64(text, { alphabet: "base64url" });
    const json = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes);
    const [, place] = z.tuple([z.literal(list), schema]).parse(JSON.parse(json));
    return place;
  } catch {
    throw new HttpFault("INVALID_ARGUMENT", `cursor: ${NO_CURSOR}`, {
      field: "cursor",
    });
  }
}

/** A page as it is answered: a record for each row, with the fields that are asked for. */
export function page<Row, Item extends { readonly id: string }>(
  list: ListName,
  rows: readonly Row[],
  toItem: (row: Row) => Item,
  fields: ReadonlySet<string> | undefined,
  next: unknown,
): { items: (Partial<Item> & Pick<Item, "id">)[]; nextCursor: string | null } {
  const items = rows.map((row) => whenWritten(() => pick(toItem(row), fields)));
  return { items, nextCursor: cursorOf(list, next) };
}

/**
 * A record that is made while the answer is written. Parsed JSON is much larger than its text, and
 * this way only one row's is there at a time.
 */
function whenWritten<Item>(make: () => Item): Item {
  // Only JSON.stringify reads an answer, and it sees the record.
  return { toJSON: make } as unknown as Item;
}

/** An ordinal, as part of a place. */
export const ordinalText = z.string().regex(/^[0-9a-z]{1,64}$/);

const anyKey = z.string();
const sequenceKey = z.string().regex(/^[1-9]\d{0,14}$/);

/** What every list is asked with. */
export interface PageInput {
  readonly limit: number;
  readonly cursor?: string | undefined;
  readonly order: "asc" | "desc";
  readonly fields?: ReadonlySet<string> | undefined;
}

interface RowsOfRun {
  logs: LogRow;
  artifacts: ArtifactRow;
  outboxEvents: OutboxEventRow;
  jobs: JobRow;
}

/** A page of one kind of a run's rows, by key, as it is answered. */
export async function pageOfRun<Of extends keyof RowsOfRun, Item extends { readonly id: string }>(
  store: Store,
  of: Of,
  workflowRunId: string,
  input: PageInput,
  { key, toItem }: { key: (row: RowsOfRun[Of]) => string; toItem: (row: RowsOfRun[Of]) => Item },
) {
  const { fields } = input;
  const query: QueryOf<"page"> = {
    q: "page",
    of,
    workflowRunId,
    after: placeIn(of, input.cursor, of === "outboxEvents" ? sequenceKey : anyKey),
    descending: input.order === "desc",
    limit: input.limit,
    omit: omitted(LONG_TEXT[of], fields),
    bytesMax: PAGE_BYTES_MAX,
  };
  requireShape(QUERY_KINDS.page.shape, query, "list");
  const [found] = await store.read([query]);
  // The rows are of the kind that was asked for.
  const rows = found as unknown as RowsOfRun[Of][];
  return page(
    of,
    rows,
    toItem,
    fields,
    placeAfter(rows, { rows: input.limit, table: of, fields }, key),
  );
}
