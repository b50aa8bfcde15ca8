/**
 * Authentication: a caller is the owner of a bearer token, or a person or service that Cloudflare
 * Access has let in.
 */
import {
  ACCESS_HEADER,
  type AccessEnv,
  accessSettings,
  authenticateAccess,
  listed,
} from "./access.ts";
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

/**
 * Origins that browsers may call from.
 * @throws NOT_CONFIGURED for a text that no browser sends as the origin of a page: it would let no
 * page in, and the reason would be hard to find.
 */
export function corsOrigins({ CORS_ORIGINS = "" }: CallersEnv): string[] {
  if (CORS_ORIGINS === "") return [];
  return listed(CORS_ORIGINS).map((origin) => {
    if (isOrigin(origin)) return origin;
    const rule = "must be origins as in https://app.example, separated by commas";
    const message = `CORS_ORIGINS has ${JSON.stringify(origin)}: it ${rule} (docs/http.md)`;
    throw new HttpFault("NOT_CONFIGURED", message);
  });
}

/**
 * An origin in the form in which browsers send it. For schemes other than the web's (an app's
 * pages) only the form is known.
 */
function isOrigin(text: string): boolean {
  if (/^https?:/i.test(text)) {
    return /^[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text;
  }
  return /^[a-z][a-z0-9+.-]*:\/\/[\w.-]+$/.test(text);
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
