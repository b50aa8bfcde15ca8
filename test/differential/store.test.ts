/** The two stores below the contract: random commits must be refused alike, or answered alike and leave the same rows. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Change,
  type Commit,
  type CommitOutcome,
  type Guard,
  type Store,
} from "../../src/changes/index.ts";
import { ROW_BYTES_MAX } from "../../src/model/index.ts";
import { type Query } from "../../src/queries/index.ts";
import { isServiceError } from "../../src/contract/index.ts";
import { guardOfRow } from "../../src/persistence/transaction/read-set.ts";
import { listTokens } from "../../src/memory/row-guards.ts";
import { compareUtf8 } from "../../src/model/order.ts";
import type { State } from "../../src/model/state.ts";
import { createMemoryStore } from "../../src/memory/store.ts";
import { D1Store } from "../../src/store/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { CHANGES } from "./changes.ts";
import { type Attempt, attempts } from "./commits.ts";
import { EFFECTS, watch } from "./effects.ts";
import { GUARDS } from "./guards.ts";
import { Pairs } from "./pairs.ts";
import { QUERIES } from "./queries.ts";
import { commitId, CURRENT, CURRENT_NUMBER, LARGE } from "./rows.ts";
import { dumpD1, dumpMemory } from "./world.ts";

/** Set both to what a failure reports to see it again; null: the seed below, and a new one. */
const FAST_CHECK_SEED: number | null = null;
const FAST_CHECK_PATH: string | null = null;
const SEEDS = [1] as const;
/** Sequences of each seed. */
const NUM_RUNS = 50;
/** Further seeds are tried while there is a kind that has not been met. */
const SEEDS_MAX = 12;
/** Bounds the search for a smaller sequence that fails. */
const TIME_LIMIT_MS = 60_000;

/** What has been met, by name. */
type Met = Map<string, number>;

const EXPECTATIONS: { readonly [On in Guard["on"]]: readonly string[] } = {
  run: ["present", "absent", "unchanged", "version", "status"],
  stage: ["present", "absent", "unchanged", "version", "record", "recordIn", "status"],
  artifact: ["present", "absent", "unchanged"],
  outboxEvent: ["present", "absent", "unchanged"],
  idempotencyKey: ["absent", "unchanged"],
  job: ["present", "absent", "unchanged", "attempt", "leased"],
  noSignal: ["absent"],
  dedupeKey: ["absent"],
  list: ["stages", "artifacts", "annotations", "jobs"],
  outboxTail: ["sequence"],
};

const EXPECTED = [
  ...Object.keys(CHANGES).map((kind) => `change ${kind}`),
  ...(Object.keys(GUARDS) as Guard["on"][]).flatMap((on) =>
    EXPECTATIONS[on].flatMap((is) => [`guard ${on} ${is} held`, `guard ${on} ${is} violated`]),
  ),
  ...Object.keys(QUERIES).map((q) => `query ${q} with an answer`),
  ...EFFECTS,
];

describe("Random commits", () => {
  it(
    "have the same outcome, the same answers and the same rows on D1 and in memory",
    async () => {
      const met: Met = new Map();
      for (const seed of seeds(met)) await check(seed, met);
      const totals = ["applied", "refused", "failed"].map((name) => `${name} ${met.get(name)}`);
      console.log(`${totals.join(", ")}; ${EXPECTED.length} kinds of things to meet`);
      // Seen again, one failure need not show all the rest.
      if (FAST_CHECK_SEED === null) expect(missing(met)).toEqual([]);
    },
    4 * TIME_LIMIT_MS,
  );
});

function missing(met: Met): string[] {
  return EXPECTED.filter((name) => !met.has(name));
}

function* seeds(met: Met): Iterable<number> {
  if (FAST_CHECK_SEED !== null) {
    yield FAST_CHECK_SEED;
    return;
  }
  yield* SEEDS;
  const own = Math.trunc(Math.random() * 2 ** 31);
  yield own;
  for (let more = 1; more <= SEEDS_MAX && missing(met).length > 0; more += 1) {
    yield own + more;
  }
}

async function check(seed: number, met: Met): Promise<void> {
  console.log(`fast-check seed ${seed}, ${NUM_RUNS} sequences of commits`);
  await fc.assert(
    fc.asyncProperty(attempts, (sequence) => compare(sequence, met)),
    {
      seed,
      numRuns: NUM_RUNS,
      interruptAfterTimeLimit: TIME_LIMIT_MS,
      ...(FAST_CHECK_PATH === null ? {} : { path: FAST_CHECK_PATH }),
    },
  );
}

async function compare(sequence: readonly Attempt[], met: Met): Promise<void> {
  await emptyDatabase();
  const d1 = new D1Store(env.DB);
  const memory = createMemoryStore();
  for (const [index, attempt] of sequence.entries()) {
    const commit = resolved(attempt, commitId(index), memory.state);
    const effects = watch(memory.state, commit);
    const actual = inOrder(await outcomeOf(d1, commit), commit);
    const expected = inOrder(await outcomeOf(memory, commit), commit);
    const pairs = new Pairs();
    const found =
      pairs.difference(actual, expected, "outcome") ??
      pairs.difference(await dumpD1(), dumpMemory(memory.state), "rows");
    if (found !== null) throw new Error(`Commit ${index} of ${sequence.length}: ${found}`);
    note(met, commit, expected);
    if ("applied" in expected && expected.applied)
      for (const effect of effects()) count(met, effect);
    // Without what it begins with (a row of it was too large), a sequence has nothing to say.
    if (index === 0 && "fault" in expected) return;
  }
}

