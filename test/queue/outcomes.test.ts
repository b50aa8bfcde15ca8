import { beforeEach, describe, expect, it } from "vitest";
import { JOB_ERROR_BYTES_MAX, utf8Length } from "../../src/model/index.ts";
import type { JobHandler, JobOutcome } from "../../src/contract/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { permits } from "./support/queue.ts";
import { World } from "./support/world.ts";

const JOB = { workflowRunId: "r", workflowId: "w" };

beforeEach(async () => {
  await emptyDatabase();
});

/** Works two jobs in one batch: one whose handler does this, and one that is completed. */
async function besides(handleOdd: JobHandler["handleJob"]) {
  const world = new World();
  const part = world.part();
  await part.backend.jobs.enqueueParallel([
    { ...JOB, stageId: "odd" },
    { ...JOB, stageId: "even" },
  ]);
  const handler: JobHandler = {
    handleJob: async (job, context) =>
      job.stageId === "odd" ? handleOdd(job, context) : { status: "completed" },
  };
  const consumed = await world.consume(part, handler, permits(2));
  const [odd, even] = await part.backend.jobs.getJobsByWorkflowRun("r");
  expect(even?.status).toBe("COMPLETED");
  return { consumed, odd };
}

const answering = (answer: unknown) => async () => answer as JobOutcome;

describe("an answer that is no outcome is a failure with retry, and harms no other job:", () => {
  const circular: Record<string, unknown> = { status: "completed?" };
  circular["self"] = circular;
  it.each<[string, unknown]>([
    ["nothing", undefined],
    ["null", null],
    ["a text", "completed"],
    ["a list", ["completed"]],
    ["another status", { status: "done" }],
    ["a status in capitals", { status: "COMPLETED" }],
    ["a function", () => "completed"],
    ["something circular", circular],
    ["a suspension without an instant", { status: "suspended" }],
    ["a suspension until an invalid Date", { status: "suspended", until: new Date(Number.NaN) }],
    ["a suspension for ever", { status: "suspended", until: Number.POSITIVE_INFINITY }],
    ["a suspension beyond time", { status: "suspended", until: 8.64e15 + 1 }],
    ["a suspension after the year 9999", { status: "suspended", until: new Date(8.64e15) }],
    ["a suspension until no zone", { status: "suspended", until: "2100-01-01T00:00:00" }],
    ["a suspension until no day", { status: "suspended", until: "2100-02-29T00:00:00Z" }],
    ["a suspension until a text", { status: "suspended", until: "tomorrow" }],
    ["a failure without an error", { status: "failed" }],
    ["a failure whose error is an Error", { status: "failed", error: new Error("e") }],
    ["a failure with another retry", { status: "failed", error: "e", retry: "no" }],
  ])("%s", async (_, answer) => {
    const { consumed, odd } = await besides(answering(answer));
    expect(consumed).toMatchObject({ claimed: 2, completed: 1, failed: 1, unsettled: 0 });
    expect(odd).toMatchObject({ status: "PENDING", attempt: 1 });
    expect(odd?.lastError).toContain("The handler's answer is no outcome: outcome");
  });

  it("one that throws when it is looked at", async () => {
    const hostile = {
      get status(): string {
        throw new Error("do not look");
      },
    };
    const { consumed, odd } = await besides(answering(hostile));
    expect(consumed).toMatchObject({ completed: 1, failed: 1 });
    expect(odd).toMatchObject({ status: "PENDING", lastError: "Error: do not look" });
  });
});

describe("what a handler throws is told as text, and harms no other job:", () => {
  const silent = new Error("x");
  Object.defineProperty(silent, "message", {
    get: () => {
      throw new Error("no message");
    },
  });
  it.each<[string, unknown, string]>([
    ["an error", new TypeError("of a kind"), "TypeError: of a kind"],
    ["a text", "just so", "just so"],
    ["nothing", undefined, "undefined"],
    ["a symbol", Symbol("s"), "Symbol(s)"],
    ["an object without a prototype", Object.create(null), "has no text"],
    ["an error whose message throws", silent, "has no text"],
  ])("%s", async (_, thrown, told) => {
    const { consumed, odd } = await besides(() => Promise.reject(thrown));
    expect(consumed).toMatchObject({ claimed: 2, completed: 1, failed: 1, unsettled: 0 });
    expect(odd).toMatchObject({ status: "PENDING", attempt: 1 });
    expect(odd?.lastError).toContain(told);
  });

  it("at once, without a promise", async () => {
    const { odd } = await besides(() => {
      throw new Error("at once");
    });
    expect(odd?.lastError).toBe("Error: at once");
  });
});

