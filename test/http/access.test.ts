/** Callers that Cloudflare Access has let in. The keys are real; only the team's endpoint is played. */
import { base64url, exportJWK, generateKeyPair, type CryptoKey as JoseKey, SignJWT } from "jose";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { authenticateAccess } from "../../src/http/access.ts";
import { AccessKeys } from "../../src/http/access-keys.ts";
import type { HttpEnv } from "../../src/http/env.ts";
import { embed } from "../../src/embed.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { ADMIN, send, URL_OF_SERVICE } from "./support.ts";

const AUD = "a".repeat(64);
const NOW = Date.parse("2026-11-25T12:00:00Z");
const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true });
const next = await generateKeyPair("RS256", { extractable: true });
const jwkOf = async (key: JoseKey, kid: string) => ({
  ...(await exportJWK(key)),
  kid,
  alg: "RS256",
  use: "sig",
});

/** A team of its own for each test: the isolate remembers keys. */
let teams = 0;
let team = "";
/** What the team's endpoint answers, and how often it was asked. */
let served: () => Response | Promise<Response>;
let asked: string[];
const printed: string[] = [];

beforeEach(async () => {
  await emptyDatabase();
  teams += 1;
  team = `team-${teams}.cloudflareaccess.com`;
  asked = [];
  const keys = [{ kty: "EC", kid: "elliptic", crv: "P-256" }, await jwkOf(publicKey, "first")];
  served = () => Response.json({ keys, public_certs: [] });
  vi.spyOn(globalThis, "fetch").mockImplementation(async (input) => {
    asked.push(input as string);
    return served();
  });
  printed.length = 0;
  for (const level of ["log", "warn", "error"] as const) {
    vi.spyOn(console, level).mockImplementation((...parts: unknown[]) => {
      printed.push(parts.map(String).join(" "));
    });
  }
  return () => vi.restoreAllMocks();
});

interface Signing {
  readonly claims?: Record<string, unknown>;
  readonly kid?: string;
  readonly key?: JoseKey;
  readonly at?: number;
}

async function assertion({
  claims = {},
  kid = "first",
  key = privateKey,
  at = Date.now(),
}: Signing = {}): Promise<string> {
  const seconds = Math.floor(at / 1_000);
  const standard = { iss: `https://${team}`, aud: [AUD], email: "ann@example.com", type: "app" };
  const times = { iat: seconds - 10, nbf: seconds - 10, exp: seconds + 600 };
  const payload = { ...standard, ...times, ...claims };
  return new SignJWT(payload).setProtectedHeader({ alg: "RS256", kid }).sign(key);
}

const settings = (): Partial<HttpEnv> => ({ ACCESS_TEAM_DOMAIN: team, ACCESS_AUD: AUD });

async function ask(
  jwt: string | null,
  init: RequestInit & { readonly path?: string } = {},
  overrides: Partial<HttpEnv> = {},
): Promise<Response> {
  const request = new Request(URL_OF_SERVICE + (init.path ?? "/v1/time"), init);
  if (jwt !== null) request.headers.set("Cf-Access-Jwt-Assertion", jwt);
  return send(request, { API_TOKENS: "", ...settings(), ...overrides });
}

async function told(response: Response): Promise<[number, string, string]> {
  const { code, detail } = await response.json<{ code: string; detail: string }>();
  return [response.status, code, detail];
}

describe("a caller that Cloudflare Access has let in", () => {
  it("may read, and is in the access log by address", async () => {
    expect((await ask(await assertion())).status).toBe(200);
    expect(asked).toEqual([`https://${team}/cdn-cgi/access/certs`]);
    expect(printed.join("\n")).toContain('"caller":"access:ann@example.com"');
  });

  it("is a service token, by its id", async () => {
    const jwt = await assertion({ claims: { email: "", sub: "", common_name: "id.access" } });
    expect((await ask(jwt)).status).toBe(200);
    expect(printed.join("\n")).toContain('"caller":"access:id.access"');
  });

  it("has the configured scopes and no others", async () => {
    const claim = { method: "POST", path: "/v1/runs/claim" };
    const jwt = await assertion();
    expect((await told(await ask(jwt, claim))).slice(0, 2)).toEqual([403, "FORBIDDEN"]);
    expect((await ask(jwt, claim, { ACCESS_SCOPES: "read, work" })).status).toBe(200);
    expect((await ask(jwt, claim, { ACCESS_SCOPES: "admin" })).status).toBe(200);
    expect((await ask(jwt, {}, { ACCESS_SCOPES: "work" })).status).toBe(403);
  });

  it("may come with a token, which then counts alone", async () => {
    const headers = { Authorization: `Bearer ${ADMIN}`, "Cf-Access-Jwt-Assertion": "nonsense" };
    const request = () => new Request(`${URL_OF_SERVICE}/v1/time`, { headers });
    expect((await send(request(), settings())).status).toBe(200);
    const without = await send(request(), { ...settings(), API_TOKENS: "" });
    expect(await told(without)).toEqual([401, "UNAUTHENTICATED", "The token is not known"]);
    expect(asked).toEqual([]);
  });

  it("is not recognised by the cookie, which any page can make a browser send", async () => {
    const headers = { Cookie: `CF_Authorization=${await assertion()}` };
    expect((await ask(null, { headers })).status).toBe(401);
  });

  it("has a name of one short line, which nobody else has", async () => {
    const ill = ["a\nb", "ab", `a\u{202e}b`, "x".repeat(300), "x".repeat(301), "a#b", "\ud800"];
    const keys = new AccessKeys(team);
    const names = await Promise.all(
      ill.map(async (email) => {
        const jwt = await assertion({ claims: { email } });
        const access = { team, audience: AUD, scopes: new Set(["read"] as const) };
        return (await authenticateAccess(access, jwt, Date.now(), keys)).name;
      }),
    );
    expect(new Set(names).size).toBe(ill.length);
    for (const name of names) expect(name).toMatch(/^access:[\x20-\x7e\u{fffd}]{1,150}$/u);
    expect(names[1]).toBe("access:ab");
  });
});

