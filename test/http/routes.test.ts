/** The resources, as HTTP users expect them. */
import { beforeEach, describe, expect, it } from "vitest";
import { embed } from "../../src/embed.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { ADMIN, call, send, URL_OF_SERVICE } from "./support.ts";

const RUN = { id: "run", workflowId: "w", workflowName: "W", workflowType: "w", input: { a: 1 } };
const STAGE = { stageId: "s", stageName: "S", stageNumber: 1, executionGroup: 1 };

beforeEach(async () => {
  await emptyDatabase();
});

describe("a run over HTTP", () => {
  it("is created with a place and a version, and read back", async () => {
    const created = await call("POST", "/v1/runs", RUN);
    expect(created.status).toBe(201);
    expect(created.headers.get("Location")).toBe("/v1/runs/run");
    expect(created.headers.get("ETag")).toBe('"v1"');
    const found = await call("GET", "/v1/runs/run");
    expect(await found.json()).toEqual(await created.json());
    expect((await call("POST", "/v1/runs", RUN)).status).toBe(409);
  });

  it("is updated only at the version that If-Match names", async () => {
    await call("POST", "/v1/runs", RUN);
    const patch = (version: number) =>
      call(
        "PATCH",
        "/v1/runs/run",
        { output: null, totalCost: 2 },
        { "If-Match": `"v${version}"` },
      );
    expect((await patch(1)).status).toBe(204);
    const stale = await patch(1);
    expect(stale.status).toBe(412);
    expect(await stale.json()).toMatchObject({
      code: "STALE_VERSION",
      details: { entity: "WorkflowRun", id: "run", expected: 1, actual: 2 },
    });
    const mark = await call("PATCH", "/v1/runs/run", {}, { "If-Match": "W/nonsense" });
    expect(mark.status).toBe(422);
  });

  it("is claimed by one of many", async () => {
    await call("POST", "/v1/runs", RUN);
    const claims = await Promise.all(
      Array.from({ length: 5 }, () => call("POST", "/v1/runs/run/claim")),
    );
    const answers = await Promise.all(claims.map((claim) => claim.json<{ claimed: boolean }>()));
    expect(answers.filter(({ claimed }) => claimed)).toHaveLength(1);
    expect(await (await call("POST", "/v1/runs/claim")).json()).toEqual({ run: null });
  });
});

describe("a stage over HTTP", () => {
  it("is created, upserted, updated, listed and deleted", async () => {
    await call("POST", "/v1/runs", RUN);
    expect((await call("POST", "/v1/runs/run/stages", STAGE)).status).toBe(201);
    const { stageId: _, ...create } = STAGE;
    const upserted = await call("PUT", "/v1/runs/run/stages/s", {
      create,
      update: { status: "RUNNING" },
    });
    const stage = await upserted.json<{ id: string }>();
    expect(stage).toMatchObject({ status: "RUNNING", version: 2 });
    const byId = `/v1/stages/${encodeURIComponent(stage.id)}`;
    const update = { status: "SUSPENDED", nextPollAt: "2026-01-01T00:00:00.000Z" };
    expect((await call("PATCH", byId, update, { "If-Match": '"v2"' })).status).toBe(204);
    const due = await call("GET", "/v1/stages/suspended?before=2026-01-01T00:00:00Z");
    expect(await due.json()).toMatchObject({
      items: [{ stageId: "s", nextPollAt: update.nextPollAt }],
    });
    const none = await call("GET", "/v1/runs/run/stages?select=first-failed");
    expect(await none.json()).toEqual({ items: [], nextCursor: null });
    expect((await call("DELETE", byId)).status).toBe(204);
    expect((await call("GET", byId)).status).toBe(404);
  });
});