describe("an error's text of a megabyte", () => {
  const texts = ["x", "ß", "👍", "\u0000", "\ud800", '"', "\n"];

  it.each(texts.map((text) => [JSON.stringify(text), text]))(
    "is shortened to what the column holds: %s",
    async (_, text) => {
      const error = text.repeat(1_000_000 / text.length);
      const { odd } = await besides(answering({ status: "failed", error, retry: false }));
      expect(odd?.status).toBe("FAILED");
      const stored = odd?.lastError ?? "";
      expect(stored.endsWith(" ... (shortened)")).toBe(true);
      expect(utf8Length(stored)).toBeLessThanOrEqual(JOB_ERROR_BYTES_MAX);
      expect(stored.length).toBeGreaterThan(10_000);
      expect(error.startsWith(stored.slice(0, 1_000))).toBe(true);
    },
  );

  it("is shortened when it is thrown", async () => {
    const { consumed, odd } = await besides(() => Promise.reject(new Error("x".repeat(1_000_000))));
    expect(consumed).toMatchObject({ completed: 1, failed: 1 });
    expect(odd?.lastError).toMatch(/^Error: x+ \.\.\. \(shortened\)$/);
  });

  it("is shortened for a hundred jobs of one batch", async () => {
    const world = new World();
    const part = world.part();
    await part.backend.jobs.enqueueParallel(
      Array.from({ length: 100 }, (_, index) => ({ ...JOB, stageId: String(index) })),
    );
    const handler: JobHandler = {
      handleJob: () => Promise.reject(new Error("x".repeat(1_000_000))),
    };
    const consumed = await world.consume(part, handler, permits(100));
    expect(consumed).toMatchObject({ claimed: 100, failed: 100, unsettled: 0 });
  });
});

describe("a handler that says it has settled the job", () => {
  it("and has not, has failed with retry", async () => {
    const { consumed, odd } = await besides(answering({ status: "settled" }));
    expect(consumed).toMatchObject({ completed: 1, failed: 1, settled: 0 });
    expect(odd).toMatchObject({
      status: "PENDING",
      attempt: 1,
      lastError: expect.stringContaining("it has not"),
    });
  });

  it.each(["complete", "suspend", "fail", "retry"] as const)("and has: %s", async (how) => {
    const { consumed, odd } = await besides(async ({ jobId }, context) => {
      if (how === "complete") await context?.jobs.complete(jobId);
      else if (how === "suspend") await context?.jobs.suspend(jobId, new Date("2030-01-01"));
      else await context?.jobs.fail(jobId, "of its own", how === "retry");
      return { status: "settled" };
    });
    expect(consumed).toMatchObject({ completed: 1, failed: 0, settled: 1 });
    const status = {
      complete: "COMPLETED",
      suspend: "SUSPENDED",
      fail: "FAILED",
      retry: "PENDING",
    };
    expect(odd?.status).toBe(status[how]);
    expect(odd?.attempt).toBe(1);
  });

  it("but whose transaction was rolled back, has failed with retry", async () => {
    const { consumed, odd } = await besides(async ({ jobId }, context) => {
      const rolledBack = context?.persistence.withTransaction(async () => {
        await context.jobs.complete(jobId);
        throw new Error("never mind");
      });
      await rolledBack?.catch(() => {});
      return { status: "settled" };
    });
    expect(consumed).toMatchObject({ failed: 1, settled: 0 });
    expect(odd?.status).toBe("PENDING");
  });
});

describe("a handler behind a binding", () => {
  it("is given the job and no context", async () => {
    const world = new World();
    const part = world.part();
    const jobId = await part.backend.jobs.enqueue({ ...JOB, stageId: "s", payload: { a: 1 } });
    const calls: unknown[][] = [];
    const handleJob = async (...given: unknown[]): Promise<JobOutcome> => {
      calls.push(given);
      return { status: "completed" };
    };
    await world.consume(part, { handleJob }, permits(1), { embedded: false });
    expect(calls).toEqual([[expect.objectContaining({ jobId, attempt: 1, payload: { a: 1 } })]]);
  });
});
