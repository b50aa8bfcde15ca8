import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { upTo } from "../../src/testing/conformance/support.ts";
import { databaseVia, type Line } from "../anomalies/database.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { anAppend, eventsOf, outcomeOf, signal, withCoordinators } from "./support.ts";

const RUN = "run-1";
/** What a coordinator lets a commit wait, and what it gives D1. */
const WAIT_MS = 15_000;
const DEADLINE_MS = 20_000;

beforeEach(async () => {
  await emptyDatabase();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** A database that keeps the first batch for itself until it is told to go on. */
function stalling() {
  const [stalled, proceed] = [signal(), signal()];
  let batches = 0;
  const line: Line = async (batch, send) => {
    batches += 1;
    if (batches === 1) {
      stalled.give();
      await proceed.given;
    }
    return send(batch);
  };
  return { db: databaseVia(env.DB, line), stalled: stalled.given, proceed: proceed.give };
}

async function typesOf(): Promise<string[]> {
  return (await eventsOf(RUN)).map(({ type }) => type);
}

describe("while D1 stalls, a coordinator", () => {
  it("answers OVERLOADED to a commit that has waited up to the limit, having written nothing", async () => {
    const { db, stalled, proceed } = stalling();
    const outcomes = await withCoordinators(async (create) => {
      const coordinator = create(db);
      const first = coordinator.attempt(anAppend(RUN, "first"));
      await stalled;
      const waiters = upTo(3).map((n) => coordinator.attempt(anAppend(RUN, `waiter ${n}`)));
      await vi.advanceTimersByTimeAsync(WAIT_MS);
      const answered = await Promise.all(waiters);
      proceed();
      return [await first, ...answered];
    });

    expect(outcomes.map(outcomeOf)).toEqual(["applied", "OVERLOADED", "OVERLOADED", "OVERLOADED"]);
    expect(await typesOf()).toEqual(["first"]);
  });

  it("lets nobody give up before the limit", async () => {
    const { db, stalled, proceed } = stalling();
    const outcomes = await withCoordinators(async (create) => {
      const coordinator = create(db);
      const first = coordinator.attempt(anAppend(RUN, "first"));
      await stalled;
      const second = coordinator.attempt(anAppend(RUN, "second"));
      await vi.advanceTimersByTimeAsync(WAIT_MS - 1);
      proceed();
      return Promise.all([first, second]);
    });

    expect(outcomes.map(outcomeOf)).toEqual(["applied", "applied"]);
    expect(await typesOf()).toEqual(["first", "second"]);
  });

  it("gives D1 up at its deadline and goes on with the commits that wait", async () => {
    const { db, stalled } = stalling();
    const outcomes = await withCoordinators(async (create) => {
      const coordinator = create(db);
      const first = coordinator.attempt(anAppend(RUN, "first"));
      await stalled;
      await vi.advanceTimersByTimeAsync(DEADLINE_MS - WAIT_MS + 1);
      const second = coordinator.attempt(anAppend(RUN, "second"));
      await vi.advanceTimersByTimeAsync(WAIT_MS - 1);
      return Promise.all([first, second]);
    });

    expect(outcomes.map(outcomeOf)).toEqual(["UNAVAILABLE", "applied"]);
    expect(await typesOf()).toEqual(["second"]);
  });

  it("keeps commits that come after waiters that gave up behind the commit that stalls", async () => {
    const { db, stalled, proceed } = stalling();
    const order: string[] = [];
    await withCoordinators(async (create) => {
      const coordinator = create(db);
      const attempt = async (type: string) => {
        const outcome = outcomeOf(await coordinator.attempt(anAppend(RUN, type)));
        order.push(`${type} ${outcome}`);
      };
      const first = attempt("first");
      await stalled;
      const waiter = attempt("waiter");
      await vi.advanceTimersByTimeAsync(WAIT_MS);
      await waiter;
      const late = attempt("late");
      await vi.advanceTimersByTimeAsync(1);
      expect(order).toEqual(["waiter OVERLOADED"]);
      proceed();
      await Promise.all([first, late]);
    });

    expect(order).toEqual(["waiter OVERLOADED", "first applied", "late applied"]);
    expect(await typesOf()).toEqual(["first", "late"]);
  });

  it("works again when the stall is over", async () => {
    const { db, stalled, proceed } = stalling();
    const outcomes = await withCoordinators(async (create) => {
      const coordinator = create(db);
      const first = coordinator.attempt(anAppend(RUN, "first"));
      await stalled;
      const waiter = coordinator.attempt(anAppend(RUN, "waiter"));
      await vi.advanceTimersByTimeAsync(WAIT_MS);
      proceed();
      await Promise.all([first, waiter]);
      return Promise.all(upTo(5).map((n) => coordinator.attempt(anAppend(RUN, `later ${n}`))));
    });

    expect(outcomes.map(outcomeOf)).toEqual(upTo(5).map(() => "applied"));
    expect(await typesOf()).toEqual(["first", ...upTo(5).map((n) => `later ${n}`)]);
  });
});