type Outcome = CommitOutcome | { readonly fault: boolean };

/** A row that is too large, and one that is taken although no guard has looked. */
const FAULTS = new Set(["PAYLOAD_TOO_LARGE", "INTERNAL"]);

async function outcomeOf(store: Store, commit: Commit): Promise<Outcome> {
  try {
    return await store.attempt(commit);
  } catch (error) {
    // Which of a commit's faults a store finds first, and in which words it tells it, is its own affair.
    if (isServiceError(error)) return { fault: FAULTS.has(error.code) };
    throw error;
  }
}

/** Answered in no particular order. */
const UNORDERED = new Set<Query["q"]>(["audit", "jobStates", "unwrittenJobs"]);

function inOrder(outcome: Outcome, { reads }: Commit): Outcome {
  if (!("applied" in outcome) || !outcome.applied) return outcome;
  const results = outcome.results.map((result, index) =>
    UNORDERED.has(reads[index]?.q ?? "run") && Array.isArray(result)
      ? result.toSorted((a, b) => compareUtf8(JSON.stringify(a), JSON.stringify(b)))
      : result,
  );
  return { ...outcome, results };
}

/** The commit, with what stood for a large text, for a token or for its own id put in. */
function resolved({ guards, changes, reads }: Attempt, id: string, state: State): Commit {
  return {
    id,
    guards: guards.map((guard) => withToken(guard, state)),
    changes: changes.map((change) => withAttempt(enlarged(change), state)),
    reads: reads.map((query) => withCommit(query, id)),
  };
}

const LARGE_TEXT = "X".repeat(ROW_BYTES_MAX / 2 + 1);

function enlarged<T>(value: T): T {
  if (value === LARGE) return LARGE_TEXT as T;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(enlarged) as T;
  return Object.fromEntries(
    Object.entries(value).map(([name, member]: [string, unknown]) => [name, enlarged(member)]),
  ) as T;
}

/** With the attempt that the job has, where it stands for that. */
function withAttempt(change: Change, state: State): Change {
  if (change.kind !== "moveJob" && change.kind !== "leaveGroup") return change;
  if (change.attempt !== CURRENT_NUMBER) return change;
  const job = state.jobs.get(change.workflowRunId, change.ordinal);
  return { ...change, attempt: job?.attempt ?? 1 };
}

function withToken(guard: Guard, state: State): Guard {
  if (guard.on === "outboxTail" || guard.on === "dedupeKey" || guard.on === "noSignal") {
    return guard;
  }
  if (guard.on === "list") {
    if (guard.tokens !== CURRENT) return guard;
    const { list, workflowRunId, status } = guard;
    return { ...guard, tokens: listTokens(state, list, workflowRunId, status) };
  }
  if (guard.on === "run" || guard.on === "stage") {
    const { expect: expected } = guard;
    if (expected.is === "version" && expected.version === CURRENT_NUMBER) {
      const row =
        guard.on === "run"
          ? state.runs.get(guard.id, "")
          : state.stages.get(guard.workflowRunId, guard.stageId);
      return { ...guard, expect: { is: "version", version: row?.version ?? 1 } };
    }
  }
  if (guard.on === "job" && "attempt" in guard.expect) {
    if (guard.expect.attempt !== CURRENT_NUMBER) return guard;
    const job = state.jobs.get(guard.workflowRunId, guard.ordinal);
    const attempt = job?.attempt ?? 1;
    if (guard.expect.is === "attempt") return { ...guard, expect: { is: "attempt", attempt } };
    const { stageId: given } = guard.expect;
    const stageId = given === CURRENT ? (job?.stageId ?? "none") : given;
    return { ...guard, expect: { is: "leased", attempt, stageId } };
  }
  const { expect: expectation } = guard;
  const current = expectation.is === "unchanged" && expectation.token === CURRENT;
  return current ? guardOfRow(state, guard) : guard;
}

function withCommit(query: Query, id: string): Query {
  return "commitId" in query && query.commitId === CURRENT ? { ...query, commitId: id } : query;
}

function count(met: Met, name: string): void {
  met.set(name, (met.get(name) ?? 0) + 1);
}

function note(met: Met, { guards, changes, reads }: Commit, outcome: Outcome): void {
  if ("fault" in outcome) {
    count(met, "failed");
    return;
  }
  if (!outcome.applied) {
    count(met, "refused");
    const violated = guards[outcome.violation.guard];
    if (violated !== undefined) count(met, `${named(violated)} violated`);
    return;
  }
  count(met, "applied");
  for (const guard of guards) count(met, `${named(guard)} held`);
  for (const change of changes) count(met, `change ${change.kind}`);
  for (const [index, query] of reads.entries()) {
    const result = outcome.results[index];
    const rows =
      typeof result === "object" && result !== null && "rows" in result ? result.rows : result;
    const empty = !rows || (Array.isArray(rows) && rows.length === 0);
    if (!empty) count(met, `query ${query.q} with an answer`);
  }
}

function named(guard: Guard): string {
  if (guard.on === "outboxTail") return "guard outboxTail sequence";
  if (guard.on === "dedupeKey" || guard.on === "noSignal") return `guard ${guard.on} absent`;
  return `guard ${guard.on} ${guard.on === "list" ? guard.list : guard.expect.is}`;
}
