/** The names of properties in the database. */

/** Names that were asked for: those of tables and columns, which are few. */
const KNOWN = new Map<string, string>();

/** A property's name as a column's. */
export function snakeCase(name: string): string {
  let known = KNOWN.get(name);
  if (known === undefined) {
    known = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    KNOWN.set(name, known);
  }
  return known;
}
