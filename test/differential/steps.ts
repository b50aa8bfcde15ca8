/** Sequences of steps: what one caller does, and what several do at once. */
import fc from "fast-check";
import { type Call, callOf, type Method, METHODS } from "./calls.ts";
import type { CallPart, Part, TransactionCall, TransactionPart } from "./perform.ts";
import { seldom } from "./values.ts";

/** Our own structures need no surprises, unlike what callers pass. */
const PLAIN = { noNullPrototype: true } as const;

export interface Step {
  /** How far the clock goes before it. It may stand still, and even go back. */
  readonly tick: number;
  /** More than one: at once. */
  readonly parts: readonly Part[];
}

/** Asked for more often, so that there is something to look at. */
const MAKERS: readonly Method[] = [
  "createRun",
  "updateRun",
  "createStage",
  "createStage",
  "upsertStage",
  "updateStage",
  "updateStageByRunAndStageId",
  "saveArtifact",
  "appendAnnotations",
  "appendOutboxEvents",
  "acquireIdempotencyKey",
  "enqueue",
  "enqueueParallel",
  "dequeue",
  "dequeue",
  "dequeueMany",
];

function callsAmong(methods: readonly Method[]): fc.Arbitrary<Call> {
  const makers = MAKERS.filter((method) => methods.includes(method));
  return fc.oneof(
    { weight: 3 * makers.length + 1, arbitrary: callOf(methods) },
    ...makers.map((method) => ({ weight: 1, arbitrary: callOf([method]) })),
  );
}

/** Takes no argument, so that nothing but the database can make it fail. */
const WITHOUT_ARGUMENTS: readonly Method[] = [
  "dequeue",
  "jobStats",
  "getSuspendedJobsReadyToPoll",
  "claimNextPendingRun",
];

const connection = fc.nat(1);
const aCall = (call: fc.Arbitrary<Call>, outage = false): fc.Arbitrary<CallPart> =>
  fc.record(
    {
      kind: fc.constant("call" as const),
      connection,
      call,
      outage: fc.constant(outage),
    },
    PLAIN,
  );

/**
 * Acts at once, outside the transaction, or takes several steps of its own: which of them come before which calls
 * beside it is nobody's promise.
 */
const NOT_TOGETHER: readonly Method[] = [
  "dequeue",
  "dequeueMany",
  "completeMany",
  "adopt",
  "jobStats",
  "releaseStaleJobs",
  "getSuspendedJobsReadyToPoll",
  "claimNextPendingRun",
  "updateStageByRunAndStageId",
  "replayDLQEvents",
  "logCall",
  "logBatchResults",
  "getStats",
  "isRecorded",
];

interface Shape {
  readonly calls: fc.Arbitrary<Call>;
  readonly together: fc.Arbitrary<boolean>;
  readonly caught: fc.Arbitrary<boolean>;
  readonly maxLength: number;
}

function transactionOf(shape: Shape): fc.Arbitrary<TransactionPart> {
  const item: fc.Arbitrary<TransactionCall> = fc.record(
    {
      call: shape.calls,
      caught: shape.caught,
      nested: fc.nat(9).map((n) => n === 9),
    },
    PLAIN,
  );
  return fc.record(
    {
      kind: fc.constant("transaction" as const),
      connection,
      calls: fc.array(item, { minLength: 1, maxLength: shape.maxLength, size: "max" }),
      together: shape.together,
      end: fc.constantFrom(
        "return" as const,
        "return" as const,
        "return" as const,
        "return" as const,
        "throw an Error" as const,
        "throw a string" as const,
        "throw undefined" as const,
      ),
      after: seldom(callOf(METHODS.filter((method) => !NOT_OF_A_TRANSACTION.includes(method))), 9),
    },
    PLAIN,
  );
}

/** Of the connection, not of the `tx` that a callback is given. */
const NOT_OF_A_TRANSACTION: readonly Method[] = METHODS.slice(METHODS.indexOf("enqueue"));

const rarely = fc.nat(4).map((n) => n === 4);
const usually = fc.nat(4).map((n) => n !== 4);

