/** The handler's Worker is not running, comes, and is killed in the middle of a call: what counts as an attempt, and what does not. */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { apiTokensOf } from "../../scripts/dev-token.ts";
import type { DevProcesses } from "../../scripts/dev-processes.ts";
import { ROOT } from "../../scripts/wrangler.ts";
import { connectHttp } from "../../src/client/index.ts";
import type { JobRecord } from "../../src/contract/index.ts";
import { type Dev, startDev } from "./support.ts";

const TOKEN = "away-token";
const JOB = { workflowRunId: "r", workflowId: "w" };
const JOBS = 20;

let dev: Dev;
let processes: DevProcesses;

beforeAll(async () => {
  const directory = join(ROOT, "test", "e2e", "away");
  const config = join(directory, "service.toml");
  const app = { name: "away", directory };
  dev = await startDev({ apiTokens: apiTokensOf(TOKEN), config, app }, { app: false });
  processes = dev.processes;
});

afterAll(async () => {
  await dev.stop();
});

function connection() {
  return connectHttp({ url: processes.serviceUrl, token: TOKEN });
}

async function jobsOf(run: string): Promise<JobRecord[]> {
  return connection().jobs.getJobsByWorkflowRun(run);
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  await vi.waitUntil(holds, { timeout: 60_000, interval: 200 });
}

/** The deliveries of the poison that the app was given since it was started. */
async function poisoned(): Promise<number> {
  const response = await fetch(processes.appUrl);
  const entered = (await response.json()) as string[];
  return entered.filter((delivery) => delivery.startsWith("poison#")).length;
}

describe("a handler whose Worker is not running", () => {
  it("loses no job: each is given back more often than it may fail, and completed when the Worker is there", async ({
    onTestFailed,
  }) => {
    onTestFailed(() => console.error(processes.lastOutput));
    const { jobs } = connection();
    await jobs.enqueueParallel(
      Array.from({ length: JOBS }, (_, index) => ({ ...JOB, stageId: String(index) })),
    );
    await until(async () => (await jobsOf("r")).every(({ attempt }) => attempt > 5));
    const away = await jobsOf("r");
    expect(away.filter(({ status }) => status === "FAILED")).toEqual([]);
    expect(away[0]?.lastError).toMatch(/^HandlerAway: /);
    expect((await jobs.jobStats()).undelivered).toBeGreaterThan(0);
    await processes.startApp();
    await until(async () => (await jobsOf("r")).every(({ status }) => status === "COMPLETED"));
    expect(await jobs.jobStats()).toMatchObject({ undelivered: 0, failed: 0 });
  });

  it("has failed what it was killed by, as often as that may fail, and nothing that came while it was dead", async ({
    onTestFailed,
  }) => {
    onTestFailed(() => console.error(processes.lastOutput));
    const { jobs } = connection();
    const poison = { ...JOB, workflowRunId: "p", stageId: "poison", maxAttempts: 2 };
    await jobs.enqueue(poison);
    await until(async () => (await poisoned()) === 1);
    await processes.killApp();
    // Dead: the poison comes again, with what has never reached anybody, and neither counts.
    await jobs.enqueue({ ...JOB, workflowRunId: "n", stageId: "n", maxAttempts: 1 });
    await until(async () => {
      const waiting = [...(await jobsOf("p")), ...(await jobsOf("n"))];
      return waiting.every(({ attempt }) => attempt > 4);
    });
    const dead = [...(await jobsOf("p")), ...(await jobsOf("n"))];
    expect(dead.filter(({ status }) => status === "FAILED")).toEqual([]);
    expect(dead.map(({ lastError }) => lastError)).toEqual([
      expect.stringMatching(/^HandlerAway: /),
      expect.stringMatching(/^HandlerAway: /),
    ]);
    await processes.startApp();
    await until(async () => (await poisoned()) === 1);
    await processes.killApp();
    await until(async () => (await jobsOf("p"))[0]?.status === "FAILED");
    const [ended] = await jobsOf("p");
    expect(ended?.lastError).toBe("Error: Network connection lost.");
    await processes.startApp();
    await until(async () => (await jobsOf("n"))[0]?.status === "COMPLETED");
    expect(await poisoned()).toBe(0);
  });
});
