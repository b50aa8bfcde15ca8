/**
 * Who may do what. The scopes of a change stand in its description; every query reads. Routes, commits, settlements and entrypoints all
 * ask here. Pure.
 */
import { QUERY_KINDS, type QueryName } from "../queries/query.ts";
import { CHANGE_KINDS, type ChangeKind } from "./change.ts";
import type { Commit } from "./commit.ts";
import { ADMIN, type AnyOf, READ, type Scope, SCOPES, WORK } from "./scope.ts";

/**
 * Acts of the API that are no change or query as such. `claimRun`: a run becomes RUNNING if it is PENDING, and nothing else of it is set,
 * so it asks for less than `updateRun`. `time` reads no row.
 */
export type Act = ChangeKind | QueryName | "claimRun" | "time";

export function scopesFor(act: Act): AnyOf {
  if (act === "claimRun") return WORK;
  if (act === "time" || act in QUERY_KINDS) return READ;
  return isChange(act) ? CHANGE_KINDS[act].scope : ADMIN;
}

function isChange(act: Act): act is ChangeKind {
  return act in CHANGE_KINDS;
}

/** Without one of these, no commit that changes anything is allowed. The others include one of them, or cannot change anything. */
export const CHANGING: AnyOf = ["write", "work"];

/** With those that they include. */
export function withImplied(scopes: readonly Scope[]): Set<Scope> {
  const all = new Set(scopes);
  if (all.has("admin")) for (const scope of SCOPES) all.add(scope);
  if (all.has("write")) all.add("read");
  return all;
}

export function hasAnyOf(scopes: ReadonlySet<Scope>, needed: AnyOf): boolean {
  return needed.some((scope) => scopes.has(scope));
}

/** What is refused, and which scopes would do. */
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
 * What of a commit these scopes do not allow, or null. Guards tell what is stored, as queries do. A commit is settled by those who may
 * apply it: a settlement can keep it from landing, and writes the finding down.
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
