/**
 * Entity tags and the conditions on them (RFC 9110, 8.8.3 and 13). Runs and stages have one: their
 * version. A condition holds in the commit that acts, since the version that was looked at is
 * guarded there.
 */
import type { Context, MiddlewareHandler } from "hono";
import type { WorkflowPersistence } from "../contract/index.ts";
import type { AppEnv } from "./env.ts";
import { HttpFault } from "./problem.ts";

/** The ETag of a version. */
export function etag(version: number): string {
  return `"v${version}"`;
}

/** The tags of a condition: `*`, or a list. */
type Tags = "*" | readonly EntityTag[];
interface EntityTag {
  readonly weak: boolean;
  readonly opaque: string;
}

const HEADERS = ["If-Match", "If-None-Match"] as const;
type ConditionHeader = (typeof HEADERS)[number];

/**
 * The header's tags; null without the header.
 * @throws INVALID_ARGUMENT for a value that is neither `*` nor a list of entity tags.
 */
function tagsOf(context: Context, header: ConditionHeader): Tags | null {
  const value = context.req.header(header)?.trim();
  if (value === undefined) return null;
  if (value === "*") return "*";
  const tags: EntityTag[] = [];
  // A list may have empty members (RFC 9110, 5.6.1); a comma may be part of a tag.
  const member = /[\t ]*(?:(W\/)?"([\x21\x23-\x7e\x80-\xff]*)")?[\t ]*(?:,|$)/y;
  while (member.lastIndex < value.length) {
    const found = member.exec(value);
    if (found === null) break;
    if (found[2] !== undefined) tags.push({ weak: found[1] !== undefined, opaque: found[2] });
    if (member.lastIndex === value.length) return tags.length === 0 ? malformed(header) : tags;
  }
  return malformed(header);
}

function malformed(header: ConditionHeader): never {
  const message = `${header} must be * or a list of ETags, as in "v3"`;
  throw new HttpFault("INVALID_ARGUMENT", message, { field: header });
}

/**
 * Whether the tags include the version. A weak tag never matches in a strong comparison, which
 * `If-Match` asks for.
 */
function includes(tags: Tags, version: number, comparison: "strong" | "weak"): boolean {
  if (tags === "*") return true;
  return tags.some(
    ({ weak, opaque }) => opaque === `v${version}` && (comparison === "weak" || !weak),
  );
}

interface Resource {
  readonly entity: "WorkflowRun" | "WorkflowStage";
  readonly id: string;
  /**
   * Whether the request updates the resource: then the update itself checks a single expected
   * version.
   */
  readonly updates: boolean;
}

/** A request that changes a run or a stage. */
interface Conditional<T> extends Resource {
  readonly read: (tx: WorkflowPersistence) => Promise<{ readonly version: number } | null>;
  /** `expectedVersion`: for an update, which checks it itself. */
  readonly act: (tx: WorkflowPersistence, expected: { expectedVersion?: number }) => Promise<T>;
  /**
   * What `act` does when there is no such resource: it answers NOT_FOUND, or succeeds all the same.
   */
  readonly absent: "tells" | "succeeds";
}

/**
 * Acts if the request's conditions hold. A single version in `If-Match` of an update needs no look
 * beforehand. Any other condition is checked in the transaction that acts, so that it holds when
 * its commit lands.
 * @throws STALE_VERSION when a condition does not hold. Nothing was written then.
 */
export async function whenConditionsHold<T>(
  context: Context<AppEnv>,
  { read, act, absent, ...resource }: Conditional<T>,
): Promise<T> {
  const { persistence } = context.var.backend;
  const match = tagsOf(context, "If-Match");
  const noneMatch = tagsOf(context, "If-None-Match");
  if (match === null && noneMatch === null) return act(persistence, {});
  const expectedVersion = noneMatch === null && resource.updates ? singleVersion(match) : null;
  if (expectedVersion !== null) return act(persistence, { expectedVersion });
  return persistence.withTransaction(async (tx) => {
    const stored = (await read(tx))?.version ?? null;
    if (stored === null) {
      // Conditions count only where the request would succeed without them (RFC 9110, 13.2.1).
      if (match !== null && absent === "succeeds") throw stale(resource, "If-Match", null);
      return act(tx, {});
    }
    if (match !== null && !includes(match, stored, "strong")) {
      throw stale(resource, "If-Match", stored);
    }
    if (noneMatch !== null && includes(noneMatch, stored, "weak")) {
      throw stale(resource, "If-None-Match", stored);
    }
    return act(tx, {});
  });
}

function singleVersion(tags: Tags | null): number | null {
  if (tags === null || tags === "*" || tags.length !== 1) return null;
  const [tag] = tags;
  return tag === undefined || tag.weak ? null : versionOf(tag.opaque);
}

function versionOf(opaque: string): number | null {
  const digits = /^v(0|[1-9]\d{0,14})$/.exec(opaque)?.[1];
  return digits === undefined ? null : Number(digits);
}

function stale({ entity, id }: Resource, header: ConditionHeader, stored: number | null) {
  const is = stored === null ? "it is not there" : `its ETag is ${etag(stored)}`;
  return new HttpFault("STALE_VERSION", `${header} does not hold for ${entity} ${id}: ${is}`, {
    entity,
    id,
    field: header,
    actual: stored ?? -1,
  });
}

/**
 * Stands before routes whose resource has no ETag. A condition that nobody checks must not look
 * like one that holds.
 */
export const refuseConditions: MiddlewareHandler<AppEnv> = async (context, next) => {
  const { method } = context.req;
  const reads = method === "GET" || method === "HEAD";
  for (const header of HEADERS) {
    // A resource without an ETag is always sent whole, which If-None-Match allows.
    if (reads && header === "If-None-Match") continue;
    if (context.req.header(header) === undefined) continue;
    const message = `${header}: what this request is about has no ETag`;
    throw new HttpFault("INVALID_ARGUMENT", message, { field: header });
  }
  return next();
};

/**
 * Stands after routes that read a resource with an ETag: 304 if the caller has it, 412 if it is not
 * the one that was meant.
 */
export const answerConditions: MiddlewareHandler<AppEnv> = async (context, next) => {
  const match = tagsOf(context, "If-Match");
  const noneMatch = tagsOf(context, "If-None-Match");
  await next();
  const tag = context.res.headers.get("ETag");
  if (context.res.status !== 200 || tag === null) return;
  const version = versionOf(tag.slice(1, -1)) ?? -1;
  if (match !== null && !includes(match, version, "strong")) {
    throw new HttpFault("STALE_VERSION", `If-Match does not hold: the ETag is ${tag}`, {
      field: "If-Match",
      actual: version,
    });
  }
  if (noneMatch !== null && includes(noneMatch, version, "weak")) {
    context.res.headers.delete("Content-Type");
    context.res = new Response(null, { status: 304, headers: context.res.headers });
  }
};
