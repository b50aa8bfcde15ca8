/**
 * More than a hundred jobs through the real queue, with the service killed in the middle of them. Locally, messages live in the
 * service's memory: whatever was queued, delayed or being worked is gone with it, and only the sweep, on the same
 * database, can find what is due.
 */
import { spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { AppClient, follow } from "../../scripts/app-client.ts";
import type { DevProcesses } from "../../scripts/dev-processes.ts";
import { ROOT } from "../../scripts/wrangler.ts";
import { type Dev, startDev } from "./support.ts";

const DOCUMENTS = 25;
/** Four stages a document, and two for the corpus. */
const JOBS = DOCUMENTS * 4 + 2;

let dev: Dev;
let processes: DevProcesses;
let app: AppClient;

beforeAll(async () => {
  dev = await startDev({ leaseMs: 4_000 }, { app: true });
  processes = dev.processes;
  app = new AppClient(processes.appUrl);
});

afterAll(async () => {
  await dev.stop();
});

function documents() {
  return Array.from({ length: DOCUMENTS }, (_, index) => ({
    path: `${index}.md`,
    text: `# Document ${index}\n\nA queue of leases, jobs and permits. [next](#document-${index})\n`,
  }));
}

async function count(where: string): Promise<number> {
  const [rows] = await processes.query(`SELECT count(*) AS n FROM jobs WHERE ${where}`);
  return Number(rows?.[0]?.["n"]);
}

describe("a hundred jobs", () => {
  it("all finish once although the service is killed among them", async ({ onTestFailed }) => {
    onTestFailed(() => console.error(processes.lastOutput));
    const { corpusId } = await app.submit(documents(), randomUUID());
    const state = { done: false };
    const [progress, crashes] = await Promise.all([
      follow(app, { corpusId }).finally(() => (state.done = true)),
      (async () => [await crashAfter(corpusId, 15), await crashAfter(corpusId, 50)])(),
      processes.keepSweeping(1_000, () => state.done),
    ]);
    for (const { completed, open } of crashes) {
      expect(completed, "jobs completed before the crash").toBeGreaterThanOrEqual(15);
      expect(open, "jobs that nobody but the sweep knew of after it").toBeGreaterThan(0);
    }
    expect(progress.runs.map(({ status }) => status)).toEqual(
      Array.from({ length: DOCUMENTS + 1 }, () => "COMPLETED"),
    );
    await processes.stopService();
    expect(await count("status = 'COMPLETED'")).toBe(JOBS);
    expect(await count("status <> 'COMPLETED'")).toBe(0);
    const [doubles] = await processes.query(
      `SELECT workflow_run_id FROM outbox_events WHERE event_type = 'stage.completed'
       GROUP BY workflow_run_id, payload ->> 'stageId' HAVING count(*) <> 1`,
    );
    expect(doubles, "stages completed more than once").toEqual([]);
    expect(audit()).toBe("Nothing is stranded.\n");
  });
});

/** Kills the service when this many jobs are done, looks at what it left, and starts it again. */
async function crashAfter(corpusId: string, completed: number) {
  const done = async () => {
    const { runs } = await app.progress(corpusId);
    return runs.flatMap(({ stages }) => stages).filter(({ status }) => status === "COMPLETED");
  };
  await vi.waitUntil(async () => (await done()).length >= completed, {
    timeout: 60_000,
    interval: 20,
  });
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
