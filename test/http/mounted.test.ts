/** The API in another Worker's app, under a path of its own. */
import { Hono } from "hono";
import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import { app } from "../../src/http/app.ts";
import type { HttpEnv } from "../../src/http/env.ts";
import { emptyDatabase, everything } from "../support/database.ts";
import { env } from "../support/env.ts";
import { ADMIN, API_TOKENS, NAME_OF_ADMIN, URL_OF_SERVICE } from "./support.ts";

const RUN = { workflowId: "w", workflowName: "", workflowType: "", input: 0 };
const STAGE = { stageId: "a/b", stageName: "", stageNumber: 1, executionGroup: 1 };
const JOB = { workflowRunId: "run", workflowId: "w", stageId: "s" };
const own = () => new Hono<{ Bindings: HttpEnv }>();

beforeEach(() => emptyDatabase());

/** `untold`: the part of the path of which the API is not told. */
describe.each([
  ["route", own().route("/engine", app), "/engine", ""],
  ["route with a parameter", own().route("/of/:tenant", app), "/of/caf%C3%A9", ""],
  ["mount", own().mount("/engine", app.fetch), "/engine", "/engine"],
])("the API that is there by %s", (_how, outer, base, untold) => {
  async function call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ) {
    const ctx = createExecutionContext();
    const request = new Request(URL_OF_SERVICE + path, {
      method,
      headers: {
        Authorization: `Bearer ${ADMIN}`,
        "Content-Type": "application/json",
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const response = await outer.fetch(request, { ...env, API_TOKENS }, ctx);
    await waitOnExecutionContext(ctx);
    return response;
  }

  it("answers a Location by which the row is reached", async () => {
    const created = await call("POST", `${base}/v1/runs`, { ...RUN, id: "a b" });
    const run = untold + created.headers.get("Location");
    expect(run).toBe(`${base}/v1/runs/a%20b`);
    expect(await (await call("GET", run)).json()).toMatchObject({ id: "a b" });
    const staged = await call("POST", `${run}/stages`, STAGE);
    const stage = await call("GET", untold + staged.headers.get("Location"));
    expect(await stage.json()).toMatchObject({ stageId: "a/b" });
  });

  it("acts once for an Idempotency-Key, whose row is nobody's to acquire", async () => {
    await call("POST", `${base}/v1/jobs`, { jobs: [JOB, JOB] });
    const once = { "Idempotency-Key": "once" };
    const created = await call("POST", `${base}/v1/runs`, RUN, once);
    expect(created.status).toBe(201);
    const leased = await call("POST", `${base}/v1/jobs/dequeue`, {}, once);
    const after = await everything();
    const again = await call("POST", `${base}/v1/jobs/dequeue`, {}, once);
    expect(again.headers.get("Idempotent-Replayed")).toBe("true");
    expect(await again.text()).toBe(await leased.text());
    const { results } = await env.DB.prepare(
      `SELECT "command_type" AS "type" FROM "idempotency_keys" ORDER BY 1`,
    ).all<{ type: string }>();
    expect(results).toEqual([{ type: "POST /v1/jobs/dequeue" }, { type: "POST /v1/runs" }]);
    for (const { type: commandType } of results) {
      const key = `${NAME_OF_ADMIN}/once`;
      const taken = await call("POST", `${base}/v1/idempotency-keys/acquire`, { key, commandType });
      expect(taken.status).toBe(422);
    }
    expect(await everything()).toBe(after);
  });
});
