/**
 * Columns. `rows.ts` lists those of each table: a column's name, its shape with its limit, and
 * whether it may be null. Where callers have a value in another form than the table (an instant as
 * a Date, a JSON value, free text of any content), the shape knows both forms. Pure.
 */
import { ServiceError } from "../contract/index.ts";
import { INSTANT_RULE, instantOf } from "./instant.ts";
import { decodeJson, encodeJson, tooLarge } from "./json.ts";
import { ROW_BYTES_MAX } from "./limits.ts";
import {
  type Members,
  object,
  type ObjectShape,
  type Optional,
  optional,
  type Shape,
  type TypeOf,
} from "./shape.ts";
import { decodeText, encodeText, utf8Length } from "./text.ts";

/** The kind of value in a column whose values callers have in another form. */
export type Holds = "instant" | "json" | "text";

/** How a stored value becomes the caller's value, and the reverse. */
export interface Codec<Stored, Form> {
  readonly holds: Holds;
  decode(stored: Stored): Form;
  /**
   * Leaves the checks to the column's shape where the shape has them.
   * @throws INVALID_ARGUMENT, PAYLOAD_TOO_LARGE, which name the field.
   */
  encode(value: unknown, field: string): Stored;
}

/** A shape of stored values that callers have in another form. */
export interface Column<Stored, Form> extends Shape<Stored> {
  readonly codec: Codec<Stored, Form>;
}

/** A column with text of any length. It counts against the size of its row. */
export interface LongColumn<Form> extends Column<string, Form> {
  readonly long: true;
}

/** The type in which callers have the column. */
export type Told<C> = C extends { readonly codec: Codec<unknown, infer T> }
  ? T | Extract<TypeOf<C>, null>
  : TypeOf<C>;

function codecOf(shape: Shape<unknown>): Codec<unknown, unknown> | null {
  return isColumn(shape) ? shape.codec : null;
}

function isColumn(shape: Shape<unknown>): shape is Column<unknown, unknown> {
  return "codec" in shape;
}

/** An instant: milliseconds in the table, a Date to callers. */
export function instantColumn(shape: Shape<number>): Column<number, Date> {
  const decode = (stored: number) => new Date(stored);
  return { ...shape, codec: { holds: "instant", decode, encode: encodeInstant } };
}

/** A JSON value: its text in the table. */
export function jsonColumn(shape: Shape<string>): LongColumn<unknown> {
  return { ...shape, codec: { holds: "json", decode: decodeJson, encode: encodeJson }, long: true };
}

/** A JSON object. The method that makes the row refuses every other JSON value. */
export function jsonObjectColumn(shape: Shape<string>): LongColumn<Record<string, unknown>> {
  const decode = (stored: string) => decodeJson(stored) as Record<string, unknown>;
  return { ...shape, codec: { holds: "json", decode, encode: encodeJson }, long: true };
}

/** Free text with a limit of its own. It does not count against the long text of its row. */
export function textColumn(shape: Shape<string>, bytesMax: number): Column<string, string> {
  const encode = (value: unknown, field: string) => encodeFreeText(value, field, bytesMax);
  return { ...shape, codec: { holds: "text", decode: decodeText, encode } };
}

/** Free text of any length. */
export function longTextColumn(shape: Shape<string>): LongColumn<string> {
  return { ...textColumn(shape, ROW_BYTES_MAX), long: true };
}

/**
 * Milliseconds of a Date. A date-time of RFC 3339 and milliseconds are accepted too, because a Date
 * that went through a JSON store (a replayed idempotent result, for example) comes back as a
 * string.
 */
export function encodeInstant(value: unknown, field: string): number {
  const time = instantOf(value);
  if (time !== null) return time;
  throw new ServiceError("INVALID_ARGUMENT", `${field} ${INSTANT_RULE}`, { field });
}

export function encodeNullableInstant(value: unknown, field: string): number | null {
  return value === null || value === undefined ? null : encodeInstant(value, field);
}

