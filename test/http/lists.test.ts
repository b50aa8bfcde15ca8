import { beforeEach, describe, expect, it } from "vitest";
import { embed } from "../../src/embed.ts";
import { aRun, aStage } from "../../src/testing/conformance/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { call } from "./support.ts";

type Item = Record<string, unknown> & { id: string };
interface Page {
  items: Item[];
  nextCursor: string | null;
}

const DUE = new Date("2026-01-01T00:00:00Z");
const LATER = "2100-01-01T00:00:00Z";

async function list(path: string, parameters: Record<string, string> = {}): Promise<Page> {
  const answer = await call("GET", `${path}?${new URLSearchParams(parameters).toString()}`);
  expect(answer.status, await answer.clone().text()).toBe(200);
  return answer.json<Page>();
}

/** More pages than any list here has: a cursor that shows a row twice fails instead of going on. */
const PAGES_MAX = 20;

/** The pages of a list, one after the other. */
async function* pages(path: string, parameters: Record<string, string> = {}) {
  let cursor: string | null = null;
  for (let count = 0; count < PAGES_MAX; count += 1) {
    const page: Page = await list(path, { ...parameters, ...(cursor === null ? {} : { cursor }) });
    yield page;
    cursor = page.nextCursor;
    if (cursor === null) return;
  }
  throw new Error(`${path} has more than ${PAGES_MAX} pages`);
}

/** All items, a page of `limit` after the other. */
async function walk(path: string, parameters: Record<string, string> = {}): Promise<Item[]> {
  const items: Item[] = [];
  for await (const page of pages(path, parameters)) items.push(...page.items);
  return items;
}

/** Three rows of everything that is listed. */
async function threeOfEach(): Promise<void> {
  const { persistence, jobs } = embed(env);
  for (const n of [1, 2, 3]) {
    const run = { ...aRun(), id: `run-${n}`, input: { large: "x" }, metadata: { n } };
    await persistence.createRun(run);
    const stage = aStage("run-1", { stageId: `stage-${n}`, stageNumber: n });
    const { id } = await persistence.createStage({ ...stage, executionGroup: 1 });
    await persistence.updateStage(id, { status: "SUSPENDED", nextPollAt: DUE, outputData: { n } });
    await persistence.createLog({ workflowRunId: "run-1", level: "INFO", message: `log ${n}` });
    await persistence.createLog({ level: "INFO", message: `of no run ${n}` });
    const artifact = { workflowRunId: "run-1", key: `key-${n}`, type: "ARTIFACT" as const };
    await persistence.saveArtifact({ ...artifact, data: { n }, size: 1 });
    const annotation = { workflowRunId: "run-1", scope: "run", key: "n" };
    await persistence.appendAnnotations([{ ...annotation, value: n, payload: { n } }]);
    const event = { eventType: "e", payload: { n }, causationId: "c", occurredAt: DUE };
    await persistence.appendOutboxEvents([{ ...event, workflowRunId: "run-1" }]);
    await persistence.appendOutboxEvents([{ ...event, workflowRunId: "run-2" }]);
    await persistence.moveOutboxEventToDLQ(`run-2/${n}`);
    await jobs.enqueue({ workflowRunId: "run-1", workflowId: "w", stageId: `stage-${n}` });
    const job = await jobs.dequeue();
    await jobs.suspend(job?.jobId ?? "", DUE);
    await persistence.updateRun(`run-${n}`, { status: "RUNNING" });
  }
}

const LISTS: readonly (readonly [string, Record<string, string>])[] = [
  ["/v1/runs", {}],
  ["/v1/runs", { status: "RUNNING", order: "asc" }],
  ["/v1/stuck-runs", { since: LATER }],
  ["/v1/runs/run-1/stages", {}],
  ["/v1/runs/run-1/stages", { order: "desc", status: "SUSPENDED" }],
  ["/v1/runs/run-1/logs", {}],
  ["/v1/logs", { order: "desc" }],
  ["/v1/runs/run-1/artifacts", { order: "desc" }],
  ["/v1/runs/run-1/annotations", { keyPrefix: "n" }],
  ["/v1/runs/run-1/outbox-events", {}],
  ["/v1/runs/run-1/jobs", {}],
  ["/v1/stages/suspended", { before: LATER }],
  ["/v1/jobs/suspended", {}],
  ["/v1/outbox-events", {}],
  ["/v1/outbox-events", { state: "dead-letter" }],
];

interface Operation {
  readonly parameters?: readonly { readonly name: string }[];
}

beforeEach(async () => {
  await emptyDatabase();
});

