import { expect } from "vitest";
import type { AcquireIdempotencyKeyResult } from "../../contract/index.ts";
import type { ConformanceBackend, Test } from "./harness.ts";
import { AN_HOUR_MS, forced, INSTANT, nap, shifted } from "./support.ts";

const ACQUIRED = { status: "acquired" };
const IN_PROGRESS = { status: "in_progress" };
const STALE_MS = 60_000;

function acquire(
  backend: ConformanceBackend,
  options?: Parameters<ConformanceBackend["persistence"]["acquireIdempotencyKey"]>[2],
): Promise<AcquireIdempotencyKeyResult> {
  return options === undefined
    ? backend.persistence.acquireIdempotencyKey("key-1", "run.create")
    : backend.persistence.acquireIdempotencyKey("key-1", "run.create", options);
}

/** Measures the age of the key this many milliseconds after it was first acquired, at INSTANT. */
function acquireAt(
  backend: ConformanceBackend,
  ms: number,
  staleInProgressAfterMs?: number,
): Promise<AcquireIdempotencyKeyResult> {
  const now = shifted(INSTANT, ms);
  return acquire(
    backend,
    staleInProgressAfterMs === undefined ? { now } : { now, staleInProgressAfterMs },
  );
}

/** The three methods over idempotency keys. */
export function idempotencyKeys(test: Test): void {
  test("a key is acquired once and in progress for everyone after that", async ({ a, b }) => {
    expect(await acquire(a)).toEqual(ACQUIRED);
    expect(await acquire(a)).toEqual(IN_PROGRESS);
    expect(await acquire(b)).toEqual(IN_PROGRESS);
  });

  test("a completed key replays its result on every connection", async ({ a, b }) => {
    await acquire(a);

    const completed = a.persistence.completeIdempotencyKey("key-1", "run.create", { run: [1] });
    expect(await completed).toBeUndefined();

    for (const backend of [a, b, a]) {
      expect(await acquire(backend)).toEqual({ status: "replay", result: { run: [1] } });
    }
  });

  test("a key counts for one command type", async ({ a }) => {
    const { persistence } = a;
    await persistence.acquireIdempotencyKey("key", "run.create");
    await persistence.completeIdempotencyKey("key", "run.create", 1);

    expect(await persistence.acquireIdempotencyKey("key", "run.cancel")).toEqual(ACQUIRED);
    expect(await persistence.acquireIdempotencyKey("key", "RUN.create")).toEqual(ACQUIRED);
    expect(await persistence.acquireIdempotencyKey("KEY", "run.create")).toEqual(ACQUIRED);
    expect(await persistence.acquireIdempotencyKey("key", "run.create")).toMatchObject({
      status: "replay",
    });
  });

  test("a key and a command type do not run into each other", async ({ a }) => {
    const pairs = [
      ["a", "b:c"],
      ["a:b", "c"],
      ["a/b", "c"],
      ["a", "b/c"],
      ["a b", "c"],
      ["a", "b c"],
      ["", "abc"],
      ["abc", ""],
    ] as const;

    for (const [key, commandType] of pairs) {
      expect(await a.persistence.acquireIdempotencyKey(key, commandType)).toEqual(ACQUIRED);
    }
  });

  test("a released key can be acquired again", async ({ a, b }) => {
    await acquire(a);

    const released = b.persistence.releaseIdempotencyKey("key-1", "run.create");
    expect(await released).toBeUndefined();

    expect(await acquire(b)).toEqual(ACQUIRED);
  });

  test("releasing a key leaves a completed one alone", async ({ a, b }) => {
    await acquire(a);
    await a.persistence.completeIdempotencyKey("key-1", "run.create", "done");

    await b.persistence.releaseIdempotencyKey("key-1", "run.create");

    expect(await acquire(b)).toEqual({ status: "replay", result: "done" });
  });

  test("releasing a key that does not exist does nothing", async ({ a }) => {
    await a.persistence.releaseIdempotencyKey("key-1", "run.create");

    expect(await acquire(a)).toEqual(ACQUIRED);
  });

  test("releasing a key leaves the other command types alone", async ({ a }) => {
    await acquire(a);

    await a.persistence.releaseIdempotencyKey("key-1", "run.cancel");

    expect(await acquire(a)).toEqual(IN_PROGRESS);
  });

  test("completing a key that does not exist creates it completed", async ({ a, b }) => {
    await a.persistence.completeIdempotencyKey("key-1", "run.create", { kept: true });

    expect(await acquire(b)).toEqual({ status: "replay", result: { kept: true } });
  });

  test("completing a key again replaces its result", async ({ a, b }) => {
    await acquire(a);
    await a.persistence.completeIdempotencyKey("key-1", "run.create", "first");

    await b.persistence.completeIdempotencyKey("key-1", "run.create", "second");

    expect(await acquire(a)).toEqual({ status: "replay", result: "second" });
  });

  test("an undefined result is null", async ({ a }) => {
    await acquire(a);
    await a.persistence.completeIdempotencyKey("key-1", "run.create", undefined);

    expect(await acquire(a)).toEqual({ status: "replay", result: null });
  });

  test("a result may look like a state", async ({ a }) => {
    const result = { status: "in_progress", __inProgress: true };
    await acquire(a);
    await a.persistence.completeIdempotencyKey("key-1", "run.create", result);

    expect(await acquire(a)).toEqual({ status: "replay", result });
  });

  test("a key in progress is taken over at the threshold, not before", async ({ a, b }) => {
    expect(await acquireAt(a, 0)).toEqual(ACQUIRED);

    expect(await acquireAt(b, STALE_MS - 1, STALE_MS)).toEqual(IN_PROGRESS);
    expect(await acquireAt(b, STALE_MS, STALE_MS)).toEqual(ACQUIRED);
  });

  test("taking a key over starts its age anew", async ({ a, b }) => {
    await acquireAt(a, 0);
    await acquireAt(b, STALE_MS + 5, STALE_MS);

    expect(await acquireAt(a, STALE_MS + 5, STALE_MS)).toEqual(IN_PROGRESS);
    expect(await acquireAt(a, 2 * STALE_MS + 4, STALE_MS)).toEqual(IN_PROGRESS);
    expect(await acquireAt(a, 2 * STALE_MS + 5, STALE_MS)).toEqual(ACQUIRED);
  });

  test("asking for a key in progress does not make it younger", async ({ a }) => {
    await acquireAt(a, 0);
    await acquireAt(a, STALE_MS - 1, STALE_MS);

    expect(await acquireAt(a, STALE_MS, STALE_MS)).toEqual(ACQUIRED);
  });

  test("a key in progress is never taken over without a threshold", async ({ a, b }) => {
    await acquireAt(a, 0);

    expect(await acquireAt(b, 1_000 * AN_HOUR_MS)).toEqual(IN_PROGRESS);
    expect(await acquire(b, {})).toEqual(IN_PROGRESS);
    const nothing = forced<{ now: Date }>({ now: undefined, staleInProgressAfterMs: undefined });
    expect(await acquire(b, nothing)).toEqual(IN_PROGRESS);
  });

  test("a key in progress is never taken over with an infinite threshold", async ({ a, b }) => {
    expect(await acquireAt(a, 0, Infinity)).toEqual(ACQUIRED);

    expect(await acquireAt(b, 1_000 * AN_HOUR_MS, Infinity)).toEqual(IN_PROGRESS);
    expect(await acquire(b, { staleInProgressAfterMs: Infinity })).toEqual(IN_PROGRESS);
  });

  test("a threshold of zero takes over at once", async ({ a, b }) => {
    await acquireAt(a, 0);

    expect(await acquireAt(b, 0, 0)).toEqual(ACQUIRED);
  });

  test("without an instant, ages are measured by the service's clock", async ({ a, b }) => {
    await acquire(a);
    expect(await acquire(b, { staleInProgressAfterMs: AN_HOUR_MS })).toEqual(IN_PROGRESS);
    await nap();

    expect(await acquire(b, { staleInProgressAfterMs: 5 })).toEqual(ACQUIRED);
  });

  test("an instant may be an ISO string or milliseconds", async ({ a }) => {
    await acquire(a, { now: forced(INSTANT.toISOString()) });
    const ageOf = (ms: number) => ({
      now: forced<Date>(INSTANT.getTime() + ms),
      staleInProgressAfterMs: STALE_MS,
    });

    expect(await acquire(a, ageOf(STALE_MS - 1))).toEqual(IN_PROGRESS);
    expect(await acquire(a, ageOf(STALE_MS))).toEqual(ACQUIRED);
  });

  test("a completed key is replayed whatever its age", async ({ a, b }) => {
    await acquireAt(a, 0);
    await a.persistence.completeIdempotencyKey("key-1", "run.create", 7);

    for (const staleAfter of [0, STALE_MS, Infinity]) {
      const late = await acquireAt(b, 1_000 * AN_HOUR_MS, staleAfter);
      expect(late).toEqual({ status: "replay", result: 7 });
    }
  });

  test("the first holder may still complete a key that was taken over", async ({ a, b }) => {
    await acquireAt(a, 0);
    await acquireAt(b, STALE_MS, STALE_MS);

    await a.persistence.completeIdempotencyKey("key-1", "run.create", "from a");

    expect(await acquireAt(b, 2 * STALE_MS, STALE_MS)).toEqual({
      status: "replay",
      result: "from a",
    });
  });
}
