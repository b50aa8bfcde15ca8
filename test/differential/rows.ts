/** The rows that random commits write, and the values they are found by: few, so that they meet. */
import fc from "fast-check";
import {
  CALL_TOKENS_MAX,
  COMMIT_ID_CHARS,
  COST_MAX,
  signalId,
  stageJob,
} from "../../src/model/index.ts";
import { LONG_TEXT_MAX, LONG_TEXT_MIN } from "../../src/store/long-texts.ts";
import type { Status } from "../../src/contract/index.ts";

/** Stands for what is found when the commit is attempted: the row's token, or the commit's own id. */
export const CURRENT = "current".padEnd(COMMIT_ID_CHARS, "0");

/** Stands for the version or the attempt of the row as it is found. */
export const CURRENT_NUMBER = -7;

/** Stands for a text so large that a row holds one of them, not two. */
export const LARGE = "large";

/** The id of the n-th commit of a sequence. */
export function commitId(n: number): string {
  return n.toString(36).padStart(9, "0").padEnd(COMMIT_ID_CHARS, "x");
}

export const of = fc.constantFrom;
export const nullable = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null, freq: 3 });

// U+1F600 comes before U+FFFD in UTF-16, and after it in UTF-8.
export const RUNS = ["r", "s", "\u{1f600}", "\ufffd"] as const;
const LATER_RUNS = ["t", "u"];
const STAGES = ["a", "b/1.0", "\u{1f600}", "\ufffd"] as const;
export const workflowRunId = of("r", "r", "r", "r", ...RUNS);
export const stageId = of("a", "a", "a", "a", ...STAGES);
export const key = of("k", "k", "k", "k", "k", "K", "", "kk", "\u{1f600}", "\ufffd");
export const ordinal = of("1", "1", "2", "3", "4");
/** More than rows, so that there is room for some. */
export const jobOrdinal = of("1", "1", "2", "3", "4", "5", "6", "7", "8");
export const instant = of(0, 1, 10, 10, 20, 50, 100, -5);
export const status = of<Status[]>(
  "PENDING",
  "PENDING",
  "RUNNING",
  "RUNNING",
  "SUSPENDED",
  "COMPLETED",
  "FAILED",
  "CANCELLED",
  "SKIPPED",
);
export const number = of(0, 1, 0.1, 0.2, -0, 2.5, 1e16, -3, 5e-324);
export const whole = of(0, 1, 1, 2, -1);
export const count = of(0, 1, 1, 2, -0);
export const tokens = of(0, 1, 2, -0, CALL_TOKENS_MAX);
export const cost = of(0, -0, 0.1, 0.2, 2.5, 5e-324, COST_MAX);
export const shortText = of("{}", "1", '"\u00e9"', "it's", "");
/** Texts that stand beside their rows, and those that are just too short or too long for it. */
const middling = of(
  "m".repeat(LONG_TEXT_MIN),
  "\u00e9".repeat(LONG_TEXT_MIN / 2),
  "n".repeat(LONG_TEXT_MAX),
  "s".repeat(LONG_TEXT_MIN - 1),
  "l".repeat(LONG_TEXT_MAX + 1),
);
export const text = fc.oneof(
  { weight: 90, arbitrary: shortText },
  { weight: 30, arbitrary: middling },
  { weight: 1, arbitrary: of(LARGE) },
);
export const recordId = fc.oneof(
  of("r/a/1.1"),
  fc
    .tuple(workflowRunId, stageId, of("1", "2"))
    .map(([run, stage, n]) => `${run}/${stage}/${run.length}.${n}`),
);
export const bump = of(0, 1, 1, 2);
/** Few, so that jobs have to share them. */
export const DEDUPE_KEYS = ["d", "\u{1f600}"] as const;
const CONCURRENCY_KEYS = ["c", "c", "c", "c", "", "\u{1f600}", "\ufffd"] as const;

export const jobKey = { workflowRunId, ordinal: jobOrdinal };
export const event = { workflowRunId, sequence: of(1, 1, 2, 3) };
export const idempotencyKey = { key, commandType: of("c", "c", "d") };

export const runSet = fc.record(
  {
    status,
    startedAt: nullable(instant),
    completedAt: nullable(instant),
    duration: nullable(number),
    output: nullable(text),
    totalCost: cost,
    totalTokens: count,
  },
  { requiredKeys: [] },
);
export const stageSet = fc.record(
  {
    status,
    startedAt: nullable(instant),
    completedAt: nullable(instant),
    duration: nullable(number),
    outputData: nullable(text),
    config: nullable(text),
    suspendedState: nullable(text),
    resumeData: nullable(text),
    nextPollAt: nullable(instant),
    pollInterval: nullable(number),
    maxWaitUntil: nullable(instant),
    metrics: nullable(text),
    embeddingInfo: nullable(text),
    errorMessage: nullable(text),
  },
  { requiredKeys: [] },
);

