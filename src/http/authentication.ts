/**
 * Who calls: the owner of a bearer token, or a person or service that Cloudflare Access has let in.
 */
import { ACCESS_HEADER, type AccessEnv, accessSettings, authenticateAccess } from "./access.ts";
import { HttpFault } from "./problem.ts";
import { authenticate, type Caller, unauthenticated } from "./tokens.ts";

interface CallersEnv extends AccessEnv {
  readonly API_TOKENS?: string;
  readonly CORS_ORIGINS?: string;
}

/**
 * The caller. A bearer token, where there is one, decides; otherwise Access does, if it is
 * configured.
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
 * Access knows a browser by a cookie, which the browser sends whichever page causes the request. So
 * a request that acts, or that opens a socket (for which browsers do not use CORS), must come from
 * a page of this origin or of CORS_ORIGINS. Every browser sends the origin with a request to
 * another one.
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
