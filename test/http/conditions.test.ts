import { beforeEach, describe, expect, it } from "vitest";
import { emptyDatabase, everything } from "../support/database.ts";
import { operations, theDocument } from "./document.ts";
import { call } from "./support.ts";

const RUN = { id: "run", workflowId: "w", workflowName: "W", workflowType: "t", input: null };
const STAGE = { stageId: "s", stageName: "S", stageNumber: 1, executionGroup: 1 };
const byPair = "/v1/runs/run/stages/s";
let byId = "";

beforeEach(async () => {
  await emptyDatabase();
  await call("POST", "/v1/runs", RUN);
  const made = await call("POST", "/v1/runs/run/stages", STAGE);
  byId = `/v1/stages/${encodeURIComponent((await made.json<{ id: string }>()).id)}`;
});

const codeOf = async (answer: Response) => ((await answer.json()) as { code: string }).code;
const statusOf = async (path: string) =>
  ((await (await call("GET", path)).json()) as { status: string }).status;

/** What changes a run or a stage, and how to see that it did not. */
const changes = [
  ["PATCH", () => "/v1/runs/run", { status: "RUNNING" }, () => "/v1/runs/run"],
  ["PATCH", () => byPair, { status: "RUNNING" }, () => byPair],
  ["PATCH", () => byId, { status: "RUNNING" }, () => byPair],
  [
    "PUT",
    () => byPair,
    { create: { ...STAGE, stageId: undefined }, update: { status: "RUNNING" } },
    () => byPair,
  ],
  ["DELETE", () => byId, undefined, () => byPair],
] as const;

describe.each(changes)("a %s", (method, path, body, seen) => {
  it.each([
    ["If-Match", '"v2"'],
    ["If-Match", 'W/"v1"'],
    ["If-Match", '"v2", W/"v1" , "v3"'],
    ["If-Match", '"another\'s"'],
    ["If-None-Match", "*"],
    ["If-None-Match", '"v1"'],
    ["If-None-Match", 'W/"v1"'],
    ["If-None-Match", '"v2","v1"'],
  ])("whose %s: %s does not hold changes nothing", async (header, value) => {
    const answer = await call(method, path(), body, { [header]: value });
    expect([answer.status, await codeOf(answer)]).toEqual([412, "STALE_VERSION"]);
    expect(await statusOf(seen())).toBe("PENDING");
  });

  it.each([
    ["If-Match", "*"],
    ["If-Match", '"v1"'],
    ["If-Match", '"v0", ,"v1"'],
    ["If-Match", '"a,b", "v1"'],
    ["If-None-Match", '"v2"'],
  ])("whose %s: %s holds has its effect", async (header, value) => {
    const answer = await call(method, path(), body, { [header]: value });
    expect(answer.status).toBeLessThan(300);
    const after = await call("GET", seen());
    if (method === "DELETE") expect(after.status).toBe(404);
    else expect(await after.json()).toMatchObject({ status: "RUNNING" });
  });

  it.each(["v1", '"v1', '"v1" "v2"', "", "*, *"])(
    "refuses what is no condition: %j",
    async (value) => {
      const answer = await call(method, path(), body, { "If-Match": value });
      expect([answer.status, await answer.json()]).toMatchObject([
        422,
        { details: { field: "If-Match" } },
      ]);
      expect(await statusOf(seen())).toBe("PENDING");
    },
  );
});

describe("what is not there", () => {
  it("is not found, whatever the conditions of an update or a deletion say", async () => {
    await call("DELETE", byId);
    for (const headers of [{ "If-Match": "*" }, { "If-None-Match": "*" }]) {
      expect((await call("DELETE", byId, undefined, headers)).status).toBe(404);
      expect((await call("PATCH", byPair, { status: "RUNNING" }, headers)).status).toBe(404);
    }
  });

  it("is created with If-None-Match: *, once, and not with If-Match", async () => {
    const body = { create: { ...STAGE, stageId: undefined }, update: { status: "RUNNING" } };
    const put = (headers: Record<string, string>) =>
      call("PUT", "/v1/runs/run/stages/new", body, headers);
    expect((await put({ "If-Match": "*" })).status).toBe(412);
    const racers = await Promise.all([1, 2, 3].map(() => put({ "If-None-Match": "*" })));
    expect(racers.map(({ status }) => status).toSorted()).toEqual([200, 412, 412]);
  });
});

