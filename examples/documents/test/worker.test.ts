/** The pipeline on the contract in memory: what happens when workers race, die, come back or fail. */
import { createMemoryBackend, type MemoryBackend } from "workflow-engine-cloudflare/testing";
import type { Backend, WorkflowPersistence } from "workflow-engine-cloudflare/client";
import { describe, expect, it } from "vitest";
import { corpusProgress, loadReport } from "../src/progress.ts";
import { readCorpus, submitCorpus, type SubmittedCorpus } from "../src/submit.ts";
import { work, type WorkResult } from "../src/worker.ts";

const DOCUMENTS = [
  { path: "a.md", text: "# Queue\n\nA queue of jobs. [x](#nowhere)" },
  { path: "b.md", text: "# Outbox\n\nAn outbox of events for a queue." },
  { path: "c.md", text: "# Lease\n\n```\nlease\n```\n" },
];

/** Every lease is over as soon as a millisecond has passed. */
const LIMITS = { leaseMs: 0, maxJobs: 1_000, budgetMs: 10_000 };
const PATIENT = { ...LIMITS, leaseMs: 60_000 };

async function submit(backend: Backend, key = "key"): Promise<SubmittedCorpus> {
  return await submitCorpus(backend, readCorpus({ documents: DOCUMENTS }), key);
}

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Works as several workers until no run of the corpus will change any more. */
async function workToTheEnd(memory: MemoryBackend, corpusId: string, workers = 1): Promise<void> {
  const isDone = async () => (await corpusProgress(memory.persistence, corpusId))?.done === true;
  await Promise.all(
    Array.from({ length: workers }, async () => {
      while (!(await isDone())) {
        await work(memory.connect(), PATIENT);
        await pause(20);
      }
    }),
  );
}

async function statuses(memory: MemoryBackend, corpusId: string): Promise<string[]> {
  const progress = await corpusProgress(memory.persistence, corpusId);
  return progress?.runs.map((run) => `${run.name} ${run.status}`) ?? [];
}

async function completions(memory: MemoryBackend): Promise<string[]> {
  const events = await memory.persistence.getUnpublishedOutboxEvents(1_000);
  return events
    .filter((event) => event.eventType === "stage.completed")
    .map((event) => `${event.workflowRunId} ${JSON.stringify(event.payload)}`);
}

/** The same backend, with some methods of its persistence replaced. */
function withPersistence(backend: Backend, replaced: Partial<WorkflowPersistence>): Backend {
  const persistence = new Proxy(backend.persistence, {
    get(target, name) {
      const method: unknown = Reflect.get(replaced, name) ?? Reflect.get(target, name);
      return typeof method === "function" ? method.bind(target) : method;
    },
  });
  return { ...backend, persistence };
}

