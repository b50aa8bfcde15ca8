/** The connection that browsers have: what nobody can tell is refused, and everything else is as everywhere. */
import { beforeEach, describe, expect, it } from "vitest";
import { connectHttp } from "../../src/client/browser.ts";
import type { Backend, ExtendedJobQueue } from "../../src/contract/index.ts";
import { embed } from "../../src/embed.ts";
import { ADMIN, send, URL_OF_SERVICE } from "../http/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";

const RUN = { id: "run", workflowId: "w", workflowName: "", workflowType: "", input: 0 };
const JOB = { workflowRunId: "run", workflowId: "w", stageId: "s" };
const REFUSED = {
  code: "INVALID_ARGUMENT",
  message: expect.stringContaining("open another connection") as string,
};

const open = () =>
  connectHttp({ url: URL_OF_SERVICE, token: ADMIN, fetch: (request) => send(request) });
const stored = () => embed(env);

let browser: Backend;

beforeEach(async () => {
  await emptyDatabase();
  browser = open();
});

/** A promise, and how to fulfil it. */
const gate = () => Promise.withResolvers<void>();

/** Runs `beside` while a transaction of the connection, that has updated the run, is open. */
async function whileOpen(beside: () => Promise<unknown>): Promise<void> {
  const [entered, left] = [gate(), gate()];
  const transaction = browser.persistence.withTransaction(async (tx) => {
    await tx.updateRun("run", { status: "RUNNING" });
    entered.resolve();
    await left.promise;
  });
  await entered.promise;
  try {
    await beside();
  } finally {
    left.resolve();
    await transaction;
  }
}

/** Every call of `jobs` that joins a transaction where the platform can tell. */
const JOINING: readonly [string, (jobs: ExtendedJobQueue, id: string) => Promise<unknown>][] = [
  ["enqueue", (jobs) => jobs.enqueue(JOB)],
  ["enqueueParallel", (jobs) => jobs.enqueueParallel([JOB])],
  ["complete", (jobs, id) => jobs.complete(id)],
  ["completeMany", (jobs, id) => jobs.completeMany([id])],
  ["suspend", (jobs, id) => jobs.suspend(id, new Date())],
  ["fail", (jobs, id) => jobs.fail(id, "no")],
  ["touchJob", (jobs, id) => jobs.touchJob(id)],
  ["cancelByRun", (jobs) => jobs.cancelByRun("run")],
  ["getJobsByWorkflowRun", (jobs) => jobs.getJobsByWorkflowRun("run")],
];

