/** One Worker with workflows under `wrangler dev`: it is killed in the middle of its runs, and polls in time. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { DevProcesses } from "../../scripts/dev-processes.ts";
import { ROOT } from "../../scripts/wrangler.ts";
import { type Dev, startDev } from "./support.ts";

const RUNS = 50;
const KILLED_AFTER_MS = 1_200;

let dev: Dev;
let processes: DevProcesses;

beforeAll(async () => {
  const config = join(ROOT, "test", "e2e", "engine", "wrangler.toml");
  dev = await startDev({ config, leaseMs: 3_000 }, { app: false });
  processes = dev.processes;
});

afterAll(async () => {
  await dev.stop();
});

async function asked(path: string): Promise<unknown> {
  const response = await fetch(processes.serviceUrl + path);
  return response.json();
}

async function started(n: number): Promise<string> {
  const { id } = (await asked(`/start?n=${n}`)) as { id: string };
  return id;
}

describe("examples/one-worker", () => {
  it("answers what its workflow makes of a text", async () => {
    const config = join(ROOT, "examples", "one-worker", "wrangler.toml");
    const example = await startDev({ config }, { app: false });
    try {
      const response = await fetch(example.processes.serviceUrl, {
        method: "POST",
        body: "flaky one\n\ntwo",
      });
      expect(await response.json()).toMatchObject({
        status: "COMPLETED",
        value: { longest: "flaky one", words: 3 },
      });
    } finally {
      await example.stop();
    }
  });
});

describe("a Worker with workflows", () => {
  it("polls a suspended stage and ends a sleep at their times, with no sweep", async () => {
    const id = await started(1_001);
    expect(await asked(`/wait?id=${id}`)).toEqual({ status: "COMPLETED", value: [1_001, 3_003] });
  });

  it("ends all runs in whose middle it was killed, each stage accepted once, by the sweep alone", async ({
    onTestFailed,
  }) => {
    onTestFailed(() => console.error(processes.lastOutput));
    const ids = await Promise.all(Array.from({ length: RUNS }, (_, n) => started(n)));
    await sleep(KILLED_AFTER_MS);
    await processes.killService();
    const [open] = await processes.query(
      `SELECT count(*) AS "open" FROM "runs" WHERE "status" = 'RUNNING'`,
    );
    expect(open?.[0]?.["open"]).toBeGreaterThan(RUNS / 2);
    await processes.startService();
    let over = false;
    const sweeping = processes.keepSweeping(1_000, () => over);
    try {
      await vi.waitUntil(
        async () => {
          const outputs = await Promise.all(ids.map((id) => asked(`/output?id=${id}`)));
          return outputs.every((output) => (output as { status: string }).status !== "RUNNING");
        },
        { timeout: 120_000, interval: 1_000 },
      );
    } finally {
      over = true;
      await sweeping;
    }
    const outputs = await Promise.all(ids.map((id) => asked(`/output?id=${id}`)));
    expect(outputs).toEqual(ids.map((_, n) => ({ status: "COMPLETED", value: [n, n * 3] })));
    const [accepted, live] = await processes.query(
      `SELECT "workflow_run_id", "payload", count(*) AS "times" FROM "outbox_events" WHERE "event_type" = 'stage:completed' GROUP BY "workflow_run_id", json_extract("payload", '$.stageId') HAVING "times" <> 1`,
      `SELECT "ordinal" FROM "jobs" WHERE "status" IN ('PENDING', 'RUNNING', 'SUSPENDED')`,
    );
    expect(accepted).toEqual([]);
    expect(live).toEqual([]);
  });
});
