/** Lines of the access log. They hold what callers send, so they are written with care. */

/** Characters of one value. */
const TEXT_LENGTH_MAX = 1_000;

/**
 * JSON on one line, whatever displays it: control characters, and those that some programs take for
 * the end of a line, are escaped.
 */
export function logLine(values: Readonly<Record<string, string | number | null>>): string {
  const short = Object.entries(values).map(([name, value]) => [
    name,
    typeof value === "string" ? value.slice(0, TEXT_LENGTH_MAX) : value,
  ]);
  return JSON.stringify(Object.fromEntries(short)).replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    escaped,
  );
}

function escaped(character: string): string {
  return Array.from(
    { length: character.length },
    (_, at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`,
  ).join("");
}