describe("a job over HTTP", () => {
  it("is leased, and settled by the attempt that it was given", async () => {
    const enqueued = await call("POST", "/v1/jobs", {
      jobs: [{ workflowRunId: "run", workflowId: "w", stageId: "s" }],
    });
    expect(enqueued.status).toBe(201);
    const first = await (
      await call("POST", "/v1/jobs/dequeue", {})
    ).json<{ jobs: { jobId: string }[] }>();
    const jobId = first.jobs[0]?.jobId ?? "";
    await embed(env).jobs.releaseStaleJobs(-1);
    await call("POST", "/v1/jobs/dequeue", { count: 5 });
    const path = `/v1/jobs/${encodeURIComponent(jobId)}`;
    const late = await call("POST", `${path}/complete`, { attempt: 1 });
    expect(late.status).toBe(409);
    expect(await late.json()).toMatchObject({ code: "LEASE_LOST", details: { actual: 2 } });
    const settled = await call("POST", "/v1/jobs/complete", { jobs: [{ jobId, attempt: 2 }] });
    expect(await settled.json()).toEqual({ jobs: [{ jobId, outcome: "settled" }] });
  });

  it("is completed beside others that there are not", async () => {
    const jobs = [{ workflowRunId: "run", workflowId: "w", stageId: "s" }];
    const {
      jobIds: [jobId = ""],
    } = await (await call("POST", "/v1/jobs", { jobs })).json<{ jobIds: string[] }>();
    await call("POST", "/v1/jobs/dequeue", {});
    const wanted = ["nobody", "run/nobody", jobId].map((id) => ({ jobId: id, attempt: 1 }));
    const answer = await call("POST", "/v1/jobs/complete", { jobs: wanted });
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({
      jobs: [
        { jobId: "nobody", outcome: "not-found" },
        { jobId: "run/nobody", outcome: "not-found" },
        { jobId, outcome: "settled" },
      ],
    });
  });
});

describe("Idempotency-Key", () => {
  const headers = { "Idempotency-Key": "order-1" };

  it("makes a POST have its effect once, and answers the same again", async () => {
    const { id: _, ...run } = RUN;
    const first = await call("POST", "/v1/runs", run, headers);
    const again = await call("POST", "/v1/runs", run, headers);
    expect(again.headers.get("Idempotent-Replayed")).toBe("true");
    expect(again.headers.get("Location")).toBe(first.headers.get("Location"));
    expect(again.headers.get("ETag")).toBe('"v1"');
    expect([again.status, await again.text()]).toEqual([first.status, await first.text()]);
    expect(await embed(env).persistence.getRunsByStatus("PENDING")).toHaveLength(1);
  });

  it("lets one of many at once through, and the others find its answer", async () => {
    const jobs = [{ workflowRunId: "run", workflowId: "w", stageId: "s" }];
    const post = async (): Promise<Response> => {
      for (let tries = 0; tries < 500; tries += 1) {
        const response = await call("POST", "/v1/jobs", { jobs }, headers);
        if (response.status !== 409) return response;
      }
      throw new Error("The key stays in use");
    };
    const answers = await Promise.all(Array.from({ length: 6 }, post));
    const bodies = await Promise.all(answers.map((answer) => answer.text()));
    expect(new Set(bodies).size).toBe(1);
    expect(await embed(env).jobs.getJobsByWorkflowRun("run")).toHaveLength(1);
  });

  it("keeps nothing of a request that was refused", async () => {
    const stage = await call("POST", "/v1/runs/run/stages", STAGE, headers);
    expect(stage.status).toBe(404);
    await call("POST", "/v1/runs", RUN);
    expect((await call("POST", "/v1/runs/run/stages", STAGE, headers)).status).toBe(201);
  });

  it("with another body is refused", async () => {
    await call("POST", "/v1/runs", RUN, headers);
    const other = await call("POST", "/v1/runs", { ...RUN, id: "other" }, headers);
    expect(other.status).toBe(422);
    expect(await embed(env).persistence.getRun("other")).toBeNull();
  });
});

