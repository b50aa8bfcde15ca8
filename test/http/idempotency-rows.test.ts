import { describe, expect, it } from "vitest";
import { newCommitId } from "../../src/model/index.ts";
import { emptyDatabase, everything } from "../support/database.ts";
import { ADMIN, NAME_OF_ADMIN, send, URL_OF_SERVICE } from "./support.ts";

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