describe("every list", () => {
  it("of the document is here, and takes a limit, a cursor and fields", async () => {
    const document = await (
      await call("GET", "/openapi.json")
    ).json<{
      paths: Record<string, { get?: Operation }>;
    }>();
    const listed = Object.entries(document.paths).filter(([, { get }]) =>
      JSON.stringify(get ?? {}).includes("Page"),
    );
    for (const [path, { get }] of listed) {
      const names = (get?.parameters ?? []).map(({ name }) => name);
      expect(names, path).toEqual(expect.arrayContaining(["limit", "cursor", "fields"]));
    }
    const here = LISTS.map(([path]) => path.replace("/run-1/", "/{runId}/"));
    expect([...new Set(here)].toSorted()).toEqual(listed.map(([path]) => path).toSorted());
  });

  it("answers each row once, in pages of any size, with the fields that are wanted", async () => {
    await threeOfEach();
    for (const [path, parameters] of LISTS) {
      const all = await list(path, parameters);
      // A stuck run has no job that anyone may yet take; run-1 waits for its polls.
      expect(all.items.length, path).toBe(3);
      expect(all.nextCursor, path).toBeNull();
      for (const limit of ["1", "2", "3"]) {
        expect(await walk(path, { ...parameters, limit }), path).toEqual(all.items);
      }
      const [first] = await walk(path, { ...parameters, fields: "workflowRunId,id" }).catch(() =>
        walk(path, { ...parameters, fields: "status" }),
      );
      const names = Object.keys(first ?? {});
      expect(names.length, path).toBe(2);
      expect(all.items[0]).toMatchObject(first ?? {});
    }
  });

  it("refuses a cursor that a list of another kind has given", async () => {
    await threeOfEach();
    const kindOf = ([path, { state }]: (typeof LISTS)[number]) =>
      path.endsWith("/logs") ? "logs" : `${path} ${state ?? ""}`;
    for (const [path, parameters] of LISTS) {
      const { nextCursor } = await list(path, { ...parameters, limit: "1" });
      for (const other of LISTS) {
        const query = new URLSearchParams({ ...other[1], cursor: nextCursor ?? "" });
        const answer = await call("GET", `${other[0]}?${query.toString()}`);
        const sameKind = kindOf(other) === kindOf([path, parameters]);
        expect(answer.status, `${path} ${other[0]}`).toBe(sameKind ? 200 : 422);
        if (!sameKind) expect(await answer.json()).toMatchObject({ details: { field: "cursor" } });
      }
    }
  });

  describe("takes a cursor as it was given:", () => {
    /** The cursor `["logs","a~~"]`. */
    const CURSOR = "WyJsb2dzIiwiYX5-Il0";
    const answerTo = async (cursor: string) =>
      call("GET", `/v1/runs/run/logs?cursor=${encodeURIComponent(cursor)}`);

    it(CURSOR, async () => {
      expect((await answerTo(CURSOR)).status).toBe(200);
    });

    it.each([`${CURSOR} `, ` ${CURSOR}`, `${CURSOR}=`, CURSOR.replace("-", "+"), `${CURSOR}\n`])(
      "not %j",
      async (cursor) => {
        const answer = await answerTo(cursor);
        expect(answer.status).toBe(422);
        expect(await answer.json()).toMatchObject({ details: { field: "cursor" } });
      },
    );
  });

  it("goes on after a row with the longest of keys, whatever is in it", async () => {
    const { persistence } = embed(env);
    await persistence.createRun({ ...aRun(), id: "run-1" });
    const keys = ["\u0001", "\u0002"].map((sign) => sign.repeat(2_048));
    for (const key of keys) {
      await persistence.saveArtifact({
        workflowRunId: "run-1",
        key,
        type: "ARTIFACT",
        data: 1,
        size: 1,
      });
    }
    const found = await walk("/v1/runs/run-1/artifacts", { limit: "1" });
    expect(found.map(({ key }) => key)).toEqual(keys);
  });

  it("refuses a field that there is not, and says which there are", async () => {
    for (const [path, parameters] of LISTS) {
      const query = new URLSearchParams({ ...parameters, fields: "id,constructor" });
      const answer = await call("GET", `${path}?${query.toString()}`);
      expect(answer.status).toBe(422);
      expect(await answer.json()).toMatchObject({
        detail: expect.stringContaining(`"constructor"; there are id, `) as string,
        details: { field: "fields" },
      });
    }
  });
});