describe("other records over HTTP", () => {
  it("are written and read", async () => {
    await call("POST", "/v1/runs", RUN);
    const artifact = { type: "ARTIFACT", data: { pages: 3 }, size: 11 };
    expect((await call("PUT", "/v1/runs/run/artifacts/a%2Fb", artifact)).status).toBe(204);
    expect(await (await call("GET", "/v1/runs/run/artifacts/a%2Fb")).json()).toEqual({
      data: { pages: 3 },
    });
    expect(await (await call("GET", "/v1/runs/run/artifacts/x/exists")).json()).toEqual({
      exists: false,
    });
    const annotations = [{ workflowRunId: "run", scope: "run", key: "k", value: "v" }];
    expect((await call("POST", "/v1/annotations", { annotations })).status).toBe(204);
    const listed = await call("GET", "/v1/runs/run/annotations?keyPrefix=k");
    expect(await listed.json()).toMatchObject({ items: [{ key: "k", value: "v" }] });
    const log = { workflowRunId: "run", level: "INFO", message: "hello" };
    expect((await call("POST", "/v1/logs", log)).status).toBe(204);
    const event = {
      workflowRunId: "run",
      eventType: "e",
      payload: 1,
      causationId: "c",
      occurredAt: "2026-01-01T00:00:00Z",
    };
    expect((await call("POST", "/v1/outbox-events", { events: [event, event] })).status).toBe(204);
    const waiting = await (
      await call("GET", "/v1/outbox-events/next?limit=1")
    ).json<{ events: { id: string }[] }>();
    expect(waiting.events).toMatchObject([{ id: "run/1", sequence: 1 }]);
    expect((await call("POST", "/v1/outbox-events/publish", { ids: ["run/1"] })).status).toBe(204);
    const count = await call("POST", "/v1/outbox-events/run%2F2/retry-count");
    expect(await count.json()).toEqual({ retryCount: 1 });
    expect((await call("POST", "/v1/outbox-events/run%2F2/dead-letter")).status).toBe(204);
    expect(await (await call("POST", "/v1/outbox-events/replay", { maxEvents: 5 })).json()).toEqual(
      { replayed: 1 },
    );
    const key = { key: "k", commandType: "c" };
    expect(await (await call("POST", "/v1/idempotency-keys/acquire", key)).json()).toEqual({
      status: "acquired",
    });
    expect(
      (await call("POST", "/v1/idempotency-keys/complete", { ...key, result: 7 })).status,
    ).toBe(204);
    expect(await (await call("POST", "/v1/idempotency-keys/acquire", key)).json()).toEqual({
      status: "replay",
      result: 7,
    });
    const aiCall = {
      topic: "t.1",
      callType: "text",
      modelKey: "m",
      modelId: "m-1",
      prompt: "?",
      response: "!",
      inputTokens: 1,
      outputTokens: 2,
      cost: 0.5,
    };
    expect((await call("PUT", "/v1/ai-batches/b", { results: [aiCall] })).status).toBe(204);
    expect((await call("POST", "/v1/ai-calls", aiCall)).status).toBe(204);
    expect(await (await call("GET", "/v1/ai-batches/b")).json()).toEqual({ recorded: true });
    expect(await (await call("GET", "/v1/ai-stats?topicPrefix=t")).json()).toMatchObject({
      totalCalls: 2,
    });
    expect(await (await call("GET", "/v1/audit")).json()).toEqual({ findings: [] });
  });
});

describe("a list over HTTP", () => {
  interface Page {
    readonly items: readonly Record<string, unknown>[];
    readonly nextCursor: string | null;
  }

  async function walk(
    path: string,
    between: () => Promise<unknown>,
  ): Promise<Record<string, unknown>[]> {
    const items: Record<string, unknown>[] = [];
    let cursor: string | null = null;
    // More pages than any list here has: a cursor that shows a row twice fails instead of going on.
    for (let pages = 0; pages < 50; pages += 1) {
      const next: string = cursor === null ? "" : `&cursor=${cursor}`;
      const page: Page = await (await call("GET", `${path}${next}`)).json<Page>();
      items.push(...page.items);
      cursor = page.nextCursor;
      await between();
      if (cursor === null) return items;
    }
    throw new Error(`${path} does not come to an end`);
  }

  it("shows each row once, in order, though rows arrive while it is walked", async () => {
    await call("POST", "/v1/runs", RUN);
    const { persistence, jobs } = embed(env);
    for (let n = 0; n < 7; n += 1) {
      await persistence.createLog({ workflowRunId: "run", level: "INFO", message: `${n}` });
    }
    const late = () =>
      persistence.createLog({ workflowRunId: "run", level: "WARN", message: "late" });
    const backwards = await walk("/v1/runs/run/logs?limit=2&order=desc", late);
    expect(backwards.map(({ message }) => message)).toEqual(["6", "5", "4", "3", "2", "1", "0"]);
    const forwards = await walk("/v1/runs/run/logs?limit=3", async () => {});
    expect(forwards.map(({ message }) => message)).toEqual([
      "0",
      "1",
      "2",
      "3",
      "4",
      "5",
      "6",
      "late",
      "late",
      "late",
      "late",
    ]);

    const event = { eventType: "e", payload: 0, causationId: "", occurredAt: new Date(0) };
    await persistence.appendOutboxEvents(
      Array.from({ length: 12 }, () => ({ ...event, workflowRunId: "run" })),
    );
    const events = await walk("/v1/runs/run/outbox-events?limit=5", async () => {});
    expect(events.map(({ sequence }) => sequence)).toEqual(
      Array.from({ length: 12 }, (_, n) => n + 1),
    );

    const ids = await jobs.enqueueParallel(
      Array.from({ length: 5 }, () => ({ workflowRunId: "run", workflowId: "w", stageId: "s" })),
    );
    const listed = await walk("/v1/runs/run/jobs?limit=2", async () => {});
    expect(listed.map(({ id }) => id)).toEqual(ids);
    const pending = await walk("/v1/runs?status=PENDING", async () => {});
    expect(pending).toMatchObject([{ id: "run" }]);
  });

  it.each([
    "x",
    "e30",
    "%22",
    "IjEi",
    "WyJsb2dzIiwiMSJd!!",
    ...['["logs"]', '["logs",1]', '["logs","1",""]', '["jobs","1"]', "[1]"].map((json) =>
      btoa(json).replace(/=+$/, ""),
    ),
  ])("refuses the cursor %s, which it has not given", async (cursor) => {
    const answer = await call("GET", `/v1/runs/run/logs?cursor=${encodeURIComponent(cursor)}`);
    expect(answer.status).toBe(422);
    expect(await answer.json()).toMatchObject({ details: { field: "cursor" } });
  });
});

