/** The service's clock, as a client reckons it, and whose clock leases are taken by. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { connect, connectHttp } from "../../src/client/index.ts";
import { RemoteClock, type ClockReading } from "../../src/client/remote-clock.ts";
import type { Backend } from "../../src/contract/index.ts";
import { embed } from "../../src/embed.ts";
import { ADMIN, send, URL_OF_SERVICE } from "../http/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { env, service } from "../support/env.ts";

const HOUR_MS = 3_600_000;

/** A machine: a clock that only goes forward, one on its wall, and a service whose clock is another. */
class Machine {
  mono = 1_000;
  wall = 1_700_000_000_000;
  service = 1_800_000_000_000;
  readings = 0;
  /** How long the way there and the way back take, from reading to reading. */
  readonly trips: [number, number][] = [];
  failing = false;

  pass(ms: number): void {
    this.mono += ms;
    this.wall += ms;
    this.service += ms;
  }

  async read(): Promise<ClockReading> {
    this.readings += 1;
    if (this.failing) throw new Error("away");
    const [there, back] = this.trips.shift() ?? [0, 0];
    const askedAt = this.mono;
    this.pass(there);
    const now = this.service;
    this.pass(back);
    return { now, askedAt, answeredAt: this.mono };
  }
}

let machine: Machine;
let clock: RemoteClock;