/** Lists across runs are read committed inside a transaction. */
const ACROSS_RUNS: readonly Method[] = [
  "getRunsByStatus",
  "getStuckRuns",
  "getSuspendedStages",
  "getUnpublishedOutboxEvents",
  "replayDLQEvents",
  "claimNextPendingRun",
];
/** Acts at once, even inside a transaction that is taken back. */
export const OUTSIDE: readonly Method[] = [
  "dequeue",
  "dequeueMany",
  "jobStats",
  "releaseStaleJobs",
  "getSuspendedJobsReadyToPoll",
  "logCall",
  "logBatchResults",
  "getStats",
  "isRecorded",
];
/** With a stale version it looks twice, and somebody may come in between. */
const LOOKS_TWICE: readonly Method[] = ["updateStageByRunAndStageId"];
/** Changes what a connection may settle from then on, in one world at once and in the other in its turn. */
const OF_A_CONNECTION: readonly Method[] = ["adopt"];
/** Its reports cannot be told apart from another's. */
const UNTRACEABLE: readonly Method[] = ["logCall"];

function except(...lists: readonly (readonly Method[])[]): readonly Method[] {
  return METHODS.filter((method) => !lists.some((list) => list.includes(method)));
}

/** What competes for the same rows. */
const CONTESTS: readonly (readonly Method[])[] = [
  ["updateRun", "claimPendingRun", "getRun", "getRunStatus", "createRun"],
  ["upsertStage", "createStage", "updateStage", "deleteStage", "getStage", "getStagesByRun"],
  ["saveArtifact", "deleteArtifact", "loadArtifact", "listArtifacts", "hasArtifact"],
  ["saveStageOutput", "deleteStage", "createStage", "listArtifacts", "createLog"],
  ["appendAnnotations", "listAnnotations", "deleteStage"],
  ["appendOutboxEvents", "incrementOutboxRetryCount", "moveOutboxEventToDLQ", "updateRun"],
  ["markOutboxEventsPublished", "moveOutboxEventToDLQ", "incrementOutboxRetryCount"],
  ["acquireIdempotencyKey", "completeIdempotencyKey", "releaseIdempotencyKey"],
  ["enqueue", "cancelByRun", "complete", "fail", "touchJob", "getJobsByWorkflowRun", "dequeue"],
  ["releaseStaleJobs", "dequeue", "fail", "suspend", "getSuspendedJobsReadyToPoll"],
  ["enqueue", "dequeueMany", "completeMany", "fail", "suspend", "cancelByRun", "jobStats"],
  except(LOOKS_TWICE, UNTRACEABLE, OF_A_CONNECTION),
];

/** What a transaction does that does one thing: its calls bear on each other. */
const AFFAIRS: readonly (readonly Method[])[] = [
  ...CONTESTS,
  ["createRun", "claimNextPendingRun", "claimPendingRun", "updateRun", "getRunsByStatus"],
  [
    "createStage",
    "deleteStage",
    "saveArtifact",
    "saveStageOutput",
    "appendAnnotations",
    "createLog",
    "listArtifacts",
    "listAnnotations",
  ],
  ["updateStage", "upsertStage", "getStagesByRun", "getSuspendedStages", "getFirstFailedStage"],
  [
    "appendOutboxEvents",
    "markOutboxEventsPublished",
    "moveOutboxEventToDLQ",
    "replayDLQEvents",
    "getUnpublishedOutboxEvents",
  ],
  ["updateRun", "updateStage", "enqueue", "cancelByRun", "getStuckRuns", "getJobsByWorkflowRun"],
];

function transactionAmong(methods: readonly Method[]): fc.Arbitrary<TransactionPart> {
  const inTurn = { caught: usually, together: fc.constant(false), maxLength: 6 };
  return fc.oneof(
    { weight: 2, arbitrary: transactionOf({ ...inTurn, calls: callsAmong(methods) }) },
    {
      weight: 4,
      arbitrary: fc.oneof(
        ...AFFAIRS.map((affair) => transactionOf({ ...inTurn, calls: callOf(affair) })),
      ),
    },
    {
      weight: 1,
      arbitrary: transactionOf({
        calls: callsAmong(methods.filter((method) => !NOT_TOGETHER.includes(method))),
        together: fc.constant(true),
        caught: usually,
        maxLength: 6,
      }),
    },
  );
}

/** Makes something whose place among equals is decided when it is called for, not when it lands. */
const ORDERED: readonly Method[] = ["createRun", "enqueue", "enqueueParallel"];
/** Takes the first of equals. */
const TAKES_FIRST: readonly Method[] = ["dequeue", "dequeueMany", "claimNextPendingRun"];