describe("a read", () => {
  it.each(["/v1/runs/run", byPair])("of %s answers 304 to a caller that has it", async (path) => {
    for (const value of ['"v1"', 'W/"v1"', '"v0", "v1"', "*"]) {
      const answer = await call("GET", path, undefined, { "If-None-Match": value });
      expect([answer.status, await answer.text()]).toEqual([304, ""]);
      expect(answer.headers.get("ETag")).toBe('"v1"');
      expect(answer.headers.get("Cache-Control")).toBe("no-store");
    }
    expect((await call("GET", path, undefined, { "If-None-Match": '"v2"' })).status).toBe(200);
    expect((await call("GET", path, undefined, { "If-Match": '"v2"' })).status).toBe(412);
    expect((await call("GET", path, undefined, { "If-Match": '"v1"' })).status).toBe(200);
  });

  it("of a list, which has no ETag, is sent whole", async () => {
    const plain = await call("GET", "/v1/runs/run/stages");
    const answer = await call("GET", "/v1/runs/run/stages", undefined, { "If-None-Match": '"v1"' });
    expect([answer.status, answer.headers.get("ETag")]).toEqual([200, null]);
    expect(await answer.json()).toEqual(await plain.json());
  });
});

describe("a condition of what has no ETag", async () => {
  const all = operations(await theDocument());
  const without = all.filter(({ headers }) => !headers.includes("If-Match"));

  it("is of all operations but these", () => {
    const others = all.filter((operation) => !without.includes(operation)).map(({ id }) => id);
    expect(others.toSorted()).toEqual([
      "claimPendingRun",
      "deleteStage",
      "getRun",
      "getStage",
      "getStageById",
      "updateRun",
      "updateStage",
      "updateStageByRunAndStageId",
      "upsertStage",
    ]);
  });

  it.each(without)("is refused by $id, and nothing is done", async ({ method, path, body }) => {
    const before = await everything();
    const place = path.replaceAll(/\{\w+\}/g, "run");
    const reads = method === "GET";
    for (const header of reads ? ["If-Match"] : ["If-Match", "If-None-Match"]) {
      for (const value of ["*", "v1"]) {
        const answer = await call(method, place, body?.example, { [header]: value });
        expect([answer.status, await answer.json()]).toMatchObject([
          422,
          { details: { field: header } },
        ]);
      }
    }
    expect(await everything()).toBe(before);
  });
});

describe("what is answered", () => {
  it.each([
    ["GET", "/v1/runs/run", 200],
    ["GET", "/v1/runs/nobody", 404],
    ["GET", "/v1/nothing", 404],
    ["PUT", "/v1/runs", 405],
    ["POST", "/v1/runs", 422],
    ["GET", "/v1/runs/run/events", 200],
  ])("to %s %s with %i is not to be stored", async (method, path, status) => {
    const answer = await call(method, path, method === "POST" ? {} : undefined);
    expect([answer.status, answer.headers.get("Cache-Control")]).toEqual([status, "no-store"]);
    await answer.body?.cancel();
  });

  it("to a caller without a token is not to be stored either", async () => {
    const answer = await call("GET", "/v1/runs/run", undefined, { Authorization: "" });
    expect([answer.status, answer.headers.get("Cache-Control")]).toEqual([401, "no-store"]);
  });
});

describe("an Idempotency-Key", () => {
  it.each([
    ["/v1/runs/a%2fb/stages", "/v1/runs/a%2Fb/stages"],
    ["/v1/runs/a%2Fb/stages", "/v1/runs/%61%2fb/stages"],
    ["/v1/runs/x%3ay/stages", "/v1/runs/x:y/stages"],
  ])("counts for %s and %s alike", async (one, other) => {
    await call("POST", "/v1/runs", { ...RUN, id: "a/b" });
    await call("POST", "/v1/runs", { ...RUN, id: "x:y" });
    const headers = { "Idempotency-Key": "key" };
    const first = await call("POST", one, STAGE, headers);
    const second = await call("POST", other, STAGE, headers);
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.headers.get("Idempotent-Replayed")).toBe("true");
    expect(await second.text()).toBe(await first.text());
  });
});