describe("a request that says too little, or too much", () => {
  const authorization = { Authorization: `Bearer ${ADMIN}` };

  it.each(["/v1/runs/claim", "/v1/jobs/dequeue", "/v1/jobs/release-stale"])(
    "does without a body where POST %s needs none",
    async (path) => {
      for (const headers of [authorization, { ...authorization, "Idempotency-Key": "k" }]) {
        const answer = await send(new Request(URL_OF_SERVICE + path, { method: "POST", headers }));
        expect(answer.status, await answer.clone().text()).toBe(200);
      }
    },
  );

  it.each([
    "/v1/runs",
    "/v1/commits",
    "/v1/queries",
    "/v1/logs",
    "/v1/ai-calls",
    "/v1/jobs",
    "/v1/jobs/complete",
    "/v1/outbox-events/replay",
    "/v1/idempotency-keys/acquire",
  ])("without the body that POST %s needs is told what is missing", async (path) => {
    for (const headers of [authorization, { ...authorization, "Idempotency-Key": "k" }]) {
      const answer = await send(new Request(URL_OF_SERVICE + path, { method: "POST", headers }));
      expect(answer.status).toBe(422);
      expect(await answer.json()).toMatchObject({
        details: { field: expect.any(String) as string },
      });
    }
  });

  it("with a parameter that there is not is refused: a mistyped filter would find everything", async () => {
    const answer = await call("GET", "/v1/runs?statu=PENDING");
    expect(answer.status).toBe(422);
    expect(await answer.json()).toMatchObject({
      detail: "statu: the query has no such member",
      details: { field: "statu" },
    });
  });

  it("with a member that there is not is refused", async () => {
    const answer = await call("POST", "/v1/jobs/dequeue", { count: 1, workerId: "me" });
    expect(await answer.json()).toMatchObject({
      detail: "workerId: the body has no such member",
      details: { field: "workerId" },
    });
  });
});

describe("a database without tables", () => {
  it("is told of with what to do, and is no bug", async () => {
    const lacking = {
      prepare: (sql: string) => env.DB.prepare(sql.replaceAll('"runs"', '"runs_of_yesterday"')),
      batch: (statements: D1PreparedStatement[]) => env.DB.batch(statements),
    } as unknown as D1Database;
    const request = new Request(`${URL_OF_SERVICE}/v1/runs/run`, {
      headers: { Authorization: `Bearer ${ADMIN}` },
    });
    const answer = await send(request, { DB: lacking });
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({
      code: "NOT_CONFIGURED",
      detail: expect.stringContaining("npx wrangler d1 migrations apply DB") as string,
    });
  });
});
