/**
 * The public keys with which a team of Cloudflare Access signs, kept by the isolate. It keeps data
 * and keys, never a promise: a request must not wait for work that another request has begun, since
 * the platform ends that work with the other request.
 */
import { importJWK } from "jose";
import * as z from "zod";
import { sleep, withDeadline } from "../model/index.ts";
import { HttpFault } from "./problem.ts";

/**
 * Keys are fetched again after this time, so that a key that was revoked is not trusted for ever.
 */
const KEPT_MS = 600_000;
/**
 * An unknown key causes a fetch at most this often. Otherwise made-up keys would flood the team's
 * endpoint.
 */
const UNKNOWN_COOLDOWN_MS = 30_000;
/** After a failed fetch none is made for this time. */
const FAILED_COOLDOWN_MS = 2_000;
const FETCH_TIMEOUT_MS = 5_000;
const POLL_MS = 25;

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

const jwks = z.object({ keys: z.array(z.looseObject({})) });
const rsaKey = z.object({
  kid: z.string(),
  kty: z.literal("RSA"),
  n: z.string(),
  e: z.string(),
});

/** The keys of one team. */
export class AccessKeys {
  readonly #url: string;
  readonly #fetch: Fetch;
  #keys: ReadonlyMap<string, CryptoKey> = new Map();
  #fetchedAt = -Infinity;
  #failedAt = -Infinity;
  /**
   * When the fetch that is under way began. Its request may have been cut off, so it counts for a
   * while only.
   */
  #begunAt: number | null = null;

  constructor(team: string, fetchKeys: Fetch = async (url, init) => fetch(url, init)) {
    this.#url = `https://${team}/cdn-cgi/access/certs`;
    this.#fetch = fetchKeys;
  }

  /**
   * The team's key with this id, or null if it has none.
   * @throws KEYS_UNAVAILABLE when the keys cannot be fetched.
   */
  async find(kid: string, now: number): Promise<CryptoKey | null> {
    const age = now - this.#fetchedAt;
    const known = this.#keys.has(kid);
    if (age >= KEPT_MS || (!known && age >= UNKNOWN_COOLDOWN_MS)) await this.#refresh(now);
    return this.#keys.get(kid) ?? null;
  }

  async #refresh(now: number): Promise<void> {
    const begun = this.#begunAt;
    if (begun !== null && now - begun < FETCH_TIMEOUT_MS) return this.#watch(begun);
    if (now - this.#failedAt < FAILED_COOLDOWN_MS) throw unavailable();
    this.#begunAt = now;
    try {
      this.#keys = await withDeadline(this.#fetched(), FETCH_TIMEOUT_MS, "The keys' endpoint");
      this.#fetchedAt = now;
    } catch (error) {
      this.#failedAt = now;
      console.error("wfe-access-keys", this.#url, error);
      throw unavailable();
    } finally {
      this.#begunAt = null;
    }
  }

  /** Looks, on a timer of its own, for the end of a fetch that another request has begun. */
  async #watch(begun: number): Promise<void> {
    for (let waited = 0; waited < FETCH_TIMEOUT_MS; waited += POLL_MS) {
      await sleep(POLL_MS);
      if (this.#begunAt !== begun) break;
    }
    if (this.#fetchedAt < begun) throw unavailable();
  }

  async #fetched(): Promise<Map<string, CryptoKey>> {
    const signal = AbortSignal.timeout(FETCH_TIMEOUT_MS);
    const response = await this.#fetch(this.#url, { signal, redirect: "manual" });
    if (response.status !== 200) throw new Error(`The keys' endpoint answered ${response.status}`);
    const { keys } = jwks.parse(await response.json());
    const found = new Map<string, CryptoKey>();
    for (const candidate of keys) {
      // Keys of other kinds sign other things.
      const key = rsaKey.safeParse(candidate);
      if (!key.success) continue;
      const imported = await importJWK(key.data, "RS256");
      if (imported instanceof CryptoKey) found.set(key.data.kid, imported);
    }
    return found;
  }
}

function unavailable(): HttpFault {
  const message = "The keys of Cloudflare Access could not be fetched; nothing was done";
  return new HttpFault("KEYS_UNAVAILABLE", message);
}
