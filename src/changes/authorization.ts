/**
 * Which scopes allow what. A change names its scopes in its description; every query needs `read`.
 * HTTP routes, commits, settlements and the entrypoints of RPC all ask here. Pure.
 */
import { QUERY_KINDS, type QueryName } from "../queries/query.ts";
import { CHANGE_KINDS, type ChangeKind } from "./change.ts";
import type { Commit } from "./commit.ts";
import { servedKind } from "./served.ts";
import { ADMIN, type AnyOf, READ, type Scope, SCOPES, WORK } from "./scope.ts";

/**
 * What can be allowed: changes, queries, and two acts of the API that are neither. `claimRun` takes
 * a PENDING run to RUNNING and sets nothing else, so it asks for less than `updateRun`. `time`
 * reads no row.
 */
export type Act = ChangeKind | QueryName | "claimRun" | "time";

/** The scopes of which the act needs one. */
export function scopesFor(act: Act): AnyOf {
  if (act === "claimRun") return WORK;
  if (act === "time" || act in QUERY_KINDS) return READ;
  return isChange(act) ? servedKind({ kind: act }).scope : ADMIN;
}

function isChange(act: Act): act is ChangeKind {
  return act in CHANGE_KINDS;
}

/**
 * Without one of these, no commit that changes anything is allowed. The other scopes include one of
 * these, or change nothing.
 */
export const CHANGING: AnyOf = ["write", "work"];

/** These scopes and those that they include. */
export function withImplied(scopes: readonly Scope[]): Set<Scope> {
  const all = new Set(scopes);
  if (all.has("admin")) for (const scope of SCOPES) all.add(scope);
  if (all.has("write")) all.add("read");
  return all;
}

export function hasAnyOf(scopes: ReadonlySet<Scope>, needed: AnyOf): boolean {
  return needed.some((scope) => scopes.has(scope));
}

/** What is refused, and which scopes would be enough. */
export interface Lack {
  readonly act: Act | "guards";
  readonly needs: AnyOf;
}

/** The first of the queries that these scopes do not allow, or null. */
export function lackForQueries(
  scopes: ReadonlySet<Scope>,
  queries: readonly { readonly q: QueryName }[],
): Lack | null {
  for (const { q } of queries) if (!hasAnyOf(scopes, READ)) return { act: q, needs: READ };
  return null;
}

/**
 * The first part of the commit that these scopes do not allow, or null. Guards need `read`: whether
 * they hold tells what is stored. To settle a commit asks for the same scopes as to apply it:
 * settling can keep it from landing.
 */
export function lackForCommit(
  scopes: ReadonlySet<Scope>,
  { guards, changes, reads }: Pick<Commit, "guards" | "changes" | "reads">,
): Lack | null {
  for (const { kind } of changes) {
    const needs = scopesFor(kind);
    if (!hasAnyOf(scopes, needs)) return { act: kind, needs };
  }
  if (guards.length > 0 && !hasAnyOf(scopes, READ)) return { act: "guards", needs: READ };
  return lackForQueries(scopes, reads);
}
