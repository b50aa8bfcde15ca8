import { describe, expect, it } from "vitest";
import { complaints, type HistoryEvent, type JobFacts } from "./history.ts";

const facts = (job: string, more: Partial<JobFacts> = {}): JobFacts => ({
  job,
  priority: 5,
  concurrencyKey: null,
  concurrencyLimit: 1,
  status: "COMPLETED",
  attempt: 1,
  ...more,
});

let clock = 0;
const event = (
  kind: HistoryEvent["kind"],
  job: string,
  attempt = 1,
  more: { from?: number; to?: number } = {},
) => {
  clock += 2;
  return { kind, worker: "w", job, attempt, from: clock, to: clock + 1, ...more } as HistoryEvent;
};

const GOOD: readonly HistoryEvent[] = [
  event("claimed", "a"),
  event("expired", "a"),
  event("claimed", "a", 2),
  event("lost", "a"),
  event("retried", "a", 2),
  event("claimed", "a", 3),
  event("completed", "a", 3),
];

describe("the judge of histories", () => {
  it("finds nothing wrong with a good one", () => {
    expect(complaints([facts("a", { attempt: 3 })], GOOD)).toEqual([]);
  });

  it("finds nothing wrong with a lease that nobody heard of, if it expired", () => {
    const events = [event("expired", "a", 1), event("claimed", "a", 2), event("completed", "a", 2)];
    expect(complaints([facts("a", { attempt: 2 })], events)).toEqual([]);
  });

  it("finds nothing wrong where calls overlap, and either may have been first", () => {
    const first = event("claimed", "a", 1);
    const end = event("expired", "a", 1, { from: first.to, to: first.to + 10 });
    const second = event("claimed", "a", 2, { from: end.from, to: end.to });
    expect(
      complaints(
        [facts("a", { attempt: 2 })],
        [first, end, second, event("completed", "a", 2, { from: 1_000, to: 1_001 })],
      ),
    ).toEqual([]);
  });

  it.each<[string, readonly JobFacts[], readonly HistoryEvent[], RegExp]>([
    [
      "two leases at one time",
      [facts("a", { attempt: 2 })],
      [
        event("claimed", "a"),
        event("claimed", "a", 2),
        event("completed", "a", 2),
        event("expired", "a", 1),
      ],
      /attempts 1 and 2 were leased at one time/,
    ],
    [
      "an attempt that is given twice",
      [facts("a", { attempt: 2 })],
      [
        event("claimed", "a"),
        event("expired", "a"),
        event("claimed", "a", 1),
        event("completed", "a", 1),
      ],
      /attempt 1 where 2 was next/,
    ],
    [
      "attempts that decrease",
      [facts("a", { attempt: 2 })],
      [
        event("claimed", "a", 2),
        event("retried", "a", 2),
        event("claimed", "a", 1),
        event("completed", "a", 1),
      ],
      /attempt 2 came before 1/,
    ],
    [
      "a job that is completed twice",
      [facts("a", { attempt: 2 })],
      [
        event("claimed", "a"),
        event("completed", "a"),
        event("claimed", "a", 2),
        event("completed", "a", 2),
      ],
      /came to its end 2 times/,
    ],
    [
      "a settle of an attempt that nobody was given",
      [facts("a")],
      [event("claimed", "a"), event("completed", "a"), event("retried", "a", 7)],
      /attempt 7 ended and was never given/,
    ],
    [
      "a job that is lost",
      [facts("a", { status: "PENDING", attempt: 0 })],
      [],
      /is PENDING in the end/,
    ],
    ["a job that nobody completed", [facts("a")], [event("claimed", "a")], /nobody completed it/],
    [
      "a delivery that the row does not know",
      [facts("a", { attempt: 2 })],
      [event("claimed", "a"), event("completed", "a")],
      /1 deliveries, and the row says 2/,
    ],
    ["a job that nobody enqueued", [], [event("claimed", "x")], /nobody enqueued it/],
    [
      "a limit that is exceeded",
      [facts("a", { concurrencyKey: "k" }), facts("b", { concurrencyKey: "k" })],
      [
        event("claimed", "a"),
        event("claimed", "b"),
        event("completed", "a"),
        event("completed", "b"),
      ],
      /b: the 2th of its key at one time, of 1/,
    ],
    [
      "a job that overtakes a better one",
      [facts("a", { priority: 1 }), facts("b", { priority: 9 })],
      [
        event("claimed", "a"),
        event("completed", "a"),
        event("claimed", "b"),
        event("completed", "b"),
      ],
      /a: claimed before b/,
    ],
  ])("complains of %s", (_what, jobs, events, complaint) => {
    expect(complaints(jobs, events).join("\n")).toMatch(complaint);
  });
});
