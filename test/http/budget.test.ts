/** How the requests of an isolate share what there is. The clock is turned by hand. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { Budget, type Holding } from "../../src/http/budget.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
});
afterEach(() => {
  vi.useRealTimers();
});

const budget = (size: number) =>
  new Budget({ size, share: Infinity, waitMs: 1_000, waitingMax: 2 });
const overloaded = expect.objectContaining({ code: "OVERLOADED" }) as unknown;

/** What becomes of a call: its holding, its error, or nothing yet. */
function watched(taken: Promise<Holding>) {
  const seen: { holding: Holding | null; error: unknown } = { holding: null, error: null };
  const ended = taken.then(
    (holding) => (seen.holding = holding),
    (error: unknown) => (seen.error = error),
  );
  return { seen, ended };
}

it("is given out up to its size, and again when it is given back", async () => {
  const places = budget(2);
  const first = await places.take("a", 1, 60_000);
  await places.take("a", 1, 60_000);
  const third = watched(places.take("a", 1, 60_000));
  await vi.advanceTimersByTimeAsync(500);
  expect(third.seen).toEqual({ holding: null, error: null });
  first.release();
  await third.ended;
  expect(third.seen.holding).not.toBeNull();
  // Once is once.
  first.release();
  const fourth = watched(places.take("a", 1, 60_000));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(fourth.seen.error).toEqual(overloaded);
});

it("turns away a request whose turn does not come in time, and one that comes when many wait", async () => {
  const places = budget(1);
  await places.take("a", 1, 60_000);
  const waiting = [watched(places.take("a", 1, 60_000)), watched(places.take("a", 1, 60_000))];
  await expect(places.take("a", 1, 60_000)).rejects.toEqual(overloaded);
  await vi.advanceTimersByTimeAsync(999);
  expect(waiting.map(({ seen }) => seen.error)).toEqual([null, null]);
  await vi.advanceTimersByTimeAsync(1);
  expect(waiting.map(({ seen }) => seen.error)).toEqual([overloaded, overloaded]);
  expect(vi.getTimerCount()).toBe(0);
});

it("serves requests in their order: small ones do not overtake a large one", async () => {
  const bytes = budget(10);
  const held = await bytes.take("a", 6, 60_000);
  const large = watched(bytes.take("a", 8, 60_000));
  const small = watched(bytes.take("a", 1, 60_000));
  await vi.advanceTimersByTimeAsync(1);
  expect(small.seen.holding).toBeNull();
  held.release();
  await Promise.all([large.ended, small.ended]);
  expect([large.seen.error, small.seen.error]).toEqual([null, null]);
});

it("lets the requests through that waited behind one that was turned away", async () => {
  const bytes = budget(10);
  await bytes.take("a", 6, 60_000);
  const large = watched(bytes.take("a", 8, 60_000));
  await vi.advanceTimersByTimeAsync(500);
  const small = watched(bytes.take("a", 1, 60_000));
  await vi.advanceTimersByTimeAsync(500);
  await Promise.all([large.ended, small.ended]);
  expect([large.seen.error, small.seen.error]).toEqual([overloaded, null]);
});

it("takes more for one that has some already, and all of it comes back together", async () => {
  const bytes = budget(10);
  const body = await bytes.take("a", 0, 60_000);
  await body.more(4);
  await body.more(6);
  const other = watched(bytes.take("a", 1, 60_000));
  await vi.advanceTimersByTimeAsync(500);
  expect(other.seen.holding).toBeNull();
  body.release();
  await other.ended;
  expect(other.seen.holding).not.toBeNull();
});

it("forgets requests whose time is up and that never gave their places back", async () => {
  const places = budget(1);
  await places.take("a", 1, 300);
  const next = watched(places.take("a", 1, 60_000));
  await vi.advanceTimersByTimeAsync(1_000);
  await next.ended;
  expect(next.seen.error).toBeNull();
  await expect(places.take("a", 0, 60_000)).resolves.toBeDefined();
});

it("leaves something to the others, however much one owner wants", async () => {
  const bytes = new Budget({ size: 10, share: 8, waitMs: 1_000, waitingMax: 2 });
  const body = await bytes.take("slow", 8, 60_000);
  await expect(body.more(1)).rejects.toEqual(overloaded);
  await expect(bytes.take("slow", 1, 60_000)).rejects.toEqual(overloaded);
  const other = await bytes.take("other", 2, 60_000);
  body.release();
  other.release();
  await expect(bytes.take("slow", 8, 60_000)).resolves.toBeDefined();
});
