import { describe, expect, it } from "vitest";
import {
  check,
  type Claimed,
  type Enqueued,
  type HistoryEvent,
  type Released,
  type Rule,
  type Settled,
} from "./checker.ts";

/** Events one after the other, in the order in which they are made. */
class Script {
  readonly events: HistoryEvent[] = [];
  #sequence = 0;

  #interval() {
    this.#sequence += 2;
    return { from: this.#sequence - 1, to: this.#sequence };
  }

  enqueued(jobId: string, more: Partial<Enqueued> = {}): this {
    const job = { jobId, priority: 5, order: jobId, dueAt: 0 };
    this.events.push({ kind: "enqueued", ...this.#interval(), ...job, ...more });
    return this;
  }

  claimed(worker: string, jobs: readonly [string, number][], more: Partial<Claimed> = {}): this {
    this.events.push({
      kind: "claimed",
      ...this.#interval(),
      worker,
      at: 1_000,
      wanted: jobs.length,
      jobs: jobs.map(([jobId, attempt]) => ({ jobId, attempt })),
      ...more,
    });
    return this;
  }

  settled(worker: string, jobId: string, attempt: number, more: Partial<Settled> = {}): this {
    this.events.push({
      kind: "settled",
      ...this.#interval(),
      worker,
      jobId,
      attempt,
      answer: "accepted",
      outcome: "completed",
      ...more,
    });
    return this;
  }

  released(jobId: string, attempt: number, more: Partial<Released> = {}): this {
    this.events.push({
      kind: "released",
      ...this.#interval(),
      worker: "sweep",
      jobId,
      attempt,
      answer: "accepted",
      final: false,
      ...more,
    });
    return this;
  }

  rules(): Rule[] {
    return [...new Set(check(this.events).map(({ rule }) => rule))];
  }
}

const script = () => new Script();
const keyed = { key: "k", limit: 1 };

describe("a history that nothing is wrong with", () => {
  const good: readonly [string, Script][] = [
    ["is empty", script()],
    ["has a job that is claimed and completed", simple()],
    [
      "has a lease that expires, a further attempt, and a late result that is refused",
      script()
        .enqueued("a")
        .claimed("w1", [["a", 1]])
        .released("a", 1)
        .claimed("w2", [["a", 2]])
        .settled("w1", "a", 1, { answer: "refused" })
        .settled("w2", "a", 2),
    ],
    [
      "has a late result that is accepted, for nobody has got the job since",
      script()
        .enqueued("a")
        .claimed("w1", [["a", 1]])
        .released("a", 1)
        .settled("w1", "a", 1),
    ],
    [
      "has a retry and a suspension",
      script()
        .enqueued("a")
        .claimed("w", [["a", 1]])
        .settled("w", "a", 1, { outcome: "retried", dueAt: 500 })
        .claimed("w", [["a", 2]])
        .settled("w", "a", 2, { outcome: "suspended" })
        .claimed("w", [["a", 3]])
        .settled("w", "a", 3, { outcome: "failed" }),
    ],
    [
      "has a last lease that expires",
      script()
        .enqueued("a")
        .claimed("w", [["a", 1]])
        .released("a", 1, { final: true }),
    ],
    [
      "has a claim of which nothing is known, and so an attempt that nobody was given",
      script()
        .enqueued("a")
        .enqueued("b", { priority: 1 })
        .claimed("w1", [], { jobs: null, wanted: 1 })
        .claimed("w2", [["b", 1]])
        .settled("w2", "b", 1)
        .released("a", 1)
        .claimed("w2", [["a", 2]])
        .settled("w2", "a", 2),
    ],
    [
      "has an end of which nobody knows whether it came about",
      script()
        .enqueued("a")
        .claimed("w1", [["a", 1]])
        .settled("w1", "a", 1, { answer: "unknown" }),
    ],
    [
      "has jobs claimed by priority, then age, what is not due left alone",
      script()
        .enqueued("a", { priority: 1 })
        .enqueued("b", { priority: 9 })
        .enqueued("c", { priority: 10, dueAt: 2_000 })
        .enqueued("d", { priority: 9 })
        .claimed("w", [["b", 1]])
        .claimed("w", [
          ["d", 1],
          ["a", 1],
        ])
        .claimed("w", [], { wanted: 3 })
        .claimed("w", [["c", 1]], { at: 2_000 })
        .settled("w", "a", 1)
        .settled("w", "b", 1)
        .settled("w", "c", 1)
        .settled("w", "d", 1),
    ],
    [
      "has a worse job claimed while a better one was just being added",
      script()
        .enqueued("b", { priority: 1 })
        .enqueued("a", { priority: 9, from: 3, to: 6 })
        .claimed("w", [["b", 1]], { from: 4, to: 5 })
        .claimed("w", [["a", 1]])
        .settled("w", "a", 1)
        .settled("w", "b", 1),
    ],
    [
      "has the jobs of a key one after the other, and those of others past them",
      script()
        .enqueued("a", { ...keyed, priority: 9 })
        .enqueued("b", { ...keyed, priority: 9 })
        .enqueued("c")
        .claimed("w1", [
          ["a", 1],
          ["c", 1],
        ])
        .settled("w1", "a", 1)
        .claimed("w2", [["b", 1]])
        .settled("w2", "b", 1)
        .settled("w1", "c", 1),
    ],
  ];
  it.each(good)("%s", (_, history) => {
    expect(check(history.events)).toEqual([]);
  });
});

function simple(): Script {
  return script()
    .enqueued("a")
    .claimed("w", [["a", 1]])
    .settled("w", "a", 1);
}

describe("a history that breaks one rule, and no other:", () => {
  const bad: readonly [Rule, string, Script][] = [
    [
      "leased-twice",
      "a further attempt is given out although nothing has ended the one before",
      script()
        .enqueued("a")
        .claimed("w1", [["a", 1]])
        .claimed("w2", [["a", 2]])
        .settled("w1", "a", 1, { answer: "refused" })
        .settled("w2", "a", 2),
    ],
    [
      "leased-twice",
      "the lease is ended after the further attempt was given out",
      script()
        .enqueued("a")
        .claimed("w1", [["a", 1]])
        .claimed("w2", [["a", 2]])
        .released("a", 1)
        .settled("w2", "a", 2),
    ],
    [
      "attempt-order",
      "the same attempt is given out twice",
      script()
        .enqueued("a")
        .claimed("w1", [["a", 1]])
        .released("a", 1)
        .claimed("w2", [["a", 1]])
        .settled("w2", "a", 1),
    ],
    [
      "attempt-order",
      "a later claim has a lower attempt",
      script()
        .enqueued("a")
        .claimed("w1", [["a", 2]])
        .released("a", 1)
        .claimed("w2", [["a", 1]])
        .settled("w1", "a", 2),
    ],
    [
      "settled-without-lease",
      "a late result is accepted although a later attempt was given out",
      script()
        .enqueued("a")
        .claimed("w1", [["a", 1]])
        .released("a", 1)
        .claimed("w2", [["a", 2]])
        .settled("w1", "a", 1)
        .settled("w2", "a", 2, { answer: "refused" }),
    ],
    [
      "settled-without-lease",
      "an attempt is accepted that was never given out",
      script().enqueued("a").settled("w", "a", 1),
    ],
    [
      "priority",
      "a job of lower priority is taken",
      script()
        .enqueued("a", { priority: 1 })
        .enqueued("b", { priority: 2 })
        .claimed("w", [["a", 1]])
        .claimed("w", [["b", 1]])
        .settled("w", "a", 1)
        .settled("w", "b", 1),
    ],
    [
      "priority",
      "a younger job of the same priority is taken, while the older one is due again",
      script()
        .enqueued("a")
        .enqueued("b")
        .claimed("w", [["a", 1]])
        .released("a", 1)
        .claimed("w", [["b", 1]])
        .claimed("w", [["a", 2]])
        .settled("w", "a", 2)
        .settled("w", "b", 1),
    ],
    [
      "left-behind",
      "a claim comes back empty although a job is due",
      script()
        .enqueued("a")
        .claimed("w1", [], { wanted: 1 })
        .claimed("w2", [["a", 1]])
        .settled("w2", "a", 1),
    ],
    [
      "left-behind",
      "a retry that is due is not taken, although there is room",
      script()
        .enqueued("a")
        .enqueued("b", { priority: 9 })
        .claimed("w", [["b", 1]])
        .claimed("w", [["a", 1]])
        .settled("w", "a", 1, { outcome: "retried", dueAt: 900 })
        .settled("w", "b", 1)
        .claimed("w", [], { wanted: 5, at: 899 })
        .claimed("w", [], { wanted: 5, at: 900 })
        .claimed("w", [["a", 2]])
        .settled("w", "a", 2),
    ],
    [
      "lost",
      "a job is claimed, and nothing more",
      script()
        .enqueued("a")
        .claimed("w", [["a", 1]]),
    ],
    ["lost", "a job is never claimed", script().enqueued("a")],
    [
      "lost",
      "a job is suspended for ever",
      script()
        .enqueued("a")
        .claimed("w", [["a", 1]])
        .settled("w", "a", 1, { outcome: "suspended" }),
    ],
    ["ended-twice", "a job is completed twice", simple().settled("w", "a", 1)],
    [
      "ended-twice",
      "a job is completed, and its lease runs out for good",
      simple().released("a", 1, { final: true }),
    ],
    [
      "concurrency",
      "two jobs of a key are leased where one may be",
      script()
        .enqueued("a", keyed)
        .enqueued("b", keyed)
        .claimed("w1", [["a", 1]])
        .claimed("w2", [["b", 1]])
        .settled("w1", "a", 1)
        .settled("w2", "b", 1),
    ],
    [
      "concurrency",
      "one claim takes more of a key than may be leased",
      script()
        .enqueued("a", { key: "k", limit: 2 })
        .enqueued("b", { key: "k", limit: 2 })
        .enqueued("c", { key: "k", limit: 2 })
        .claimed("w", [
          ["a", 1],
          ["b", 1],
          ["c", 1],
        ])
        .settled("w", "a", 1)
        .settled("w", "b", 1)
        .settled("w", "c", 1),
    ],
    [
      "concurrency",
      "the slot of a dead worker is given away before its lease is ended",
      script()
        .enqueued("a", keyed)
        .enqueued("b", keyed)
        .claimed("w1", [["a", 1]])
        .claimed("w2", [["b", 1]])
        .released("a", 1)
        .settled("w2", "b", 1)
        .claimed("w2", [["a", 2]])
        .settled("w2", "a", 2),
    ],
  ];
  it.each(bad)("%s: %s", (rule, _, history) => {
    expect(history.rules()).toEqual([rule]);
  });

  it("there is one for every rule", () => {
    expect(new Set(bad.map(([rule]) => rule))).toEqual(
      new Set<Rule>([
        "leased-twice",
        "attempt-order",
        "settled-without-lease",
        "priority",
        "left-behind",
        "lost",
        "ended-twice",
        "concurrency",
      ]),
    );
  });
});
