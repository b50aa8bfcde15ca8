/** A stage that never lets go of its CPU under `wrangler dev`: its process is killed, as a platform does, and only the sweep follows. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import type { DevProcesses } from "../../scripts/dev-processes.ts";
import { ROOT } from "../../scripts/wrangler.ts";
import { type Dev, startDev } from "./support.ts";

const ATTEMPTS = 2;

let dev: Dev;
let processes: DevProcesses;

beforeAll(async () => {
  const config = join(ROOT, "test", "e2e", "engine", "wrangler.toml");
  dev = await startDev({ config, leaseMs: 2_000 }, { app: false });
  processes = dev.processes;
});

afterAll(async () => {
  await dev.stop();
});

async function asked(path: string): Promise<unknown> {
  const signal = AbortSignal.timeout(5_000);
  const response = await fetch(processes.serviceUrl + path, { signal });
  return response.json();
}

async function blocked(): Promise<boolean> {
  return asked("/audit").then(
    () => false,
    () => true,
  );
}

it("ends as FAILED with the reason after its attempts, and the stages beside it come to their ends", async ({
  onTestFailed,
}) => {
  onTestFailed(() => console.error(processes.lastOutput));
  const { spins, siblings } = (await asked("/spin")) as { spins: string; siblings: string[] };
  await vi.waitUntil(blocked, { timeout: 30_000, interval: 200 });
  await processes.killService();
  const [held] = await processes.query(`SELECT "stage_id" FROM "jobs" WHERE "status" = 'RUNNING'`);
  expect(held?.map((job) => job["stage_id"])).toContain("spin");
  // Those that worked in the same isolate have died with it.
  expect(held?.length).toBeGreaterThan(1);
  let deaths = 1;
  await processes.startService();
  const ended = async () => {
    void processes.sweep();
    const output = await asked(`/output?of=spins&id=${spins}`).catch(() => null);
    if (output === null && (await blocked())) {
      await processes.killService();
      deaths += 1;
      await processes.startService();
      return null;
    }
    const { status } = (output ?? {}) as { status?: string };
    return status === undefined || status === "RUNNING" ? null : output;
  };
  const output = await vi.waitUntil(ended, { timeout: 120_000, interval: 500 });
  expect(output).toEqual({
    status: "FAILED",
    reason: expect.stringMatching(/lease.*expired/i),
    stage: "spin",
  });
  expect(deaths).toBe(ATTEMPTS);
  const over = async () => {
    void processes.sweep();
    const outputs = await Promise.all(
      siblings.map(async (id) => asked(`/output?of=sibling&id=${id}`)),
    );
    return outputs.every((one) => (one as { status: string }).status === "COMPLETED");
  };
  await vi.waitUntil(over, { timeout: 60_000, interval: 500 });
  expect(await asked("/audit")).toEqual([]);
  const [stages, live] = await processes.query(
    `SELECT "status", "attempt", "error_message" AS "error" FROM "stages" WHERE "stage_id" = 'spin'`,
    `SELECT "ordinal" FROM "jobs" WHERE "status" IN ('PENDING', 'RUNNING', 'SUSPENDED')`,
  );
  expect(stages).toEqual([
    { status: "FAILED", attempt: ATTEMPTS, error: expect.stringMatching(/lease.*expired/i) },
  ]);
  expect(live).toEqual([]);
});