describe("work()", () => {
  it.each([1, 4])("brings a corpus to its end with %d workers", async (workers) => {
    const memory = createMemoryBackend();
    const { corpusId } = await submit(memory);
    await workToTheEnd(memory, corpusId, workers);
    expect(await statuses(memory, corpusId)).toEqual([
      "a.md COMPLETED",
      "b.md COMPLETED",
      "c.md COMPLETED",
      "corpus COMPLETED",
    ]);
    const completed = await completions(memory);
    expect(completed).toHaveLength(3 * 4 + 2);
    expect(new Set(completed).size).toBe(completed.length);
    expect(await loadReport(memory.persistence, corpusId)).toContain("| b.md ");
  });

  it("does again what a worker had in its hands when it died", async () => {
    const memory = createMemoryBackend();
    const { corpusId } = await submit(memory);
    const taken = await memory.connect().jobs.dequeue();
    await pause(5);
    const { worked } = await work(memory.connect(), { ...LIMITS, maxJobs: 1 });
    expect(worked).toMatchObject([{ runId: taken?.workflowRunId, outcome: "completed" }]);
    await workToTheEnd(memory, corpusId);
    expect(await statuses(memory, corpusId)).toContain("corpus COMPLETED");
  });

  it("drops the result of a worker that comes back too late", async () => {
    const memory = createMemoryBackend();
    await submit(memory);
    const slow = memory.connect();
    let transactions = 0;
    let rival: WorkResult | undefined;
    const paused = withPersistence(slow, {
      async withTransaction(callback) {
        // The first one begins the stage; before the second one commits it, another worker does.
        if (++transactions === 2) {
          await pause(5);
          rival = await work(memory.connect(), { ...LIMITS, maxJobs: 1 });
        }
        return await slow.persistence.withTransaction(callback);
      },
    });
    const { worked } = await work(paused, { ...PATIENT, maxJobs: 1 });
    expect(rival?.worked).toMatchObject([{ stageId: "parse", outcome: "completed" }]);
    expect(worked).toMatchObject([{ runId: rival?.worked[0]?.runId, outcome: "dropped" }]);
    expect(await completions(memory)).toHaveLength(1);
  });

  it("ends a run whose job keeps killing its workers, and reports on the others", async () => {
    const memory = createMemoryBackend();
    const { corpusId, documents } = await submit(memory);
    for (let delivery = 1; delivery <= 3; delivery++) {
      const taken = await memory.connect().jobs.dequeue();
      expect(taken).toMatchObject({ workflowRunId: documents[0]?.runId, attempt: delivery });
      await pause(5);
      await memory.jobs.releaseStaleJobs(0);
    }
    await pause(5);
    await work(memory.connect(), { ...LIMITS, maxJobs: 1 });
    await workToTheEnd(memory, corpusId);
    expect(await statuses(memory, corpusId)).toEqual([
      "a.md FAILED",
      "b.md COMPLETED",
      "c.md COMPLETED",
      "corpus COMPLETED",
    ]);
    const report = await loadReport(memory.persistence, corpusId);
    expect(report).toContain("Without a result: a.md.");
  });

  it("gives a job back when its stage throws", async () => {
    const memory = createMemoryBackend();
    const { corpusId } = await submit(memory);
    await work(memory.connect(), { ...PATIENT, maxJobs: 3 });
    const broken = withPersistence(memory.connect(), {
      getStage: () => Promise.reject(new Error("out of luck")),
    });
    const { worked } = await work(broken, { ...PATIENT, maxJobs: 1 });
    expect(worked).toEqual([{ runId: corpusId, stageId: "index", outcome: "failed" }]);
    expect(await memory.jobs.getJobsByWorkflowRun(corpusId)).toMatchObject([
      { stageId: "index", status: "PENDING", lastError: "out of luck" },
    ]);
    expect(await memory.persistence.getRunStatus(corpusId)).toBe("RUNNING");
  });
});

describe("submitCorpus()", () => {
  it("takes in a corpus once per key, however often and by however many it is sent", async () => {
    const memory = createMemoryBackend();
    const sent = Array.from({ length: 5 }, () => submit(memory.connect()));
    const [first, ...others] = await Promise.all(sent);
    for (const other of others) expect(other).toEqual(first);
    expect(await submit(memory, "another key")).not.toEqual(first);
    expect(await memory.persistence.getRunsByStatus("RUNNING")).toHaveLength(8);
  });
});

describe("readCorpus()", () => {
  it.each([
    [null, "body: "],
    [{ documents: [] }, "documents: there are no documents"],
    [{ documents: [{ path: "", text: "" }] }, "documents.0.path: "],
    [{ documents: [{ path: "a.md", text: "é".repeat(800_000) }] }, "a.md has 1.6 MB; a document"],
    [
      { documents: Array.from({ length: 12 }, () => ({ path: "a", text: "x".repeat(1_400_000) })) },
      "the documents have 16.8 MB together; 16.0 MB is the most",
    ],
  ])("refuses what it cannot take in, with a sentence (%#)", (body, message) => {
    expect(() => readCorpus(body)).toThrow(message);
  });
});