function methodsOf(part: Part): readonly Method[] {
  return part.kind === "call" ? [part.call.method] : part.calls.map(({ call }) => call.method);
}

/** Settles the attempt that its connection has when it is called, not when it lands. */
const FENCED: readonly Method[] = ["complete", "completeMany", "suspend", "fail", "touchJob"];
const GIVES_ATTEMPTS: readonly Method[] = ["dequeue", "dequeueMany"];

/** Whether one connection is given a job while it may be settling an earlier attempt of it. */
function overtakesItself(parts: readonly Part[]): boolean {
  const calls = (own: number, wanted: readonly Method[]) =>
    parts
      .filter((part) => part.connection === own)
      .some((part) => methodsOf(part).some((name) => wanted.includes(name)));
  return [0, 1].some((own) => calls(own, GIVES_ATTEMPTS) && calls(own, FENCED));
}

/** At most one maker beside what takes the first. */
function decidable(parts: readonly Part[]): boolean {
  if (overtakesItself(parts)) return false;
  const methods = parts.map(methodsOf);
  const makers = methods.filter((names) => names.some((name) => ORDERED.includes(name)));
  return makers.length < 2 || !methods.flat().some((name) => TAKES_FIRST.includes(name));
}

/** A lease that begins now is stale to a negative threshold: then it matters that stale ones are first looked for. */
function isDecidedAtOnce({ method, args: [first] }: Call): boolean {
  return method !== "releaseStaleJobs" || !(Number(first) < 0);
}

function contest(methods: readonly Method[]): fc.Arbitrary<readonly Part[]> {
  const within = methods.filter(
    (method) => ![...ACROSS_RUNS, ...OUTSIDE, ...LOOKS_TWICE].includes(method),
  );
  const transaction = transactionOf({
    calls: callOf(within),
    together: rarely,
    caught: fc.constant(true),
    maxLength: 4,
  }).map((part) => ({ ...part, after: null }));
  return fc
    .array(fc.oneof(aCall(callOf(methods).filter(isDecidedAtOnce)), transaction), {
      minLength: 2,
      maxLength: 4,
      size: "max",
    })
    .filter(decidable);
}

const atOnce = fc.oneof(...CONTESTS.map(contest));

const tick = fc.constantFrom(0, 0, 0, 1, 1, 2_000, 60_000, 300_001, -7);

function stepsAmong(methods: readonly Method[]): fc.Arbitrary<readonly Step[]> {
  const step: fc.Arbitrary<Step> = fc.record(
    {
      tick,
      parts: fc.oneof<fc.WeightedArbitrary<readonly Part[]>[]>(
        { weight: 60, arbitrary: aCall(callsAmong(methods)).map((part) => [part]) },
        { weight: 1, arbitrary: aCall(callOf(WITHOUT_ARGUMENTS), true).map((part) => [part]) },
        { weight: 20, arbitrary: transactionAmong(methods).map((part) => [part]) },
        { weight: 8, arbitrary: atOnce },
      ),
    },
    PLAIN,
  );
  return fc.array(step, { minLength: 1, maxLength: 60, size: "max" });
}

/** A sequence of these methods alone gets further with them than one of everything. */
const SUBJECTS: readonly (readonly Method[])[] = [
  METHODS.slice(0, METHODS.indexOf("saveArtifact")),
  METHODS.slice(METHODS.indexOf("createStage"), METHODS.indexOf("appendOutboxEvents")),
  METHODS.slice(METHODS.indexOf("appendOutboxEvents"), METHODS.indexOf("enqueue")),
  METHODS.slice(METHODS.indexOf("enqueue"), METHODS.indexOf("logCall")),
  [...METHODS.slice(METHODS.indexOf("logCall")), "acquireIdempotencyKey", "completeIdempotencyKey"],
];

export interface Sequence {
  /** Whether it finds something when it begins. */
  readonly furnished: boolean;
  readonly steps: readonly Step[];
}

export const sequence: fc.Arbitrary<Sequence> = fc.record(
  {
    furnished: usually,
    steps: fc.oneof(
      { weight: SUBJECTS.length, arbitrary: stepsAmong(METHODS) },
      ...SUBJECTS.map((methods) => ({ weight: 1, arbitrary: stepsAmong(methods) })),
    ),
  },
  PLAIN,
);
