/** What callers may do. Pure. */

/** `admin` includes the others; `write` includes `read`. */
export const SCOPES = ["read", "write", "work", "admin"] as const;
export type Scope = (typeof SCOPES)[number];

/** Any one of these is enough. */
export type AnyOf = readonly [Scope, ...Scope[]];

export const READ: AnyOf = ["read"];
export const WRITE: AnyOf = ["write"];
export const WORK: AnyOf = ["work"];
/** What a worker notes of its work. It changes no run, stage or job. */
export const NOTE: AnyOf = ["write", "work"];
/** What ends the work of others, or takes rows away: the sweep's. */
export const ADMIN: AnyOf = ["admin"];