/** Free text of any content. */
export function encodeFreeText(value: unknown, field: string, bytesMax = ROW_BYTES_MAX): string {
  if (typeof value !== "string") {
    throw new ServiceError("INVALID_ARGUMENT", `${field} must be a string`, { field });
  }
  const text = encodeText(value);
  const size = utf8Length(text);
  if (size > bytesMax) throw tooLarge(field, size, bytesMax);
  return text;
}

/** The number as the tables hold it: they know only one zero. */
export function unsignedZero<T>(value: T): T | 0 {
  return Object.is(value, -0) ? 0 : value;
}

/**
 * Makes the columns of a row what callers have. Decoded anew at each call, so that no two callers
 * share a value.
 */
export function decoderOf<M extends Members>({
  members,
}: ObjectShape<M>): (row: { readonly [Name in keyof M]: TypeOf<M[Name]> }) => {
  -readonly [Name in keyof M]: Told<M[Name]>;
} {
  const codecs = Object.entries(members).map(([name, shape]) => [name, codecOf(shape)] as const);
  return (row) => {
    const stored: Readonly<Record<string, unknown>> = row;
    const told: Record<string, unknown> = {};
    for (const [name, codec] of codecs) {
      const value = stored[name];
      told[name] = codec === null || value === null ? value : codec.decode(value);
    }
    // The mapped type says column by column what they are.
    return told as { -readonly [Name in keyof M]: Told<M[Name]> };
  };
}

/** Some of the columns, each of which may be absent: what an update may set. */
export function someOf<M extends Members, Name extends keyof M & string>(
  { members }: ObjectShape<M>,
  names: readonly Name[],
): ObjectShape<{ readonly [Each in Name]: Optional<TypeOf<M[Each]>> }> {
  const some = names.map((name): [string, Shape<unknown>] => [
    name,
    optional<M[Name]>(members[name]),
  ]);
  // The mapped type says column by column what the entries are.
  return object(Object.fromEntries(some) as { readonly [Each in Name]: Optional<TypeOf<M[Each]>> });
}

/**
 * The columns that an update sets, as they are stored. An undefined member leaves its column alone.
 * The change's shape checks the rest.
 * @throws INVALID_ARGUMENT, PAYLOAD_TOO_LARGE, which name the field.
 */
export function encoded<M extends Members>(
  set: ObjectShape<M>,
  given: { readonly [Name in keyof M]?: unknown },
): TypeOf<ObjectShape<M>> {
  const values: Readonly<Record<string, unknown>> = given;
  const stored: Record<string, unknown> = {};
  for (const [name, shape] of Object.entries(set.members)) {
    const value = values[name];
    if (value === undefined) continue;
    const takesNull = value === null && shape.check(null) === null;
    const codec = takesNull ? null : codecOf(shape);
    stored[name] = codec === null ? unsignedZero(value) : codec.encode(value, name);
  }
  return stored as TypeOf<ObjectShape<M>>;
}

type NullableNames<M> = {
  [Name in keyof M]: null extends TypeOf<M[Name]> ? Name : never;
}[keyof M];

/** Null in every column that may be null: the start of a new row. */
export function blank<M extends Members>({
  members,
}: ObjectShape<M>): { readonly [Name in NullableNames<M>]: null } {
  const nullables = Object.entries(members).filter(([, shape]) => shape.check(null) === null);
  const nulls = nullables.map(([name]) => [name, null]);
  return Object.fromEntries(nulls) as { readonly [Name in NullableNames<M>]: null };
}

type LongNames<M> = {
  [Name in keyof M]: M[Name] extends { readonly long: true } ? Name : never;
}[keyof M];

/** The names of the long columns, in the order of the table. */
export function longNames<M extends Members>({ members }: ObjectShape<M>): LongNames<M>[] {
  const isLong = (name: string): name is LongNames<M> & string => "long" in (members[name] ?? {});
  return Object.keys(members).filter(isLong);
}

/**
 * What the column holds; null for a column that callers have as it is stored, and for a name that
 * is no column.
 */
export function holdsOf({ members }: ObjectShape<Members>, name: string): Holds | null {
  const shape = members[name];
  return shape === undefined ? null : (codecOf(shape)?.holds ?? null);
}
