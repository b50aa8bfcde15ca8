/** The pipeline on the contract in memory: what happens when workers die, come back too late, or fail. */
import { createMemoryBackend, type MemoryBackend } from "workflow-engine-cloudflare/testing";
import type { Backend, JobHandler, WorkflowPersistence } from "workflow-engine-cloudflare/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { failRunOf, workJob } from "../src/handler.ts";
import { corpusProgress, loadReport } from "../src/progress.ts";
import { readCorpus, submitCorpus, type SubmittedCorpus } from "../src/submit.ts";

const DOCUMENTS = [
  { path: "a.md", text: "# Queue\n\nA queue of jobs. [x](#nowhere)" },
  { path: "b.md", text: "# Outbox\n\nAn outbox of events for a queue." },
  { path: "c.md", text: "# Lease\n\n```\nlease\n```\n" },
];

const LEASE_MS = 60_000;
/** Within this, everything that waits has become due, and every lease has expired. */
const LONG_MS = 2 * LEASE_MS;

interface Stage {
  readonly memory: MemoryBackend;
  /** Moves the clock of the service and of the app on. */
  pass(ms: number): void;
}

function open(): Stage {
  const memory = createMemoryBackend({
    now: () => Date.now(),
    vars: { LEASE_MS, RETRY_JITTER: 0 },
  });
  return { memory, pass: (ms) => void vi.setSystemTime(Date.now() + ms) };
}

/** Works each job over a connection of its own, as the app does behind its binding. */
function handler(memory: MemoryBackend): JobHandler {
  return {
    handleJob: (job) => workJob(memory.connect(), job),
    jobFailed: (job) => failRunOf(memory.connect(), job),
  };
}

async function submit(backend: Backend, key = "key"): Promise<SubmittedCorpus> {
  return await submitCorpus(backend, readCorpus({ documents: DOCUMENTS }), key);
}

/** Lets consumers work side by side, and the sweep, until no run of the corpus will change any more. */
async function workToTheEnd(stage: Stage, corpusId: string, consumers = 1): Promise<void> {
  const { memory } = stage;
  for (let round = 0; round < 100; round += 1) {
    if ((await corpusProgress(memory.persistence, corpusId))?.done === true) return;
    await Promise.all(Array.from({ length: consumers }, () => memory.consume(handler(memory), 3)));
    await memory.handOverFailures(handler(memory));
    expect(await memory.audit()).toEqual([]);
    stage.pass(LONG_MS);
    await memory.sweep();
  }
  throw new Error("the corpus does not come to an end");
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
  return { ...backend, persistence, jobs: backend.jobs, audit: () => backend.audit() };
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("the handler", () => {
  it.each([1, 4])("brings a corpus to its end with %d consumers", async (consumers) => {
    const stage = open();
    const { memory } = stage;
    const { corpusId } = await submit(memory);
    await workToTheEnd(stage, corpusId, consumers);
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
    const stage = open();
    const { memory } = stage;
    const { corpusId } = await submit(memory);
    const taken = await memory.connect().jobs.dequeue();
    expect(taken).toMatchObject({ attempt: 1 });
    await workToTheEnd(stage, corpusId);
    expect(await statuses(memory, corpusId)).toContain("corpus COMPLETED");
    const jobs = await memory.jobs.getJobsByWorkflowRun(taken?.workflowRunId ?? "");
    expect(jobs.find(({ id }) => id === taken?.jobId)).toMatchObject({ attempt: 2 });
  });

  it("drops the result of a worker that comes back too late, and keeps a note of it", async () => {
    const stage = open();
    const { memory } = stage;
    const { corpusId } = await submit(memory);
    const slow = memory.connect({ workerId: "slow" });
    const job = await slow.jobs.dequeue();
    if (job === null) throw new Error("there is no job");
    let transactions = 0;
    const late = withPersistence(slow, {
      async withTransaction(callback) {
        // The first one begins the stage; before the second one commits it, the others have done everything.
        transactions += 1;
        if (transactions === 2) await workToTheEnd(stage, corpusId);
        return await slow.persistence.withTransaction(callback);
      },
    });
    expect(await workJob(late, job)).toEqual({ status: "settled" });
    expect(transactions).toBe(2);
    expect(await completions(memory)).toHaveLength(3 * 4 + 2);
    const notes = await memory.persistence.listAnnotations(job.workflowRunId, {
      key: "job.late-result",
    });
    expect(notes).toMatchObject([{ attempt: 1, actorId: "slow" }]);
  });

  it("ends a run whose job keeps killing its workers, and reports on the others", async () => {
    const stage = open();
    const { memory } = stage;
    const { corpusId, documents } = await submit(memory);
    for (let delivery = 1; delivery <= 3; delivery++) {
      const taken = await memory.connect().jobs.dequeue();
      expect(taken).toMatchObject({ workflowRunId: documents[0]?.runId, attempt: delivery });
      stage.pass(LONG_MS);
      expect(await memory.sweep()).toMatchObject({ releasedLeases: 1 });
    }
    await workToTheEnd(stage, corpusId);
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
    const { memory } = open();
    const { corpusId } = await submit(memory);
    await memory.consume(handler(memory), 3);
    const broken: JobHandler = {
      handleJob: (job) =>
        workJob(
          withPersistence(memory.connect(), {
            getStage: () => Promise.reject(new Error("out of luck")),
          }),
          job,
        ),
    };
    expect(await memory.consume(broken, 1)).toMatchObject({ failed: 1 });
    expect(await memory.jobs.getJobsByWorkflowRun(corpusId)).toMatchObject([
      { stageId: "index", status: "PENDING", lastError: expect.stringContaining("out of luck") },
    ]);
    expect(await memory.persistence.getRunStatus(corpusId)).toBe("RUNNING");
  });
});

describe("submitCorpus()", () => {
  it("takes in a corpus once per key, however often and by however many it is sent", async () => {
    const { memory } = open();
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
