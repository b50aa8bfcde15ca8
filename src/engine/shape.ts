/** The shape of a workflow, as one short text that runs keep. Pure. */
import type { Plan } from "./plan.ts";

/**
 * Tells the format of what is hashed. With another format every shape would change, and running runs
 * would be taken for runs of removed code.
 */
const FORMAT = "shape-1";

/**
 * A digest of a plan's ids, kinds and order, groups included: 16 hexadecimal digits. Names, functions,
 * schemas, retries and timeouts do not count: a deploy may change them under a running run.
 */
export function shapeOf(plan: Plan): string {
  const elements = plan.groups.map((group) => group.map(({ id, kind }) => [kind, id]));
  return fnv1a64(JSON.stringify([FORMAT, elements]));
}

const OFFSET = 0xcbf29ce484222325n;
const PRIME = 0x100000001b3n;

/**
 * FNV-1a of 64 bits (RFC 9923), over UTF-8. It is not proof against forgery and need not be: it tells
 * a workflow's few shapes apart, which its own author wrote. Web Crypto would digest asynchronously,
 * and a definition is built when its module is loaded.
 */
export function fnv1a64(text: string): string {
  let hash = OFFSET;
  for (const byte of new TextEncoder().encode(text)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * PRIME);
  }
  return hash.toString(16).padStart(16, "0");
}
