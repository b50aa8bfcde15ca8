/** What callers may do. `admin` includes the others; `write` includes `read`. */
export const SCOPES = ["read", "write", "work", "admin"] as const;
export type Scope = (typeof SCOPES)[number];
