/** The place of a text that stands beside its row: a whole number in the text's column (`long-texts.ts`). */

/** Bits of a place's number that hold the bytes of the text; those before them are the text's id. */
export const PLACE_BITS = 11;

/** Whether a column of long text holds a place. SQLite tells the type without reading a text. */
export function isPlace(held: string): string {
  return `typeof(${held}) = 'integer'`;
}

/** The SQL of a long text's bytes, which SQLite knows without reading the text. */
export function longTextBytes(held: string): string {
  return `iif(${isPlace(held)}, ${held} & ${2 ** PLACE_BITS - 1}, ifnull(octet_length(${held}), 0))`;
}

/** The SQL of the id of the text to which a column leads; NULL if it holds the text itself. */
export function placedId(held: string): string {
  return `iif(${isPlace(held)}, ${held} >> ${PLACE_BITS}, NULL)`;
}
