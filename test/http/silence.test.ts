/** What the service calls and does not own never answers. The clock's timers are the test's: nobody waits for a deadline. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AccessKeys } from "../../src/http/access-keys.ts";
import { readiness } from "../../src/http/readiness.ts";
import { openWatch } from "../../src/queue/open-watch.ts";
import { env } from "../support/env.ts";
import { ADMIN, send, URL_OF_SERVICE } from "./support.ts";

const WATCH = { after: 0, alive: false, protocol: false };
const never = () => new Promise<never>(() => {});

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  vi.spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** What comes of it when so much time has gone by, and no more. */
async function after<T>(milliseconds: number, call: () => Promise<T>): Promise<T> {
  let over = false;
  const called = call().finally(() => (over = true));
  const settled = Promise.allSettled([called]);
  // Whatever comes before the call that hangs takes its turns first.
  while (vi.getTimerCount() === 0) await scheduler.wait(1);
  await vi.advanceTimersByTimeAsync(milliseconds - 1);
  expect(over).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  await settled;
  return called;
}

describe("is given up, and said to be away", () => {
  it("a rate limiter, after 2 s", async () => {
    const headers = { Authorization: `Bearer ${ADMIN}` };
    const request = new Request(`${URL_OF_SERVICE}/v1/time`, { headers });
    const response = await after(2_000, () => send(request, { RATE_LIMITER: { limit: never } }));
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ code: "UNAVAILABLE" });
  });

  it("the endpoint of Access's keys, after 5 s, though it does not heed its signal", async () => {
    const keys = new AccessKeys("team.example", never);
    const found = after(5_000, () => keys.find("kid", Date.now()));
    await expect(found).rejects.toMatchObject({ code: "KEYS_UNAVAILABLE" });
  });

  it("a coordinator that is to take a watch, after 10 s", async () => {
    const runs = { getByName: () => ({ attempt: never, fetch: never }) };
    const opened = after(10_000, () => openWatch({ RUNS: runs }, "run", WATCH));
    await expect(opened).rejects.toMatchObject({ code: "OVERLOADED" });
  });

  it("a database that is asked whether it is ready, after 5 s", async () => {
    const statement = { bind: () => ({ first: never }) };
    const DB = { prepare: () => statement } as unknown as D1Database;
    const told = await after(5_000, () => readiness({ ...env, DB }));
    expect(told.ready).toBe(false);
    expect(told.checks.database).toMatch(/does not answer/);
  });
});