/** Ordinals are unique: a run always has the same one. */
export function runRow(id: string) {
  return fc.record({
    id: of(id),
    ordinal: of(String(1 + [...RUNS, ...LATER_RUNS].findIndex((run) => run === id))),
    createdAt: instant,
    updatedAt: instant,
    version: of(1, 2),
    workflowId: of("w", "w2"),
    workflowName: of("W", "", "Wä_%w"),
    workflowType: of("t", ""),
    status,
    startedAt: nullable(instant),
    completedAt: nullable(instant),
    duration: nullable(number),
    input: text,
    output: nullable(text),
    config: text,
    totalCost: cost,
    totalTokens: count,
    priority: of(5, 5, 1),
    metadata: nullable(text),
  });
}

/** Signals of one name stand beside those of names that begin alike. */
export const signalName = of("n", "n", "n", "n/", "nn", "\u{1f600}");
export const signalKey = of("k", "k", "kk", "", "/", "\u{10ffff}\u{10ffff}");
export const signalRow = fc
  .tuple(
    fc.record({
      workflowRunId,
      name: signalName,
      ordinal,
      receivedAt: instant,
      payload: text,
      takenAt: of(null, null, null, 10),
    }),
    signalKey,
  )
  .map(([row, given]) => ({ ...row, id: signalId(row.name, given) }));

/** What a stage takes, mostly the outputs of stages that there may be. */
const inputText = of(
  '{"from":["a"]}',
  '{"from":["a"]}',
  '{"from":["a","b/1.0","a"]}',
  '{"from":["nobody","\u{1f600}","\ufffd"]}',
  JSON.stringify({ from: ["a", "b/1.0"], more: "m".repeat(LONG_TEXT_MIN) }),
  '{"from":[]}',
  '{"from":"a"}',
  '{"from":{"first":"a"}}',
  '{"from":[["a"],null,1,true]}',
  '["a"]',
  '"a"',
);

const stageColumns = fc.record({
  workflowRunId,
  stageId,
  createdAt: instant,
  updatedAt: instant,
  version: of(1, 2),
  stageName: of("n"),
  stageNumber: whole,
  executionGroup: whole,
  attempt: of(0),
  status,
  startedAt: nullable(instant),
  completedAt: nullable(instant),
  duration: nullable(number),
  inputData: nullable(inputText),
  outputData: nullable(text),
  config: nullable(text),
  suspendedState: nullable(text),
  resumeData: nullable(text),
  nextPollAt: nullable(instant),
  pollInterval: nullable(number),
  maxWaitUntil: nullable(instant),
  metrics: nullable(text),
  embeddingInfo: nullable(text),
  errorMessage: nullable(text),
});

/** What an update by the engine sets, too. */
export const attemptSet = fc
  .tuple(stageSet, of(undefined, undefined, 0, 1, 2))
  .map(([set, attempt]) => (attempt === undefined ? set : { ...set, attempt }));

export const jobRow = fc.record({
  ...jobKey,
  createdAt: instant,
  updatedAt: instant,
  workflowId: of("w"),
  stageId,
  status: of<Status[]>(
    "PENDING",
    "PENDING",
    "PENDING",
    "RUNNING",
    "RUNNING",
    "SUSPENDED",
    "FAILED",
  ),
  priority: of(1, 5, 5),
  workerId: nullable(of("w")),
  lockedAt: nullable(instant),
  startedAt: nullable(instant),
  completedAt: nullable(instant),
  attempt: of(0, 1, 3),
  maxAttempts: of(3),
  failures: of(0, 0, 1, 2),
  undelivered: of(0, 0, 1, 25),
  unanswered: of(0, 0, 1),
  lastError: nullable(shortText),
  nextPollAt: nullable(instant),
  payload: fc.oneof({ weight: 3, arbitrary: text }, of(stageJob({}))),
  dedupeKey: of(null, null, ...DEDUPE_KEYS),
  concurrencyKey: of(null, null, ...CONCURRENCY_KEYS),
  concurrencyLimit: of(1, 2, 3, 4, null),
});

export const stageRow = fc.tuple(stageColumns, of("1", "2")).map(([row, n]) => ({
  ...row,
  id: `${row.workflowRunId}/${row.stageId}/${row.workflowRunId.length}.${n}`,
}));
