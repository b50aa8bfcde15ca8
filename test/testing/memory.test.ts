/** A pipeline on the contract in memory: what happens when workers die, come back too late, or fail. */
import { createMemoryBackend, type MemoryBackend } from "../../src/testing/memory.ts";
import type { Backend, JobHandler, WorkflowPersistence } from "../../src/contract/index.ts";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { BROKEN, failRunOf, STAGES, startRun, workJob } from "../support/pipeline.ts";

const LEASE_MS = 60_000;
/** After this time every waiting job is due, and every lease has expired. */
const LONG_MS = 2 * LEASE_MS;

let memory: MemoryBackend;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  memory = createMemoryBackend({ now: () => Date.now(), vars: { LEASE_MS, RETRY_JITTER: 0 } });
});

afterEach(() => {
  vi.useRealTimers();
});

/** Moves the clock of the service and of the app on. */
function pass(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}

/** Works each job over a connection of its own, as an app does behind its binding. */
const handler: JobHandler = {
  handleJob: (job) => workJob(memory.connect(), job),
  jobFailed: (job) => failRunOf(memory.connect(), job),
};

/** Lets consumers work side by side, and the sweep, until no run is open any more. */
async function workToTheEnd(consumers = 1): Promise<void> {
  for (let round = 0; round < 100; round += 1) {
    if ((await memory.persistence.getRunsByStatus("RUNNING")).length === 0) return;
    await Promise.all(Array.from({ length: consumers }, () => memory.consume(handler, 3)));
    await memory.handOverFailures(handler);
    expect(await memory.audit()).toEqual([]);
    pass(LONG_MS);
    await memory.sweep();
  }
  throw new Error("The runs do not come to an end");
}

/** The stages whose end was announced, by run. */
async function completions(): Promise<string[]> {
  const events = await memory.persistence.getUnpublishedOutboxEvents(1_000);
  return events.map((event) => `${event.workflowRunId} ${JSON.stringify(event.payload)}`);
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

it.each([1, 4])("brings runs to their end with %d consumers", async (consumers) => {
  const ids = ["a", "b", "c"];
  for (const id of ids) await startRun(memory, id);
  await workToTheEnd(consumers);
  for (const id of ids) expect(await memory.persistence.getRunStatus(id)).toBe("COMPLETED");
  const completed = await completions();
  expect(completed).toHaveLength(ids.length * STAGES.length);
  expect(new Set(completed).size).toBe(completed.length);
});

it("gives again what a worker had in its hands when it died", async () => {
  await startRun(memory, "a");
  const taken = await memory.connect().jobs.dequeue();
  expect(taken).toMatchObject({ attempt: 1 });
  await workToTheEnd();
  expect(await memory.persistence.getRunStatus("a")).toBe("COMPLETED");
  const jobs = await memory.jobs.getJobsByWorkflowRun("a");
  expect(jobs.find(({ id }) => id === taken?.jobId)).toMatchObject({ attempt: 2 });
});

it("drops the result of a worker that comes back too late, and keeps a note of it", async () => {
  await startRun(memory, "a");
  const slow = memory.connect({ workerId: "slow" });
  const job = await slow.jobs.dequeue();
  if (job === null) throw new Error("There is no job");
  const late = withPersistence(slow, {
    async withTransaction(callback) {
      pass(LONG_MS);
      await memory.sweep();
      await workToTheEnd();
      return slow.persistence.withTransaction(callback);
    },
  });
  await expect(workJob(late, job)).rejects.toMatchObject({ code: "LEASE_LOST" });
  expect(await completions()).toHaveLength(STAGES.length);
  const notes = await memory.persistence.listAnnotations("a", { key: "job.late-result" });
  expect(notes).toMatchObject([{ attempt: 1, actorId: "slow" }]);
});

it("tells the handler of a job that keeps killing its workers, and harms no other run", async () => {
  await startRun(memory, "a");
  const first = await memory.connect().jobs.dequeue();
  await startRun(memory, "b");
  for (let delivery = 1; delivery <= 3; delivery += 1) {
    if (delivery > 1) {
      const taken = await memory.connect().jobs.dequeue();
      expect(taken).toMatchObject({ jobId: first?.jobId, attempt: delivery });
    }
    pass(LONG_MS);
    expect(await memory.sweep()).toMatchObject({ releasedLeases: 1 });
  }
  await workToTheEnd();
  expect(await memory.persistence.getStage("a", "first")).toMatchObject({
    status: "FAILED",
    errorMessage: expect.stringMatching(/^told: /),
  });
  expect(await memory.persistence.getRunStatus("a")).toBe("FAILED");
  expect(await memory.persistence.getRunStatus("b")).toBe("COMPLETED");
});

it("tells the handler of a job that has failed for good", async () => {
  await startRun(memory, BROKEN);
  await workToTheEnd();
  expect(await memory.persistence.getStagesByRun(BROKEN)).toMatchObject([
    { stageId: "first", status: "COMPLETED" },
    { stageId: "second", status: "FAILED", errorMessage: "told: out of luck" },
  ]);
});

it("gives a job back when its handler throws", async () => {
  await startRun(memory, "a");
  const broken: JobHandler = {
    handleJob: (job) =>
      workJob(
        withPersistence(memory.connect(), {
          withTransaction: () => Promise.reject(new Error("out of luck")),
        }),
        job,
      ),
  };
  expect(await memory.consume(broken, 1)).toMatchObject({ claimed: 1, failed: 1 });
  expect(await memory.jobs.getJobsByWorkflowRun("a")).toMatchObject([
    { stageId: "first", status: "PENDING", lastError: expect.stringContaining("out of luck") },
  ]);
  expect(await memory.persistence.getRunStatus("a")).toBe("RUNNING");
});
