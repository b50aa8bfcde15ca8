/** What a run was started with, as it was given: starts with the same key are told apart by it. */
import { encodeJson } from "../model/index.ts";

/** Digests of what was given. None: JSON does not tell all of it. */
export interface GivenDigests {
  readonly input?: string;
  readonly config?: string;
}

export async function digestsOf(input: unknown, config: unknown): Promise<GivenDigests> {
  const [inputText, configText] = [textOf(input), textOf(config ?? {})];
  return {
    ...(inputText === null ? {} : { input: await shortDigest(inputText) }),
    ...(configText === null ? {} : { config: await shortDigest(configText) }),
  };
}

/** The first 32 hexadecimal digits of the text's SHA-256. */
export async function shortDigest(text: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const bytes = new Uint8Array(digest).subarray(0, 16);
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** JSON with the members of each object in one order. Null for a value that JSON would change. */
function textOf(value: unknown): string | null {
  try {
    encodeJson(value, "given");
    return JSON.stringify(value ?? null, inOneOrder);
  } catch {
    return null;
  }
}

function inOneOrder(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  // What an instance of a class holds may not be among its members.
  if (!isPlain(value)) throw new TypeError("No plain object");
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** Of any realm: only its Object.prototype has no prototype. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