describe("an assertion", () => {
  const seconds = (fromNow: number) => Math.floor(Date.now() / 1_000) + fromNow;

  it.each<[string, () => Record<string, unknown>, string]>([
    ["that has expired", () => ({ exp: seconds(-1) }), "has expired"],
    ["that is not valid yet", () => ({ nbf: seconds(60) }), "is not valid yet"],
    ["for another application", () => ({ aud: ["b".repeat(64)] }), "is for another application"],
    ["of another team", () => ({ iss: "https://evil.example" }), "is of another team"],
    ["that never expires", () => ({ exp: undefined }), "lacks a claim, or has a wrong one"],
    ["that names nobody", () => ({ email: 7 }), "names nobody"],
  ])("%s is refused", async (_what, claims, what) => {
    expect(await told(await ask(await assertion({ claims: claims() })))).toEqual([
      401,
      "UNAUTHENTICATED",
      `The assertion of Cloudflare Access ${what}`,
    ]);
  });

  it("is judged by the time that is passed in", async () => {
    const jwt = await assertion({ at: NOW });
    const access = { team, audience: AUD, scopes: new Set(["read"] as const) };
    const at = async (now: number) => authenticateAccess(access, jwt, now);
    await expect(at(NOW + 599_000)).resolves.toMatchObject({ name: "access:ann@example.com" });
    await expect(at(NOW + 600_000)).rejects.toThrow("has expired");
    await expect(at(NOW - 11_000)).rejects.toThrow("is not valid yet");
  });

  it("without a signature, or with one made from the public key, is refused before any key is fetched", async () => {
    const [, claims = ""] = (await assertion()).split(".");
    const header = (alg: string) => base64url.encode(JSON.stringify({ alg, kid: "first" }));
    const secret = new TextEncoder().encode(JSON.stringify(await exportJWK(publicKey)));
    const hmac = await crypto.subtle.importKey(
      "raw",
      secret,
      { name: "HMAC", hash: "SHA-256" },
      false,
      ["sign"],
    );
    const signed = `${header("HS256")}.${claims}`;
    const mac = await crypto.subtle.sign("HMAC", hmac, new TextEncoder().encode(signed));
    const forged = [
      `${header("none")}.${claims}.`,
      `${signed}.${base64url.encode(new Uint8Array(mac))}`,
    ];
    for (const jwt of forged) {
      expect(await told(await ask(jwt))).toEqual([
        401,
        "UNAUTHENTICATED",
        "The assertion of Cloudflare Access is not signed with RS256",
      ]);
    }
    expect(asked).toEqual([]);
  });

  it("that somebody else has signed, or changed, is refused", async () => {
    const [header = "", , signature = ""] = (await assertion()).split(".");
    const [, claims = ""] = (await assertion({ claims: { email: "root@example.com" } })).split(".");
    for (const jwt of [
      `${header}.${claims}.${signature}`,
      await assertion({ key: next.privateKey }),
    ]) {
      const [status, , detail] = await told(await ask(jwt));
      expect([status, detail]).toEqual([
        401,
        "The assertion of Cloudflare Access has a wrong signature",
      ]);
    }
  });

  it.each(["", "x", "a.b.c", "..", "e30.e30.e30", "x".repeat(20_000)])(
    "that is none is refused (%#)",
    async (jwt) => {
      expect((await ask(jwt)).status).toBe(401);
    },
  );

  it("is neither logged nor answered, whatever is wrong with it", async () => {
    const claims = { exp: 1, email: "secret@example.com", custom: "private" };
    const bad = [await assertion({ claims }), await assertion({ claims, kid: "unknown" })];
    served = () => new Response("secret of the endpoint", { status: 500 });
    bad.push(await assertion({ claims, kid: "unreachable" }));
    for (const jwt of bad) {
      const answer = await (await ask(jwt)).text();
      for (const text of [answer, ...printed]) {
        expect(text).not.toMatch(/secret|private/);
        for (const part of jwt.split(".")) expect(text).not.toContain(part);
      }
    }
    expect(printed.length).toBeGreaterThan(2);
  });
});

