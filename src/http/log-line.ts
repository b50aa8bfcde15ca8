/** What callers send, as it may be logged. */

const TEXT_LENGTH_MAX = 1_000;

/** JSON of one line, in whatever shows it: control characters, and what some take for the end of a line, are escaped. */
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
