import { describe, expect, it } from "vitest";
import { newCommitId } from "../../src/model/index.ts";
import { embed } from "../../src/embed.ts";
import { emptyDatabase, everything } from "../support/database.ts";
import { env } from "../support/env.ts";
import { ADMIN, NAME_OF_ADMIN, secretOf, send, URL_OF_SERVICE } from "./support.ts";

const RUN = { workflowId: "w", workflowName: "", workflowType: "", input: 0 };

describe("the row of an Idempotency-Key", () => {
  it("is nobody else's to acquire, complete, release, guard or read", async () => {
    await emptyDatabase();
    const row = { key: `${NAME_OF_ADMIN}/once`, commandType: "POST /v1/runs" };
    const id = newCommitId(Date.now());
    const commit = { id, guards: [], changes: [], reads: [] };
    const at = Date.now();
    const change = { kind: "completeIdempotencyKey", ...row, at, result: "{}" };
    const guard = { on: "idempotencyKey", ...row, expect: { is: "absent" } };
    const read = { q: "idempotencyKey", ...row };
    const before = await everything();
    for (const [path, body] of [
      ["/v1/idempotency-keys/acquire", row],
      ["/v1/idempotency-keys/complete", { ...row, result: {} }],
      ["/v1/idempotency-keys/release", row],
      ["/v1/commits", { ...commit, changes: [change] }],
      ["/v1/commits", { ...commit, guards: [guard] }],
      ["/v1/settlements", { ...commit, changes: [change] }],
      ["/v1/queries", { queries: [read] }],
    ] as const) {
      const request = new Request(URL_OF_SERVICE + path, {
        method: "POST",
        headers: { Authorization: `Bearer ${ADMIN}`, "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      const answer = await send(request);
      expect(answer.status, path).toBe(422);
      expect(await answer.json()).toMatchObject({
        details: { field: expect.stringMatching(/commandType$/) as string },
      });
    }
    expect(await everything()).toBe(before);
  });
});

describe("the kept answer of a commit", () => {
  const line = { createdAt: 1, workflowStageId: null, level: "INFO", message: "", metadata: null };
  const log = { kind: "createLog", row: { workflowRunId: "run", ordinal: "0", ...line } };
  const update = { kind: "updateRun", id: "run", set: { output: "1" }, at: 1, bump: 1 };

  it.each([
    ["a change", { changes: [update], guards: [], reads: [] }],
    ["a read", { changes: [log], guards: [], reads: [{ q: "run", id: "run" }] }],
    [
      "a guard",
      { changes: [log], guards: [{ on: "run", id: "run", expect: { is: "present" } }], reads: [] },
    ],
  ])(
    "is for no caller of the same name whose scopes do not allow %s of it",
    async (_what, members) => {
      await emptyDatabase();
      await embed(env).persistence.createRun({ id: "run", ...RUN });
      const API_TOKENS = await secretOf(
        { token: "writer", name: "same", scopes: ["write", "work"] },
        { token: "logger", name: "same", scopes: ["work"] },
      );
      const body = JSON.stringify({ id: newCommitId(Date.now()), ...members });
      const ask = async (token: string) => {
        const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
        const request = new Request(`${URL_OF_SERVICE}/v1/commits`, {
          method: "POST",
          headers,
          body,
        });
        request.headers.set("Idempotency-Key", "k");
        const answer = await send(request, { API_TOKENS });
        return [answer.status, answer.headers.get("Idempotent-Replayed")];
      };
      expect(await ask("writer")).toEqual([200, null]);
      expect(await ask("writer")).toEqual([200, "true"]);
      expect(await ask("logger")).toEqual([403, null]);
    },
  );
});
