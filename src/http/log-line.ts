/**
 * Lines of JSON on the console, and which requests the access log has. They hold what callers send and
 * stages throw, so they are written with care.
 */
import { HttpFault } from "./problem.ts";

const ACCESS_LOG = ["on", "errors", "off"] as const;

/**
 * Whether a request with this status has a line. An unknown setting leaves the log on, and so does
 * a call of the app without bindings.
 */
export function isLogged(env: LogEnv | undefined, status: number): boolean {
  const setting = env?.ACCESS_LOG;
  return setting === "errors" ? status >= 400 : setting !== "off";
}

/** @throws NOT_CONFIGURED */
export function checkAccessLog({ ACCESS_LOG: setting = "on" }: LogEnv): void {
  if (ACCESS_LOG.some((known) => known === setting)) return;
  const message = `ACCESS_LOG is ${JSON.stringify(setting)}: it must be on, errors or off (docs/operations.md)`;
  throw new HttpFault("NOT_CONFIGURED", message);
}

export interface LogEnv {
  /** Which requests the access log has: `on` (all, the default), `errors` (from 400), or `off`. */
  readonly ACCESS_LOG?: string;
}

/** Characters of one value, by default. */
const TEXT_LENGTH_MAX = 1_000;

/**
 * JSON on one line, whatever displays it: control characters, and those that some programs take for
 * the end of a line, are escaped.
 */
export function logLine(
  values: Readonly<Record<string, string | number | null>>,
  lengthMax = TEXT_LENGTH_MAX,
): string {
  const short = Object.entries(values).map(([name, value]) => [
    name,
    typeof value === "string" ? value.slice(0, lengthMax) : value,
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
