/** Every kind of change and query, with every scope, through every way in. */
import { exports as loopback } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import type { Members, ObjectShape, Shape } from "../../src/model/shape.ts";
import {
  CHANGE_KINDS,
  type ChangeKind,
  type Scope,
  scopesFor,
  SCOPES,
  withImplied,
} from "../../src/changes/index.ts";
import { newCommitId, signalId, stageRecordId } from "../../src/model/index.ts";
import { QUERY_KINDS, type QueryName } from "../../src/queries/index.ts";
import type { WorkflowEngineBinding } from "../../src/client/index.ts";
import { secretOf, send, URL_OF_SERVICE } from "../http/support.ts";
import { emptyDatabase } from "../support/database.ts";

beforeEach(() => emptyDatabase());

/** Told once more, so that neither a new kind nor a change of the table goes unnoticed. */
const CHANGES: Readonly<Record<Scope | "write or work", readonly ChangeKind[]>> = {
  read: [],
  write: [
    "createRun",
    "updateRun",
    "createStage",
    "updateStage",
    "upsertStage",
    "deleteStage",
    "saveArtifact",
    "deleteArtifact",
    "appendOutboxEvent",
    "publishOutboxEvent",
    "countOutboxRetry",
    "deadLetterOutboxEvent",
    "replayOutboxEvent",
    "acquireIdempotencyKey",
    "completeIdempotencyKey",
    "releaseIdempotencyKey",
    "enqueueJob",
    "cancelJobs",
    "cancelStages",
    "archiveStages",
    "sendSignal",
    "dueJobs",
  ],
  work: [
    "claimJobs",
    "completeJob",
    "suspendJob",
    "failJob",
    "returnJob",
    "unclaimJob",
    "touchJob",
    "takeSignal",
    "moveJob",
    "leaveGroup",
  ],
  "write or work": ["createLog", "appendAnnotation", "recordAiCall", "chargeRun"],
  admin: [
    "resumeJobs",
    "releaseJob",
    "putBackFailure",
    "putBackEvent",
    "attendStage",
    "purgeExpired",
  ],
};

/** Scopes that a caller may have, and with them every kind that it may write. */
const CALLERS: readonly (readonly [readonly Scope[], readonly (keyof typeof CHANGES)[]])[] = [
  [["read"], []],
  [["write"], ["write", "write or work"]],
  [["work"], ["work", "write or work"]],
  [
    ["read", "work"],
    ["work", "write or work"],
  ],
  [
    ["write", "work"],
    ["write", "work", "write or work"],
  ],
  [["admin"], ["write", "work", "write or work", "admin"]],
];

type Json = Readonly<Record<string, unknown>>;

/** Values; each field takes one of them. */
const CANDIDATES = [
  undefined,
  null,
  false,
  1,
  "1",
  [],
  "PENDING",
  "INFO",
  "ARTIFACT",
  "logs",
  "none",
] as const;

/** A small value of a shape. */
function sample(shape: Shape<unknown>, name = ""): unknown {
  if ("members" in shape) {
    const members = Object.entries((shape as ObjectShape<Members>).members);
    return Object.fromEntries(
      members
        .filter(([each]) => each !== "kind" && each !== "q")
        .map(([each, member]) => [each, sample(member, each)]),
    );
  }
  const backoff = { baseMs: 1, capMs: 1, jitterPermille: 1 };
  const candidates: unknown[] = [...CANDIDATES, name, backoff, { state: "pending" }];
  const found = candidates.filter((candidate) => shape.check(candidate) === null);
  if (found.length === 0) throw new Error(`no sample of ${name}`);
  return found[0];
}

const RECORD = stageRecordId("1", "1", "1");
const SAMPLES: readonly Json[] = Object.entries(CHANGE_KINDS).map(([kind, { shape }]) => {
  const made = { ...(sample(shape) as Json), kind } as Json;
  if (made["kind"] === "deleteStage") return { ...made, id: RECORD };
  if (made["kind"] === "sendSignal") {
    return { ...made, row: { ...(made["row"] as Json), name: "1", id: signalId("1", "1") } };
  }
  if (made["kind"] !== "createStage" && made["kind"] !== "upsertStage") return made;
  return { ...made, row: { ...(made["row"] as Json), id: RECORD } };
});
const QUERIES = Object.entries(QUERY_KINDS).map(
  ([q, { shape }]) => ({ ...(sample(shape) as Json), q }) as { readonly q: QueryName },
);

const commitOf = (members: Json) => ({
  id: newCommitId(Date.now()),
  guards: [],
  changes: [],
  reads: [],
  ...members,
});