describe("a page of large rows", () => {
  const large = "x".repeat(1_800_000);

  it("comes back short, and goes on from there; without its large fields it is whole", async () => {
    const { persistence } = embed(env);
    for (let n = 1; n <= 6; n += 1) {
      await persistence.createRun({ ...aRun(), id: `run-${n}`, input: large });
      const artifact = { workflowRunId: "run-1", type: "ARTIFACT" as const, size: 1 };
      await persistence.saveArtifact({ ...artifact, key: `key-${n}`, data: large });
      await persistence.appendAnnotations([
        { workflowRunId: "run-1", scope: "run", key: `key-${n}`, value: large },
      ]);
      const stage = aStage("run-1", { stageId: `stage-${n}`, stageNumber: n });
      await persistence.createStage({ ...stage, inputData: large });
    }
    const lists = [
      ["/v1/runs", {}],
      ["/v1/runs", { status: "PENDING", name: aRun().workflowName, order: "asc" }],
      ["/v1/runs/run-1/artifacts", { order: "desc" }],
      ["/v1/runs/run-1/annotations", {}],
      ["/v1/runs/run-1/stages", {}],
    ] as const;
    for (const [path, parameters] of lists) {
      const ids: unknown[] = [];
      for await (const found of pages(path, parameters)) {
        expect(found.items.length, path).toBeLessThanOrEqual(1);
        ids.push(...found.items.map(({ id }) => id));
      }
      expect(new Set(ids).size, path).toBe(6);
      const whole = await list(path, { ...parameters, fields: "id" });
      expect(whole, path).toEqual({ items: ids.map((id) => ({ id })), nextCursor: null });
    }
  });
});

describe("runs", () => {
  beforeEach(async () => {
    const { persistence } = embed(env);
    for (const [id, workflowId, workflowName] of [
      ["a", "digest", "Daily Digest"],
      ["b", "digest", "50% of it"],
      ["c", "invoice", "Invoice"],
    ] as const) {
      await persistence.createRun({ ...aRun(), id, workflowId, workflowName, workflowType: id });
    }
    await persistence.updateRun("b", { status: "FAILED" });
    const annotation = { scope: "run", key: "model" };
    await persistence.appendAnnotations([
      { ...annotation, workflowRunId: "a", value: "small" },
      { ...annotation, workflowRunId: "b", value: 5 },
      { ...annotation, workflowRunId: "c", value: "5" },
    ]);
  });

  it.each([
    [{}, "c b a"],
    [{ order: "asc" }, "a b c"],
    [{ status: "FAILED" }, "b"],
    [{ status: "COMPLETED" }, ""],
    [{ workflowId: "digest" }, "b a"],
    [{ workflowType: "c" }, "c"],
    [{ name: "DIGEST" }, "a"],
    [{ name: "%" }, "b"],
    [{ name: "_" }, ""],
    [{ annotationKey: "model", annotationValue: "small" }, "a"],
    [{ annotationKey: "model", annotationValue: '"small"' }, "a"],
    [{ annotationKey: "model", annotationValue: "5" }, "b"],
    [{ annotationKey: "model", annotationValue: '"5"' }, "c"],
    [{ annotationKey: "mode", annotationValue: "small" }, ""],
    [{ createdFrom: "2000-01-01T00:00:00Z", workflowId: "digest", name: "digest" }, "a"],
    [{ createdBefore: "2000-01-01T00:00:00Z" }, ""],
  ])("are found by %j", async (parameters, ids) => {
    const found = await walk("/v1/runs", { ...parameters, limit: "1" });
    expect(found.map(({ id }) => id).join(" ")).toBe(ids);
  });

  it.each([
    [{ annotationKey: "model" }, "annotationValue"],
    [{ annotationValue: "small" }, "annotationKey"],
    [{ annotationKey: "model", annotationValue: "x".repeat(255) }, "annotationValue"],
    [{ status: "LOST" }, "status"],
    [{ name: "" }, "name"],
    [{ createdFrom: "yesterday" }, "createdFrom"],
    [{ order: "newest" }, "order"],
    [{ limit: "1001" }, "limit"],
  ])("are not looked for by %j: %s is told", async (parameters, field) => {
    const answer = await call("GET", `/v1/runs?${new URLSearchParams(parameters).toString()}`);
    expect(answer.status).toBe(422);
    expect(await answer.json()).toMatchObject({ details: { field } });
  });

  it("are listed with their ids and the wanted fields, and nothing else", async () => {
    const { items } = await list("/v1/runs", { fields: "status,metadata" });
    expect(items).toEqual([
      { id: "c", status: "PENDING", metadata: null },
      { id: "b", status: "FAILED", metadata: null },
      { id: "a", status: "PENDING", metadata: null },
    ]);
  });
});
