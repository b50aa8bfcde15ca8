/** Queries of requests, checked against the service's own schemas: a part of each is the caller's. */
import type { Query } from "../changes/index.ts";
import { query } from "../changes/schemas.ts";
import { ServiceError } from "../contract/index.ts";

/** @throws INVALID_ARGUMENT that names the method and the field. */
export function checkedQuery<const Q extends Query>(method: string, candidate: Q): Q {
  const result = query.safeParse(candidate);
  if (result.success) return candidate;
  const issue = result.error.issues[0];
  const field = (issue?.path ?? [])
    .map(String)
    .filter((name) => name !== "filters")
    .join(".");
  throw new ServiceError("INVALID_ARGUMENT", `${method}: ${field} ${issue?.message ?? ""}`, {
    field,
  });
}
