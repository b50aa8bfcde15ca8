/** The scopes: what callers may do. Which act needs which is in `authorization.ts`. Pure. */

/** `admin` includes all others; `write` includes `read`. A worker needs `read` and `work`. */
export const SCOPES = ["read", "write", "work", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** Scopes of which one is enough. */
export type AnyOf = readonly [Scope, ...Scope[]];

export const READ: AnyOf = ["read"];
export const WRITE: AnyOf = ["write"];
export const WORK: AnyOf = ["work"];
/** To note something about work: logs, annotations, AI calls. No run, stage or job changes. */
export const NOTE: AnyOf = ["write", "work"];
/** To end other workers' work, or to delete rows in bulk, as the sweep does. */
export const ADMIN: AnyOf = ["admin"];