describe("a clock that is reckoned", () => {
  beforeEach(() => {
    machine = new Machine();
    clock = new RemoteClock(() => machine.read());
    vi.spyOn(performance, "now").mockImplementation(() => machine.mono);
    vi.spyOn(Date, "now").mockImplementation(() => machine.wall);
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  const error = async () => (await clock.now()) - machine.service;

  it("is read once for many calls, and goes on", async () => {
    expect(await error()).toBe(0);
    machine.pass(60_000);
    expect(await error()).toBe(0);
    expect(machine.readings).toBe(1);
  });

  it.each([HOUR_MS, -HOUR_MS, 5_000])(
    "does not follow the wall when that is set by %i ms",
    async (ms) => {
      await clock.now();
      machine.wall += ms;
      machine.pass(10);
      expect(await error()).toBe(0);
      // Something happened: it is read again.
      expect(machine.readings).toBe(2);
    },
  );

  it("is read again after the machine slept, when no time passed by its other clock", async () => {
    await clock.now();
    machine.wall += HOUR_MS;
    machine.service += HOUR_MS;
    expect(await error()).toBe(0);
  });

  it("goes by the shortest round trip of the last quarter of an hour", async () => {
    machine.trips.push([0, 8_000], [10, 10], [0, 4_000]);
    expect(await error()).toBe(-4_000);
    machine.pass(300_001);
    expect(await error()).toBe(0);
    machine.pass(300_001);
    expect(await error()).toBe(0);
    expect(machine.readings).toBe(3);
    machine.pass(600_001);
    machine.trips.push([0, 6_000]);
    // The best has become too old; of those that are left the shorter one counts.
    expect(await error()).toBe(-2_000);
  });

  it("goes on by an older reading when a new one fails, and fails when there is none", async () => {
    machine.failing = true;
    await expect(clock.now()).rejects.toThrow("away");
    machine.failing = false;
    expect(await error()).toBe(0);
    machine.failing = true;
    machine.pass(300_001);
    expect(await error()).toBe(0);
    machine.pass(900_001);
    await expect(clock.now()).rejects.toThrow("away");
  });

  it("is read once for all that ask at the same time", async () => {
    await Promise.all([clock.now(), clock.now(), clock.now()]);
    expect(machine.readings).toBe(1);
  });
});

describe("a clock's reading over HTTP", () => {
  it("does not count the pause before a repeated request", async () => {
    await emptyDatabase();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    let paused = 0;
    const started = performance.now.bind(performance);
    vi.spyOn(performance, "now").mockImplementation(() => started() + paused);
    const ats: number[] = [];
    try {
      let asked = 0;
      const backend = connectHttp({
        url: URL_OF_SERVICE,
        token: ADMIN,
        fetch: async (request) => {
          if (request.url.endsWith("/v1/commits")) {
            const body = await request
              .clone()
              .json<{ changes: { row: { createdAt: number } }[] }>();
            ats.push(body.changes[0]?.row.createdAt ?? 0);
          }
          if (!request.url.endsWith("/v1/time")) return send(request);
          asked += 1;
          if (asked > 1) return send(request);
          return new Response("", { status: 429, headers: { "Retry-After": "20" } });
        },
      });
      const run = backend.persistence.createRun({
        id: "run",
        workflowId: "w",
        workflowName: "",
        workflowType: "",
        input: 0,
      });
      await vi.waitFor(async () => {
        expect(vi.getTimerCount()).toBeGreaterThan(0);
      });
      paused = 20_000;
      await vi.advanceTimersByTimeAsync(25_000);
      await run;
    } finally {
      vi.useRealTimers();
      vi.restoreAllMocks();
    }
    // Half of the pause would be 10 s.
    expect(Math.abs((ats[0] ?? 0) - Date.now())).toBeLessThan(5_000);
  });
});

const WAYS: Readonly<Record<string, () => Backend>> = {
  "a binding": () => connect(service),
  HTTP: () => connectHttp({ url: URL_OF_SERVICE, token: ADMIN, fetch: (request) => send(request) }),
};

describe.each(Object.entries(WAYS))("over %s, leases", (_way, open) => {
  const JOB = { workflowRunId: "run", workflowId: "w", stageId: "s" };

  beforeEach(async () => {
    await emptyDatabase();
  });

  const row = async () => (await embed(env).jobs.getJobsByWorkflowRun("run"))[0];

  /** A client whose clock is wrong, for any reason. */
  async function withClockOff<T>(ms: number, act: (backend: Backend) => Promise<T>): Promise<T> {
    const spy = vi
      .spyOn(RemoteClock.prototype, "now")
      .mockImplementation(async () => Date.now() + ms);
    try {
      return await act(open());
    } finally {
      spy.mockRestore();
    }
  }

  it.each([HOUR_MS, -HOUR_MS])(
    "are taken, renewed and ended by the service's clock, if the caller's is off by %i ms",
    async (off) => {
      await embed(env).jobs.enqueue(JOB);
      await withClockOff(off, async ({ jobs }) => {
        const job = await jobs.dequeue();
        expect(job).toMatchObject({ attempt: 1 });
        const claimed = (await row())?.lockedAt?.getTime() ?? 0;
        expect(Math.abs(claimed - Date.now())).toBeLessThan(60_000);
        await jobs.touchJob(job?.jobId ?? "");
        const touched = (await row())?.lockedAt?.getTime() ?? 0;
        expect(Math.abs(touched - Date.now())).toBeLessThan(60_000);
        // Five minutes are five minutes: a fresh lease is not over.
        expect(await jobs.releaseStaleJobs()).toBe(0);
        await jobs.fail(job?.jobId ?? "", "no", true);
      });
      const next = (await row())?.nextPollAt?.getTime() ?? 0;
      expect(next - Date.now()).toBeLessThan(60_000);
      expect(Date.now() - next).toBeLessThan(60_000);
    },
  );

  it("are not taken before a job is due, if the caller's clock is an hour ahead", async () => {
    const inHalfAnHour = new Date(Date.now() + HOUR_MS / 2);
    await embed(env).jobs.enqueue({ ...JOB, scheduledFor: inHalfAnHour });
    await withClockOff(HOUR_MS, async ({ jobs }) => {
      expect(await jobs.dequeue()).toBeNull();
      expect(await jobs.dequeueMany(5)).toEqual([]);
    });
    expect(await row()).toMatchObject({ status: "PENDING", attempt: 0, lockedAt: null });
  });
});

it("a claim whose answer was lost is found, though its instant is the service's", async () => {
  await emptyDatabase();
  const spy = vi.spyOn(RemoteClock.prototype, "now");
  spy.mockImplementation(async () => Date.now() + HOUR_MS);
  await embed(env).jobs.enqueue({ workflowRunId: "run", workflowId: "w", stageId: "s" });
  let lost = 0;
  const { jobs } = connectHttp({
    url: URL_OF_SERVICE,
    token: ADMIN,
    fetch: async (request) => {
      const answer = await send(request);
      if (!request.url.endsWith("/v1/commits") || (lost += 1) > 1) return answer;
      throw new Error("Network connection lost");
    },
  });
  try {
    expect(await jobs.dequeue()).toMatchObject({ workflowRunId: "run", attempt: 1 });
  } finally {
    spy.mockRestore();
  }
  expect(lost).toBe(1);
});
