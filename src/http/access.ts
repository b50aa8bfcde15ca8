/**
 * Cloudflare Access: a request that comes through it has a JWT in a header of its own, which names
 * the caller. Every caller that Access lets in has the same scopes, those of the configuration.
 */
import { errors, type JWTPayload, jwtVerify } from "jose";
import { type Scope, SCOPES, withImplied } from "../changes/index.ts";
import { AccessKeys } from "./access-keys.ts";
import { digestOf } from "./digest.ts";
import { HttpFault } from "./problem.ts";
import { type Caller, unauthenticated } from "./tokens.ts";

export const ACCESS_HEADER = "Cf-Access-Jwt-Assertion";
/** A longer header is no assertion of Access. */
const ASSERTION_LENGTH_MAX = 16_384;
/** Characters of a caller's name in the access log. */
const NAME_LENGTH_MAX = 128;

/** The variables that configure Access. */
export interface AccessEnv {
  /** As in "acme.cloudflareaccess.com". */
  readonly ACCESS_TEAM_DOMAIN?: string;
  /** The AUD tag of the Access application. */
  readonly ACCESS_AUD?: string;
  /** Scopes of every caller that Access lets in, with commas between. Absent: read. */
  readonly ACCESS_SCOPES?: string;
}

export interface AccessSettings {
  readonly team: string;
  readonly audience: string;
  readonly scopes: ReadonlySet<Scope>;
}

/**
 * The configuration; null when there is none.
 * @throws NOT_CONFIGURED with the variable, when only half of it is there or it is malformed.
 */
export function accessSettings(env: AccessEnv): AccessSettings | null {
  const { ACCESS_TEAM_DOMAIN: team = "", ACCESS_AUD: audience = "" } = env;
  if (team === "" && audience === "") return null;
  if (!/^[a-z0-9-]+(\.[a-z0-9-]+)+$/.test(team)) {
    const rule = "must be the team's domain, as in acme.cloudflareaccess.com";
    throw wrong("ACCESS_TEAM_DOMAIN", team, rule);
  }
  if (typeof audience !== "string" || !/^\S+$/.test(audience)) {
    throw wrong("ACCESS_AUD", audience, "must be the application's AUD tag");
  }
  return { team, audience, scopes: scopesOf(env.ACCESS_SCOPES ?? "read") };
}

function scopesOf(list: string): Set<Scope> {
  const scopes = listed(list).map((name) => {
    const scope = SCOPES.find((known) => known === name);
    if (scope !== undefined) return scope;
    throw wrong("ACCESS_SCOPES", list, `must be of ${SCOPES.join(", ")}, separated by commas`);
  });
  return withImplied(scopes);
}

/** The items of a variable's list, which commas separate. A variable may have any type of TOML. */
export function listed(value: unknown): string[] {
  return String(value)
    .split(",")
    .map((text) => text.trim());
}

function wrong(name: string, value: unknown, rule: string): HttpFault {
  const message = `${name} is ${JSON.stringify(value)}: it ${rule} (docs/http.md)`;
  return new HttpFault("NOT_CONFIGURED", message);
}

const keysOfTeams = new Map<string, AccessKeys>();

/** The keys of a team, one store of them for the isolate. */
export function keysOf(team: string): AccessKeys {
  const keys = keysOfTeams.get(team) ?? new AccessKeys(team);
  keysOfTeams.set(team, keys);
  return keys;
}

/**
 * The caller that Access has let in.
 * @throws UNAUTHENTICATED with what is wrong with the assertion, never with what is in it;
 * KEYS_UNAVAILABLE.
 */
export async function authenticateAccess(
  { team, audience, scopes }: AccessSettings,
  assertion: string,
  now: number,
  keys: AccessKeys = keysOf(team),
): Promise<Caller> {
  if (assertion.length > ASSERTION_LENGTH_MAX) throw refused("is too long");
  try {
    const { payload } = await jwtVerify(
      assertion,
      async ({ kid = "" }) => {
        const key = await keys.find(kid, now);
        if (key === null) throw refused("is signed with a key that the team does not have");
        return key;
      },
      {
        algorithms: ["RS256"],
        issuer: `https://${team}`,
        audience,
        requiredClaims: ["exp"],
        currentDate: new Date(now),
      },
    );
    return { name: await nameOf(payload), scopes };
  } catch (error) {
    // The causes hold the claims, so they are neither answered nor logged.
    if (error instanceof errors.JOSEError) throw refused(whatIsWrong(error));
    throw error;
  }
}

function refused(what: string): HttpFault {
  return unauthenticated(`The assertion of Cloudflare Access ${what}`);
}

function whatIsWrong(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return "has expired";
  if (error instanceof errors.JWTClaimValidationFailed) return whatIsWrongWith(error.claim);
  if (error instanceof errors.JOSEAlgNotAllowed) return "is not signed with RS256";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "has a wrong signature";
  return "is no JWT that can be read";
}

function whatIsWrongWith(claim: string): string {
  switch (claim) {
    case "aud":
      return "is for another application";
    case "iss":
      return "is of another team";
    case "nbf":
      return "is not valid yet";
    default:
      return "lacks a claim, or has a wrong one";
  }
}

/** The address of a person, or the id of a service token. */
async function nameOf({ email, common_name: serviceToken }: JWTPayload): Promise<string> {
  for (const claimed of [email, serviceToken]) {
    if (typeof claimed === "string" && claimed !== "") return `access:${await shown(claimed)}`;
  }
  throw refused("names nobody");
}

/**
 * One short line. Different callers keep different names: idempotency keys and rate limits go by
 * the name.
 */
async function shown(claimed: string): Promise<string> {
  const line = claimed.toWellFormed().replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "");
  const name = line.slice(0, NAME_LENGTH_MAX).toWellFormed();
  if (name === claimed && !name.includes("#")) return name;
  return `${name}#${(await digestOf(claimed)).slice(0, 16)}`;
}
