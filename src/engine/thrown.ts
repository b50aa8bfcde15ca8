/** What an error says, whatever was thrown. Pure. */
import { encodeJson } from "../model/json.ts";
import { fittingReason } from "../model/text.ts";
import { shown } from "./duration.ts";

/** Of a thrown object, anything may throw in turn. */
export function unlessItThrows<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch {
    return otherwise;
  }
}

/** The reason, as it is stored. Never throws, and is never empty. */
export function reasonOf(thrown: unknown): string {
  return fittingReason(unlessItThrows(() => wordsOf(thrown), "It threw what cannot be shown."));
}

/** Causes of an error that its reason names, each the cause of the one before it. */
const CAUSES_MAX = 3;
/** Errors of an aggregate that its reason names. */
const ERRORS_MAX = 3;

function wordsOf(thrown: unknown, causes = CAUSES_MAX): string {
  // An error that crossed RPC, or comes from another realm, is known by its message.
  const message = unlessItThrows(() => memberOf(thrown, "message"), undefined);
  const own = typeof message === "string" && message !== "" ? message : wordless(thrown);
  const cause = causes > 0 ? unlessItThrows(() => memberOf(thrown, "cause"), undefined) : undefined;
  if (cause === undefined || cause === null) return own;
  const told = unlessItThrows(() => wordsOf(cause, causes - 1), null);
  // Many errors repeat the words of their cause.
  return told === null || own.includes(told) ? own : `${own} (cause: ${told})`;
}

/** The stacks of an error and of its causes; null where there is none. Never throws. */
export function stackOf(thrown: unknown, causes = CAUSES_MAX): string | null {
  const own = unlessItThrows(() => memberOf(thrown, "stack"), undefined);
  const cause = causes > 0 ? unlessItThrows(() => memberOf(thrown, "cause"), undefined) : undefined;
  const stacks = [own, cause === undefined ? null : stackOf(cause, causes - 1)];
  return stacks.filter((stack) => typeof stack === "string").join("\nCaused by: ") || null;
}

function memberOf(thrown: unknown, name: string): unknown {
  return typeof thrown === "object" && thrown !== null ? Reflect.get(thrown, name) : undefined;
}

function wordless(thrown: unknown): string {
  if (!(thrown instanceof Error)) return `It threw what is no error: ${written(thrown)}`;
  const errors = memberOf(thrown, "errors");
  if (!Array.isArray(errors) || errors.length === 0) {
    return `It threw ${thrown.name} without a message.`;
  }
  const told = errors.slice(0, ERRORS_MAX).map((each) => wordsOf(each, 0));
  const rest = errors.length > ERRORS_MAX ? [`and ${errors.length - ERRORS_MAX} more`] : [];
  return [...told, ...rest].join("; ");
}

/** Characters of what is no error that the reason repeats. */
const WRITTEN_MAX = 1_000;

function written(thrown: unknown): string {
  const isObject = typeof thrown === "object" && thrown !== null;
  const json = isObject ? unlessItThrows(() => encodeJson(thrown, "thrown"), "{}") : "{}";
  // Text of its own says more than no members.
  if (json === "{}") return shown(thrown);
  return json.length <= WRITTEN_MAX ? json : `${json.slice(0, WRITTEN_MAX)}...`;
}
