/** Who calls: the owner of a bearer token, or whom Cloudflare Access has let in. */
import { ACCESS_HEADER, type AccessEnv, accessSettings, authenticateAccess } from "./access.ts";
import { HttpFault } from "./problem.ts";
import { authenticate, type Caller, unauthenticated } from "./tokens.ts";

interface CallersEnv extends AccessEnv {
  readonly API_TOKENS?: string;
  readonly CORS_ORIGINS?: string;
}

/**
 * A bearer token, where there is one, says who calls; otherwise Access does, if it is configured.
 * @throws NOT_CONFIGURED where neither is; UNAUTHENTICATED; KEYS_UNAVAILABLE; FOREIGN_ORIGIN.
 */
export async function callerOf(
  env: CallersEnv,
  request: Request,
  authorization: string | undefined,
  now: number,
): Promise<Caller> {
  const withToken = /^Bearer\b/i.test(authorization ?? "");
  const access = accessSettings(env);
  if (access === null) return authenticate(env.API_TOKENS, authorization, now);
  if (withToken) {
    if ((env.API_TOKENS ?? "") === "") throw unauthenticated("The token is not known");
    return authenticate(env.API_TOKENS, authorization, now);
  }
  const assertion = request.headers.get(ACCESS_HEADER);
  if (assertion === null) {
    throw unauthenticated("A bearer token, or the assertion of Cloudflare Access, is needed");
  }
  const caller = await authenticateAccess(access, assertion, now);
  requireOwnOrigin(env, request);
  return caller;
}

/** Origins that browsers may call from. */
export function corsOrigins({ CORS_ORIGINS = "" }: CallersEnv): string[] {
  return CORS_ORIGINS.split(",")
    .map((origin) => origin.trim())
    .filter((origin) => origin !== "");
}

/**
 * Access knows browsers by a cookie, which they send along whichever page has made them ask. What acts, and what opens a socket, for
 * which browsers do not ask for CORS, must therefore come from a page of ours, or of CORS_ORIGINS. No browser leaves the origin out of
 * a request to another one.
 * @throws FOREIGN_ORIGIN
 */
export function requireOwnOrigin(env: CallersEnv, request: Request): void {
  const reads = request.method === "GET" || request.method === "HEAD";
  if (reads && request.headers.get("Upgrade") === null) return;
  const origin = request.headers.get("Origin");
  if (origin === null || origin === new URL(request.url).origin) return;
  if (corsOrigins(env).includes(origin)) return;
  throw new HttpFault("FOREIGN_ORIGIN", "Pages of another origin may not do this", {
    field: "Origin",
  });
}
