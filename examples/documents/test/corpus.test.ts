/** The app and its stages on a real service: what a caller sees, and what a failure does to the others. */
import { beforeEach, describe, expect, it } from "vitest";
import { Engine } from "../../../test/runner/support/engine.ts";
import { service } from "../../../test/support/env.ts";
import type { CorpusProgress, SubmittedCorpus } from "../src/api.ts";
import app from "../src/index.ts";
import { corpus, documents } from "../src/pipeline.ts";

const env = { WORKFLOWS: service };
const DOCUMENTS = [
  { path: "a.md", text: "# Queue\n\nA queue of jobs. [x](#nowhere)" },
  { path: "b.md", text: "# Outbox\n\nAn outbox of events for a queue." },
  { path: "c.md", text: "# Lease\n\n```\nlease\n```\n" },
];

async function asked(path: string, body?: unknown, key = crypto.randomUUID()): Promise<Response> {
  const init = { method: "POST", headers: { "Idempotency-Key": key }, body: JSON.stringify(body) };
  return app.fetch(new Request(`https://app${path}`, body === undefined ? {} : init), env);
}

async function submitted(key?: string, given = DOCUMENTS): Promise<SubmittedCorpus> {
  const response = await asked("/corpus", { documents: given }, key);
  expect(response.status).toBe(201);
  return response.json();
}

async function progress(corpusId: string): Promise<CorpusProgress> {
  return (await asked(`/corpus/${corpusId}`)).json();
}

async function statuses(corpusId: string): Promise<string[]> {
  return (await progress(corpusId)).runs.map(({ name, status }) => `${name} ${status}`);
}

/** What the service's queue and this app's stages do, with a clock that need not be waited for. */
let engine: Engine;

beforeEach(() => {
  engine = new Engine({ workflows: [documents, corpus], env });
  engine.now = Date.now();
});

/** Until no run of the corpus will change any more. */
async function workedOff(corpusId: string): Promise<void> {
  for (let polls = 0; polls < 20; polls += 1) {
    await engine.pass(1_000);
    if ((await progress(corpusId)).done) return;
  }
  throw new Error("The corpus does not come to an end");
}

describe("a corpus", () => {
  it("is brought to its end, each stage once, with a report", async () => {
    const { corpusId, documents: listed } = await submitted();
    expect(await progress(corpusId)).toMatchObject({ done: false });
    await workedOff(corpusId);
    expect(await statuses(corpusId)).toEqual([
      "a.md COMPLETED",
      "b.md COMPLETED",
      "c.md COMPLETED",
      "corpus COMPLETED",
    ]);
    const { runs } = await progress(corpusId);
    expect(runs[0]?.stages.map(({ id, note }) => `${id}: ${note}`)).toEqual([
      "parse: 1 section, 5 words",
      "check: 1 error, 0 warnings",
      "keywords: queue, jobs",
      "report: 182 characters",
    ]);
    for (const { runId } of [...listed, { runId: corpusId }]) {
      const completed = await engine.payloads(runId, "stage:completed");
      expect(new Set(completed.map(({ stageId }) => stageId)).size).toBe(completed.length);
    }
    const report = await (await asked(`/report/${corpusId}`)).text();
    expect(report).toContain("| b.md ");
    expect(await (await asked(`/runs/${listed[0]?.runId}`)).json()).toMatchObject({
      name: "a.md",
      status: "COMPLETED",
      jobs: [{ status: "COMPLETED" }, { status: "COMPLETED" }],
    });
    expect(await engine.connection.audit()).toEqual([]);
  });

  it("shows what each run waits for", async () => {
    const { corpusId, documents: listed } = await submitted();
    await engine.settle();
    const waits = (await progress(corpusId)).runs.map(({ stages }) => stages.at(-1));
    expect(waits.map((stage) => `${stage?.id} ${stage?.status}: ${stage?.note}`)).toEqual([
      ...listed.map(() => "keywords SUSPENDED: the index of the corpus"),
      "index SUSPENDED: documents to be parsed",
    ]);
  });

  it("has a report on the others when a document's run is cancelled", async () => {
    const { corpusId, documents: listed } = await submitted();
    await engine.runs.get(documents, listed[0]?.runId ?? "").cancel();
    await workedOff(corpusId);
    expect(await statuses(corpusId)).toEqual([
      "a.md CANCELLED",
      "b.md COMPLETED",
      "c.md COMPLETED",
      "corpus COMPLETED",
    ]);
    const report = await (await asked(`/report/${corpusId}`)).text();
    expect(report).toContain("Without a result: a.md.");
  });

  it("that is cancelled ends its documents, with the reason", async () => {
    const { corpusId } = await submitted();
    await engine.settle();
    await engine.runs.get(corpus, corpusId).cancel();
    await workedOff(corpusId);
    const { runs } = await progress(corpusId);
    expect(runs.map(({ status }) => status)).toEqual(["FAILED", "FAILED", "FAILED", "CANCELLED"]);
    expect(runs[0]?.stages.at(-1)?.note).toContain("The corpus has no index");
  });

  it("whose documents were not all submitted fails in the end", async () => {
    const run = await engine.runs.start(corpus, { documents: 1 });
    await engine.settle();
    await engine.pass(3_600_001);
    expect(await run.output()).toMatchObject({
      status: "FAILED",
      reason: expect.stringContaining("Its documents were not all submitted"),
    });
  });
});

describe("POST /corpus", () => {
  it("takes in a corpus once per key, however often and whenever it is sent", async () => {
    const [first, ...others] = await Promise.all(
      Array.from({ length: 5 }, async () => submitted("key")),
    );
    for (const other of others) expect(other).toEqual(first);
    expect(await submitted("another key")).not.toEqual(first);
    await workedOff(first?.corpusId ?? "");
    expect(await submitted("key")).toEqual(first);
  });

  it("refuses another corpus with the same key", async () => {
    await submitted("taken");
    const other = await asked("/corpus", { documents: DOCUMENTS.slice(1) }, "taken");
    expect(other.status).toBe(409);
  });

  it.each([
    [null, 400, "body: "],
    [{ documents: [] }, 400, "documents: there are no documents"],
    [{ documents: [{ path: "", text: "" }] }, 400, "documents.0.path: "],
    [{ documents: [{ path: "a.md", text: "é".repeat(800_000) }] }, 413, "a.md has 1.6 MB; a docu"],
    [
      { documents: Array.from({ length: 12 }, () => ({ path: "a", text: "x".repeat(1_400_000) })) },
      413,
      "the documents have 16.8 MB together; 16.0 MB is the most",
    ],
  ])("refuses what it cannot take in, with a sentence (%#)", async (body, status, message) => {
    const response = await asked("/corpus", body);
    expect(response.status).toBe(status);
    expect(await response.json()).toEqual({ error: expect.stringContaining(message) });
  });
});
