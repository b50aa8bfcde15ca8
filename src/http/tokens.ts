/**
 * Bearer tokens. The secret `API_TOKENS` holds a JSON list of their hashes, so that reading it
 * gives no token away. There may be several at a time, so that one can be replaced while the other
 * still works.
 */
import * as z from "zod";
import {
  type AnyOf,
  hasAnyOf,
  type Lack,
  type Scope,
  SCOPES,
  withImplied,
} from "../changes/index.ts";
import { INSTANT_RULE, parseInstant } from "../model/index.ts";
import { HttpFault } from "./problem.ts";

const tokens = z
  .array(
    z.strictObject({
      /** Names the caller in the access log. */
      name: z
        .string()
        .min(1)
        .max(64)
        .refine((name) => !name.startsWith("access:"), "names of Cloudflare Access begin so"),
      /** Hex of the SHA-256 of the token. */
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
      scopes: z.array(z.enum(SCOPES)).min(1),
      /** The last instant at which the token counts. Absent: it never expires. */
      expires: z
        .string()
        .refine((text) => parseInstant(text) !== null, INSTANT_RULE)
        .optional(),
    }),
  )
  .min(1)
  .max(100);

const TOKEN_LENGTH_MAX = 512;
const BEARER = new RegExp(`^Bearer ([\\x21-\\x7e]{1,${TOKEN_LENGTH_MAX}})$`, "i");

/** A caller, and what it may do. */
export interface Caller {
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
}

const HOW =
  "Set the secret API_TOKENS, a JSON list of { name, sha256, scopes }: npx wrangler secret put API_TOKENS, or in .dev.vars for wrangler dev; or the variables ACCESS_TEAM_DOMAIN and ACCESS_AUD, for Cloudflare Access (docs/http.md).";

/**
 * The caller whose token this is.
 * @throws NOT_CONFIGURED without tokens; UNAUTHENTICATED for a token that is missing, unknown or
 * expired.
 */
export async function authenticate(
  secret: string | undefined,
  authorization: string | undefined,
  now: number,
): Promise<Caller> {
  const known = tokensOf(secret);
  const token = BEARER.exec(authorization ?? "")?.[1];
  if (token === undefined) throw unauthenticated("A bearer token is needed");
  const found =
    equalOf(known, padded(token), ({ seen }) => seen) ?? (await foundByHash(known, token));
  if (found === null) throw unauthenticated("The token is not known");
  if (found.expires < now) throw unauthenticated("The token has expired");
  return found.caller;
}

const encoder = new TextEncoder();
/** The token of the request at hand. One place for all: to make it takes longer than to compare. */
const place = new Uint8Array(TOKEN_LENGTH_MAX);

/**
 * The token as bytes that are as long for every token, so that no time tells its length. They last
 * until the next call.
 */
function padded(token: string): Uint8Array {
  place.fill(0);
  encoder.encodeInto(token, place);
  return place;
}

/** All are compared, each in constant time, so the time does not tell how close a guess was. */
function equalOf(
  known: readonly Token[],
  bytes: ArrayBuffer | Uint8Array,
  bytesOf: (candidate: Token) => Uint8Array,
): Token | null {
  let found: Token | null = null;
  for (const candidate of known) {
    if (crypto.subtle.timingSafeEqual(bytes, bytesOf(candidate))) found = candidate;
  }
  return found;
}

/** A token that is found is known by itself from then on: hashing it takes longer than comparing. */
async function foundByHash(known: readonly Token[], token: string): Promise<Token | null> {
  const digest = await crypto.subtle.digest("SHA-256", encoder.encode(token));
  const found = equalOf(known, digest, (candidate) => candidate.digest);
  if (found !== null) found.seen = padded(token).slice();
  return found;
}

interface Token {
  readonly digest: Uint8Array;
  /** The token itself, padded, once a request had it; until then zeros, which no token is. */
  seen: Uint8Array;
  /** Milliseconds; Infinity: never. */
  readonly expires: number;
  readonly caller: Caller;
}

/** The secret that was parsed last. An isolate sees one, until it is replaced. */
let last: { readonly secret: string | undefined; readonly tokens: readonly Token[] } | null = null;

function tokensOf(secret: string | undefined): readonly Token[] {
  if (last !== null && last.secret === secret) return last.tokens;
  const parsed = parse(secret).map(({ name, sha256, scopes, expires }) => ({
    digest: Uint8Array.fromHex(sha256),
    seen: new Uint8Array(TOKEN_LENGTH_MAX),
    expires: expires === undefined ? Infinity : Date.parse(expires),
    caller: { name, scopes: withImplied(scopes) },
  }));
  last = { secret, tokens: parsed };
  return parsed;
}

function parse(secret: string | undefined): z.infer<typeof tokens> {
  if (secret === undefined || secret === "") {
    throw new HttpFault("NOT_CONFIGURED", `The HTTP API has no tokens. ${HOW}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(secret);
  } catch {
    throw new HttpFault("NOT_CONFIGURED", `API_TOKENS is not JSON. ${HOW}`);
  }
  const parsed = tokens.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = ["API_TOKENS", ...(issue?.path ?? []).map(String)].join(".");
  throw new HttpFault("NOT_CONFIGURED", `${where}: ${issue?.message}. ${HOW}`);
}

export function unauthenticated(message: string): HttpFault {
  return new HttpFault("UNAUTHENTICATED", message, {}, { "WWW-Authenticate": "Bearer" });
}

/** @throws FORBIDDEN that names the scopes, any one of which would do. */
export function requireAnyOf(caller: Caller, needed: AnyOf): void {
  if (hasAnyOf(caller.scopes, needed)) return;
  const scope = needed.join(" or ");
  throw new HttpFault("FORBIDDEN", `The token ${caller.name} lacks the scope ${scope}`, { scope });
}

/** @throws FORBIDDEN with what lacks a scope, and the scope. */
export function requireNoLack({ name }: Caller, lack: Lack | null): void {
  if (lack === null) return;
  const { act, needs } = lack;
  const scope = needs.join(" or ");
  const message = `The token ${name} lacks the scope ${scope}, for ${act}`;
  throw new HttpFault("FORBIDDEN", message, { scope, act });
}