describe("the table", () => {
  it("has every kind of change", () => {
    const known = Object.values(CHANGES).flat();
    expect(SAMPLES.map(({ kind }) => kind).toSorted()).toEqual(known.toSorted());
    for (const [scopes, kinds] of Object.entries(CHANGES)) {
      for (const kind of kinds) expect(scopesFor(kind).join(" or "), kind).toBe(scopes);
    }
  });

  it("lets every query be asked with the scope read", () => {
    expect(QUERIES.length).toBeGreaterThan(30);
    for (const { q } of QUERIES) expect(scopesFor(q), q).toEqual(["read"]);
  });

  it("gives every scope that another one includes", () => {
    const implied = SCOPES.map((scope) => [scope, [...withImplied([scope])].toSorted()]);
    expect(Object.fromEntries(implied)).toEqual({
      read: ["read"],
      write: ["read", "write"],
      work: ["work"],
      admin: SCOPES.toSorted(),
    });
  });
});

describe.each(CALLERS)("a token with %j", (scopes, may) => {
  const token = "secret-scoped";
  const allowed = may.flatMap((each) => CHANGES[each]);

  async function isForbidden(path: string, body: Json): Promise<boolean> {
    const API_TOKENS = await secretOf({ token, scopes });
    const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
    const init = { method: "POST", headers, body: JSON.stringify(body) };
    const response = await send(new Request(URL_OF_SERVICE + path, init), { API_TOKENS });
    const { code } = await response.json<{ code?: string }>();
    expect(code, `${path} ${JSON.stringify(body)}`).not.toBe("INVALID_ARGUMENT");
    return code === "FORBIDDEN";
  }

  it.each(["/v1/commits", "/v1/settlements"])("may write through %s what it may", async (path) => {
    for (const each of SAMPLES) {
      const kind = each["kind"] as ChangeKind;
      const forbidden = await isForbidden(path, commitOf({ changes: [each] }));
      expect(forbidden, kind).toBe(!allowed.includes(kind));
      // Behind one that it may write, too.
      const behind = SAMPLES.find((other) => allowed.includes(other["kind"] as ChangeKind));
      if (behind === undefined) continue;
      const hidden = await isForbidden(path, commitOf({ changes: [behind, each] }));
      expect(hidden, `${kind}, hidden`).toBe(!allowed.includes(kind));
    }
  });

  it("may ask every query everywhere if it may read, and none otherwise", async () => {
    const mayRead = withImplied(scopes).has("read");
    const mayCommit = allowed.length > 0;
    for (const each of QUERIES) {
      expect(await isForbidden("/v1/queries", { queries: [each] }), each.q).toBe(!mayRead);
      for (const path of ["/v1/commits", "/v1/settlements"]) {
        const commit = commitOf({ reads: [each] });
        expect(await isForbidden(path, commit), each.q).toBe(!mayRead || !mayCommit);
      }
    }
    // A guard tells what is stored.
    const guarded = commitOf({ guards: [{ on: "run", id: "1", expect: { is: "present" } }] });
    expect(await isForbidden("/v1/commits", guarded)).toBe(!mayRead || !mayCommit);
  });
});

describe.each([
  ["WorkflowReader", ["read"], []],
  ["WorkflowWorker", ["read", "work"], ["work", "write or work"]],
  ["WorkflowEngine", ["admin"], ["write", "work", "write or work", "admin"]],
] as const)("the entrypoint %s", (name, scopes, may) => {
  const allowed: readonly string[] = may.flatMap((each) => CHANGES[each]);
  const binding = (loopback as unknown as Record<string, WorkflowEngineBinding>)[name];

  it(`may do what a token with ${scopes.join(", ")} may`, async () => {
    if (binding === undefined) throw new Error(`there is no ${name}`);
    const session = await binding.open();
    const codeOf = (envelope: { ok: boolean; error?: { code: string } }) => envelope.error?.code;
    for (const each of SAMPLES) {
      const commit = commitOf({ changes: [each] }) as never;
      for (const answered of [await session.attempt(commit), await session.settle(commit)]) {
        const code = codeOf(answered);
        expect(code, String(each["kind"])).not.toBe("INVALID_ARGUMENT");
        expect(code === "FORBIDDEN", String(each["kind"])).toBe(
          !allowed.includes(String(each["kind"])),
        );
      }
    }
    for (const each of QUERIES) {
      expect(codeOf(await session.read([each] as never)), each.q).toBeUndefined();
    }
  });
});
