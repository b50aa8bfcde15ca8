/**
 * More than a hundred jobs through the real queue, with the service killed in the middle of them. Locally, messages live in the
 * service's memory: whatever was queued, delayed or being worked is gone with it, and only the sweep, on the same
 * database, can find what is due.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { apiTokensOf } from "../../scripts/dev-token.ts";
import type { DevProcesses } from "../../scripts/dev-processes.ts";
import { ROOT } from "../../scripts/wrangler.ts";
import { connectHttp } from "../../src/client/index.ts";
import { BROKEN, STAGES, startRun } from "../support/pipeline.ts";
import { type Dev, startDev } from "./support.ts";

const TOKEN = "queue-token";
const RUNS = Array.from({ length: 25 }, (_, index) => `run-${index}`);
/** Each crash takes one from the jobs that it kills. */
const ATTEMPTS = 20;
/** Of the run that fails, one is completed. */
const COMPLETED = RUNS.length * STAGES.length + 1;

let dev: Dev;
let processes: DevProcesses;

beforeAll(async () => {
  const directory = join(ROOT, "test", "e2e", "contract");
  const config = join(directory, "service.toml");
  const app = { name: "contract", directory };
  dev = await startDev(
    { apiTokens: apiTokensOf(TOKEN), config, app, leaseMs: 4_000 },
    { app: true },
  );
  processes = dev.processes;
});

afterAll(async () => {
  await dev.stop();
});

function connection() {
  return connectHttp({ url: processes.serviceUrl, token: TOKEN });
}

async function count(where: string): Promise<number> {
  const [rows] = await processes.query(`SELECT count(*) AS n FROM jobs WHERE ${where}`);
  return Number(rows?.[0]?.["n"]);
}

/** True when no run is open any more. False also while the service is away. */
async function allOver(): Promise<boolean> {
  const { persistence } = connection();
  return persistence.getRunsByStatus("RUNNING").then(
    (running) => running.length === 0,
    () => false,
  );
}

describe("a hundred jobs", () => {
  it("all finish once although the service is killed among them", async ({ onTestFailed }) => {
    onTestFailed(() => console.error(processes.lastOutput));
    await Promise.all([...RUNS, BROKEN].map((id) => startRun(connection(), id, ATTEMPTS)));
    let over = false;
    const sweeping = processes.keepSweeping(1_000, () => over);
    const crashes = [await crashAfter(15), await crashAfter(50)];
    try {
      await vi.waitUntil(allOver, { timeout: 120_000, interval: 500 });
    } finally {
      over = true;
      await sweeping;
    }
    for (const { completed, open } of crashes) {
      expect(completed, "jobs completed before the crash").toBeGreaterThanOrEqual(15);
      expect(open, "jobs that nobody but the sweep knew of after it").toBeGreaterThan(0);
    }
    const published = "SELECT count(*) AS n FROM outbox_events WHERE published_at IS NULL";
    await vi.waitUntil(async () => (await processes.query(published))[0]?.[0]?.["n"] === 0, {
      timeout: 60_000,
      interval: 2_000,
    });
    await processes.stopService();
    expect(await count("status = 'COMPLETED'")).toBe(COMPLETED);
    expect(await count("status = 'FAILED'")).toBe(1);
    expect(await count("status NOT IN ('COMPLETED', 'FAILED')")).toBe(0);
    const [runs, failed, events, doubles] = await processes.query(
      "SELECT status, count(*) AS n FROM runs GROUP BY status ORDER BY status",
      "SELECT stage_id, error_message FROM stages WHERE status = 'FAILED'",
      "SELECT count(*) AS n FROM outbox_events",
      `SELECT workflow_run_id FROM outbox_events
       GROUP BY workflow_run_id, payload ->> 'stageId' HAVING count(*) <> 1`,
    );
    expect(runs).toEqual([
      { status: "COMPLETED", n: RUNS.length },
      { status: "FAILED", n: 1 },
    ]);
    expect(failed).toEqual([{ stage_id: "second", error_message: "told: out of luck" }]);
    expect(events).toEqual([{ n: COMPLETED }]);
    expect(doubles, "stages completed more than once").toEqual([]);
    expect(audit()).toBe("Nothing is stranded.\n");
  });
});

/** Kills the service when the handler has settled this many jobs, looks at what it left, and starts it again. */
async function crashAfter(settled: number) {
  const done = async () => Number(await (await fetch(processes.appUrl)).text());
  await vi.waitUntil(async () => (await done()) >= settled, { timeout: 60_000, interval: 20 });
  await processes.killService();
  const found = {
    completed: await count("status = 'COMPLETED'"),
    open: await count("status IN ('PENDING', 'RUNNING', 'SUSPENDED')"),
  };
  await processes.startService();
  return found;
}

/** What `npm run audit` prints. */
function audit(): string {
  const script = join(ROOT, "scripts", "audit.ts");
  return spawnSync(process.execPath, [script, "--state", dev.stateDir], { encoding: "utf8" })
    .stdout;
}