describe("a browser's connection", () => {
  it.each(JOINING)(
    "refuses jobs.%s in a callback, and writes nothing by it",
    async (_name, call) => {
      const id = await stored().jobs.enqueue(JOB);
      const before = await stored().jobs.getJobsByWorkflowRun("run");
      await browser.persistence.withTransaction(async (tx) => {
        await tx.createRun(RUN);
        await expect(call(browser.jobs, id)).rejects.toMatchObject(REFUSED);
      });
      expect(await stored().jobs.getJobsByWorkflowRun("run")).toEqual(before);
      // The transaction remains usable, and commits what it wrote itself.
      expect(await stored().persistence.getRunStatus("run")).toBe("PENDING");
    },
  );

  it.each(JOINING)("refuses jobs.%s beside a transaction, too", async (_name, call) => {
    await stored().persistence.createRun(RUN);
    const id = await stored().jobs.enqueue(JOB);
    const before = await stored().jobs.getJobsByWorkflowRun("run");
    await whileOpen(() => expect(call(browser.jobs, id)).rejects.toMatchObject(REFUSED));
    expect(await stored().jobs.getJobsByWorkflowRun("run")).toEqual(before);
  });

  it("throws what was refused out of a callback that does not catch it, and rolls back", async () => {
    const failed = browser.persistence.withTransaction(async (tx) => {
      await tx.createRun(RUN);
      await browser.jobs.enqueue(JOB);
    });
    await expect(failed).rejects.toMatchObject(REFUSED);
    expect(await stored().persistence.getRun("run")).toBeNull();
    expect(await stored().jobs.getJobsByWorkflowRun("run")).toEqual([]);
  });

  it("joins a nested transaction through tx, and refuses one through the connection", async () => {
    const failed = browser.persistence.withTransaction(async (tx) => {
      await tx.withTransaction(async (inner) => inner.createRun(RUN));
      expect(await tx.getRunStatus("run")).toBe("PENDING");
      await expect(
        browser.persistence.withTransaction(async (other) => other.createRun({ ...RUN, id: "b" })),
      ).rejects.toMatchObject(REFUSED);
      throw new RangeError("no");
    });
    await expect(failed).rejects.toThrow(RangeError);
    expect(await stored().persistence.getRunsByStatus("PENDING")).toEqual([]);
  });

  it("runs one transaction after another, with jobs in between", async () => {
    await browser.persistence.withTransaction(async (tx) => tx.createRun(RUN));
    await browser.jobs.enqueue(JOB);
    const job = await browser.jobs.dequeue();
    await browser.persistence.withTransaction(async (tx) =>
      tx.updateRun("run", { status: "COMPLETED" }),
    );
    await browser.jobs.complete(job?.jobId ?? "");
    expect(await stored().persistence.getRunStatus("run")).toBe("COMPLETED");
    expect(await stored().jobs.getJobsByWorkflowRun("run")).toMatchObject([
      { status: "COMPLETED" },
    ]);
  });

  it("takes jobs again after a transaction that failed", async () => {
    const failed = browser.persistence.withTransaction(async () => {
      throw new RangeError("no");
    });
    await expect(failed).rejects.toThrow(RangeError);
    const id = await browser.jobs.enqueue(JOB);
    expect(await stored().jobs.getJobsByWorkflowRun("run")).toMatchObject([{ id }]);
  });

  it("lets another connection act beside a transaction, at once", async () => {
    await stored().persistence.createRun(RUN);
    await whileOpen(async () => {
      await open().jobs.enqueue(JOB);
      expect(await stored().jobs.getJobsByWorkflowRun("run")).toHaveLength(1);
      await open().persistence.withTransaction(async (tx) => tx.createRun({ ...RUN, id: "b" }));
    });
    expect(await stored().persistence.getRunStatus("run")).toBe("RUNNING");
    expect(await stored().persistence.getRunStatus("b")).toBe("PENDING");
  });

  it("acts at once where the contract has it act at once, transaction or not", async () => {
    await stored().persistence.createRun(RUN);
    const id = await stored().jobs.enqueue(JOB);
    await whileOpen(async () => {
      expect(await browser.jobs.dequeue()).toMatchObject({ jobId: id, attempt: 1 });
      expect(await browser.jobs.dequeueMany(3)).toEqual([]);
      expect(await browser.jobs.jobStats()).toMatchObject({ leased: 1 });
      expect(await browser.jobs.getSuspendedJobsReadyToPoll()).toEqual([]);
      expect(await browser.jobs.releaseStaleJobs(-60_000)).toBe(1);
      // Not the transaction's view of the run, but what is stored.
      expect(await browser.persistence.getRunStatus("run")).toBe("PENDING");
      expect(await browser.audit()).toEqual([]);
    });
    expect(await stored().persistence.getRunStatus("run")).toBe("RUNNING");
  });

  it("keeps refusing while the callback runs again and its commit is under way", async () => {
    await stored().persistence.createRun(RUN);
    let runs = 0;
    const refusals: unknown[] = [];
    const watched = connectHttp({
      url: URL_OF_SERVICE,
      token: ADMIN,
      fetch: async (request) => {
        const committing = request.url.endsWith("/v1/commits");
        if (committing) refusals.push(await watched.jobs.enqueue(JOB).catch((fault) => fault));
        return send(request);
      },
    });
    await watched.persistence.withTransaction(async (tx) => {
      runs += 1;
      await tx.getRun("run");
      if (runs === 1) await stored().persistence.updateRun("run", {});
      await tx.updateRun("run", { status: "RUNNING" });
    });
    expect(runs).toBe(2);
    expect(refusals).toMatchObject([REFUSED, REFUSED]);
    expect(await stored().jobs.getJobsByWorkflowRun("run")).toEqual([]);
  });

  it("may read what the service says, also of a refusal, where its origin is configured", async () => {
    const CORS_ORIGINS = "https://app.example";
    const responses: Response[] = [];
    const connect = (token: string) =>
      connectHttp({
        url: URL_OF_SERVICE,
        token,
        fetch: async (request) => {
          request.headers.set("Origin", CORS_ORIGINS);
          const response = await send(request, { CORS_ORIGINS });
          responses.push(response.clone());
          return response;
        },
      });
    await connect(ADMIN).persistence.createRun(RUN);
    const stranger = connect("wrong").persistence.getRun("run");
    await expect(stranger).rejects.toMatchObject({ code: "UNAUTHENTICATED" });
    const told = responses.map(({ status, headers }) => [
      status,
      headers.get("Access-Control-Allow-Origin"),
      headers.get("Access-Control-Expose-Headers")?.includes("Retry-After"),
    ]);
    expect(told.map(([status]) => status)).toEqual([200, 200, 401]);
    for (const [, ...rest] of told) expect(rest).toEqual([CORS_ORIGINS, true]);
  });
});