describe("the configuration of Access", () => {
  it.each<[Partial<HttpEnv>, RegExp]>([
    [{ ACCESS_TEAM_DOMAIN: "" }, /ACCESS_TEAM_DOMAIN is ""/],
    [{ ACCESS_TEAM_DOMAIN: "https://acme.cloudflareaccess.com" }, /ACCESS_TEAM_DOMAIN is "https:/],
    [{ ACCESS_AUD: "" }, /ACCESS_AUD is ""/],
    [{ ACCESS_AUD: " " }, /ACCESS_AUD is " "/],
    [{ ACCESS_AUD: 5 } as object, /ACCESS_AUD is 5/],
    [{ ACCESS_SCOPES: "read,root" }, /ACCESS_SCOPES is "read,root": .* read, write/],
    [{ ACCESS_SCOPES: "" }, /ACCESS_SCOPES is ""/],
    [{ ACCESS_SCOPES: ["read", "root"] } as object, /ACCESS_SCOPES is \["read","root"\]/],
    [{ CORS_ORIGINS: "https://app.example/" }, /CORS_ORIGINS has "https:\/\/app.example\/"/],
    [{ ACCESS_TEAM_DOMAIN: "", ACCESS_AUD: "" }, /API_TOKENS.*ACCESS_TEAM_DOMAIN/],
  ])("that is not right (%j) is 503 and says what to set", async (overrides, what) => {
    const [status, code, detail] = await told(await ask(await assertion(), {}, overrides));
    expect([status, code]).toEqual([503, "NOT_CONFIGURED"]);
    expect(detail).toMatch(what);
  });

  it("lets no token take a name of Access's", async () => {
    const list = [{ name: "access:ann@example.com", sha256: "0".repeat(64), scopes: ["admin"] }];
    const headers = { Authorization: "Bearer x" };
    const request = new Request(`${URL_OF_SERVICE}/v1/time`, { headers });
    expect((await send(request, { API_TOKENS: JSON.stringify(list) })).status).toBe(503);
  });
});

describe("a page of another origin", () => {
  const own = URL_OF_SERVICE;
  const write = { ACCESS_SCOPES: "admin", CORS_ORIGINS: "https://app.example" };

  it.each<[string, string | null, boolean]>([
    ["POST", null, true],
    ["POST", own, true],
    ["POST", "https://app.example", true],
    ["POST", "https://evil.example", false],
    ["POST", "null", false],
    ["POST", "http://engine.example", false],
    ["POST", "https://engine.example.evil.example", false],
  ])("makes nobody act through Access: %s from %s", async (method, origin, may) => {
    await embed(env).persistence.createRun({
      id: "run",
      workflowId: "w",
      workflowName: "W",
      workflowType: "w",
      input: {},
    });
    const headers: Record<string, string> = origin === null ? {} : { Origin: origin };
    const path = "/v1/runs/run/claim";
    const response = await ask(await assertion(), { method, headers, path }, write);
    const status = await embed(env).persistence.getRunStatus("run");
    if (may) expect([response.status, status]).toEqual([200, "RUNNING"]);
    else {
      expect((await told(response)).slice(0, 2)).toEqual([403, "FOREIGN_ORIGIN"]);
      expect(status).toBe("PENDING");
    }
  });

  it.each(["PUT", "PATCH", "DELETE"])("is refused with %s, too", async (method) => {
    const init = { method, headers: { Origin: "https://evil.example" }, path: "/v1/runs/run" };
    expect((await told(await ask(await assertion(), init, write)))[1]).toBe("FOREIGN_ORIGIN");
  });

  it("opens no socket through Access, and reads only what the browser hides from it", async () => {
    const headers = { Origin: "https://evil.example" };
    const jwt = await assertion();
    const plain = await ask(jwt, { headers });
    expect(plain.status).toBe(200);
    expect(plain.headers.get("Access-Control-Allow-Origin")).toBeNull();
    const socket = await ask(jwt, { headers: { ...headers, Upgrade: "WebSocket" } });
    expect((await told(socket))[1]).toBe("FOREIGN_ORIGIN");
  });

  it("may use a token, which no browser sends by itself", async () => {
    const headers = { Origin: "https://evil.example", Authorization: `Bearer ${ADMIN}` };
    const request = new Request(`${own}/v1/runs/claim`, { method: "POST", headers });
    expect((await send(request, settings())).status).toBe(200);
  });
});

describe("the team's keys", () => {
  const keysWith = async (...named: readonly (readonly [string, JoseKey])[]) => {
    const keys = await Promise.all(named.map(async ([kid, key]) => jwkOf(key, kid)));
    return () => Response.json({ keys });
  };

  it("are fetched once for many requests", async () => {
    const jwt = await assertion();
    for (let n = 0; n < 3; n += 1) expect((await ask(jwt)).status).toBe(200);
    expect(asked).toHaveLength(1);
  });

  it("are fetched by one of many requests at once, and the others find them", async () => {
    const gate = Promise.withResolvers<undefined>();
    const answer = served;
    served = async () => (await gate.promise, answer());
    const keys = new AccessKeys(team);
    const finds = Array.from({ length: 20 }, () => keys.find("first", NOW));
    gate.resolve(undefined);
    expect((await Promise.all(finds)).every((key) => key !== null)).toBe(true);
    expect(asked).toHaveLength(1);
  });

  it("are fetched by another request when the one that had begun was cut off", async () => {
    served = () => new Promise<Response>(() => {});
    const keys = new AccessKeys(team);
    // Its request has ended, so nothing of it goes on.
    void keys.find("first", NOW);
    served = await keysWith(["first", publicKey]);
    expect(await keys.find("first", NOW + 5_000)).not.toBeNull();
    expect(asked).toHaveLength(2);
  });

  it("are fetched again for a key that is new, and a rotation is picked up", async () => {
    const keys = new AccessKeys(team);
    expect(await keys.find("first", NOW)).not.toBeNull();
    served = await keysWith(["second", next.publicKey]);
    expect(await keys.find("second", NOW + 30_000)).not.toBeNull();
    expect(await keys.find("first", NOW + 30_001)).toBeNull();
    expect(asked).toHaveLength(2);
  });

  it("are not fetched for each of a flood of made-up keys", async () => {
    const keys = new AccessKeys(team);
    await keys.find("first", NOW);
    for (let n = 0; n < 500; n += 1) expect(await keys.find(`made-up-${n}`, NOW + n)).toBeNull();
    expect(asked).toHaveLength(1);
    const later = Array.from({ length: 50 }, (_, n) => keys.find(`later-${n}`, NOW + 30_000));
    expect(new Set(await Promise.all(later))).toEqual(new Set([null]));
    expect(asked).toHaveLength(2);
    expect(await keys.find("first", NOW + 30_000)).not.toBeNull();
  });

  it("are not trusted for longer than ten minutes without being looked at", async () => {
    const keys = new AccessKeys(team);
    await keys.find("first", NOW);
    served = await keysWith();
    expect(await keys.find("first", NOW + 599_999)).not.toBeNull();
    expect(await keys.find("first", NOW + 600_000)).toBeNull();
  });

  it.each<[string, () => Response | Promise<Response>]>([
    ["answers an error", () => new Response("no", { status: 500 })],
    ["sends elsewhere", () => Response.redirect("https://evil.example/keys")],
    ["answers no JSON", () => new Response("<html>")],
    ["answers other JSON", () => Response.json({ keys: "none" })],
    ["cannot be reached", () => Promise.reject(new Error("connection lost"))],
  ])(
    "are missing when the endpoint %s: 503, nothing was done, and it is asked again later",
    async (_what, answer) => {
      const working = served;
      served = answer;
      const response = await ask(await assertion(), { method: "POST", path: "/v1/runs/claim" });
      expect(response.headers.get("Retry-After")).toBe("2");
      expect((await told(response)).slice(0, 2)).toEqual([503, "KEYS_UNAVAILABLE"]);
      expect((await ask(await assertion())).status).toBe(503);
      expect(asked).toHaveLength(1);
      served = working;
      vi.spyOn(Date, "now").mockReturnValue(Date.now() + 2_000);
      expect((await ask(await assertion())).status).toBe(200);
    },
  );
});

describe("the OpenAPI document", () => {
  it("has Access beside tokens for every operation", async () => {
    const response = await send(new Request(`${URL_OF_SERVICE}/openapi.json`));
    const { paths, components } = await response.json<{
      paths: Record<string, Record<string, { security: Record<string, string[]>[] }>>;
      components: { securitySchemes: Record<string, unknown> };
    }>();
    expect(components.securitySchemes["access"]).toMatchObject({
      type: "apiKey",
      in: "header",
      name: "Cf-Access-Jwt-Assertion",
    });
    for (const { security } of Object.values(paths).flatMap((methods) => Object.values(methods))) {
      const bearers = security.filter((each) => "bearer" in each);
      const both = bearers.flatMap((each) => [each, { access: each["bearer"] }]);
      expect(security).toEqual(both);
    }
  });
});
