/**
 * A client's own check of what it makes of its caller's inputs: at once, and naming the field. The service checks whatever arrives, against
 * its schemas; a test holds the two against each other. A schema is too much to carry for every client.
 */
import {
  artifactKeyRule,
  artifactTypeRule,
  atLeastOneRule,
  batchOrNoneRule,
  callOrdinalRule,
  type Change,
  costRule,
  countRule,
  type FieldProblem,
  idRule,
  instantRule,
  jobErrorRule,
  keyRule,
  logLevelRule,
  nameRule,
  nullable,
  numberRule,
  ordinalRule,
  type Query,
  recordIdRule,
  type Rule,
  runOrNoneRule,
  statusRule,
  textRule,
  tokensRule,
  wholeRule,
} from "../changes/index.ts";

/** The queries of which a caller gives a part. Of the others a client makes all itself. */
export const CHECKED_QUERIES = [
  "run",
  "runStatus",
  "runs",
  "stage",
  "stageById",
  "stages",
  "artifact",
  "hasArtifact",
  "artifacts",
  "annotations",
  "unpublishedEvents",
  "jobs",
  "aiCallTotals",
  "aiBatch",
] as const;
export type CheckedQuery = Extract<Query, { q: (typeof CHECKED_QUERIES)[number] }>;
export type CheckedKind = Change["kind"] | CheckedQuery["q"];

/** Members whose members are looked at themselves. */
type Part = "row" | "set" | "filters";
/** Members that no caller gives, and that are no plain values. */
type Ours = "kind" | "q" | "retry" | "after" | "omit" | "annotation";

type NamesOf<T> = T extends object ? keyof T : never;
type PartsOf<T> = T extends object ? { [P in Part & keyof T]: T[P] }[Part & keyof T] : never;
type Made = Change | CheckedQuery;
type Field = Exclude<NamesOf<Made> | NamesOf<PartsOf<Made>>, Part | Ours>;

const nullableText = /* @__PURE__ */ nullable(textRule);
const nullableInstant = /* @__PURE__ */ nullable(instantRule);
const nullableNumber = /* @__PURE__ */ nullable(numberRule);
const nullableName = /* @__PURE__ */ nullable(nameRule);
const nullableKey = /* @__PURE__ */ nullable(keyRule);
const nullableRecordId = /* @__PURE__ */ nullable(recordIdRule);
const isBoolean: Rule = (value) =>
  typeof value === "boolean" ? null : { message: "must be true or false" };

/** What a member is, wherever it has this name. */
const FIELDS: { readonly [F in Field]: Rule } = {
  actorId: nullableName,
  actorKind: nullableName,
  actorVersion: nullableName,
  at: instantRule,
  attempt: countRule,
  batchId: batchOrNoneRule,
  beforeGroup: nullable(wholeRule),
  bump: wholeRule,
  bytesMax: atLeastOneRule,
  callType: nameRule,
  causationId: nameRule,
  commandType: keyRule,
  commitsBefore: instantRule,
  completedAt: nullableInstant,
  concurrencyKey: nullableKey,
  concurrencyLimit: nullable(atLeastOneRule),
  config: nullableText,
  cost: costRule,
  createdAt: instantRule,
  createdBefore: instantRule,
  createdFrom: instantRule,
  data: textRule,
  dedupeKey: nullableKey,
  descending: isBoolean,
  dlqAt: nullableInstant,
  dueAt: nullableInstant,
  duration: nullableNumber,
  embeddingInfo: nullableText,
  error: jobErrorRule,
  errorMessage: nullableText,
  eventType: nameRule,
  executionGroup: wholeRule,
  failures: countRule,
  id: recordIdRule,
  idempotencyKey: nullableKey,
  input: textRule,
  inputData: nullableText,
  inputTokens: tokensRule,
  key: keyRule,
  keyPrefix: keyRule,
  keysBefore: instantRule,
  lastError: nullable(jobErrorRule),
  level: logLevelRule,
  limit: countRule,
  linkStageId: nullable(idRule),
  lockedAt: nullableInstant,
  maxAttempts: countRule,
  maxWaitUntil: nullableInstant,
  message: textRule,
  metadata: nullableText,
  metrics: nullableText,
  modelId: nameRule,
  modelKey: nameRule,
  nameContains: nameRule,
  nextPollAt: nullableInstant,
  occurredAt: instantRule,
  ordinal: ordinalRule,
  output: nullableText,
  outputData: nullableText,
  outputTokens: tokensRule,
  payload: nullableText,
  pollInterval: nullableNumber,
  prefix: nameRule,
  priority: wholeRule,
  prompt: textRule,
  publishedAt: nullableInstant,
  replaceMetadata: isBoolean,
  replaceStage: isBoolean,
  response: textRule,
  resumeAt: instantRule,
  result: textRule,
  resumeData: nullableText,
  retryCount: countRule,
  scope: nameRule,
  scopeId: nullableName,
  sequence: countRule,
  since: instantRule,
  size: numberRule,
  stageId: idRule,
  stageName: nameRule,
  stageNumber: wholeRule,
  staleBefore: nullableInstant,
  startedAt: nullableInstant,
  status: statusRule,
  suspendedState: nullableText,
  topic: nameRule,
  totalCost: costRule,
  totalTokens: countRule,
  type: artifactTypeRule,
  undelivered: countRule,
  until: instantRule,
  updatedAt: instantRule,
  value: textRule,
  version: wholeRule,
  withoutNextPoll: isBoolean,
  workerId: nullableName,
  workflowId: idRule,
  workflowName: nameRule,
  workflowRunId: idRule,
  workflowStageId: nullableRecordId,
  workflowStageRecordId: nullableRecordId,
  workflowType: nameRule,
};

type Rules = { readonly [F in Field]?: Rule };
const withId: Rules = { id: idRule };
const withAnyAttempt: Rules = { attempt: wholeRule };
const withLimit: Rules = { limit: atLeastOneRule };
const withText: Rules = { payload: textRule };
/** The fence of a delivery may be absent. */
const fenced: Rules = {
  attempt: (value) => (value === undefined ? null : countRule(value)),
};

/** Where a member of a name is something else. */
const OTHERS: { readonly [K in CheckedKind]?: Rules } = {
  createRun: { ...withId, config: textRule },
  updateRun: withId,
  createStage: withAnyAttempt,
  upsertStage: withAnyAttempt,
  createLog: { workflowRunId: runOrNoneRule },
  saveArtifact: { key: artifactKeyRule },
  appendAnnotation: withAnyAttempt,
  appendOutboxEvent: withText,
  enqueueJob: withText,
  completeJob: fenced,
  suspendJob: { ...fenced, nextPollAt: instantRule },
  failJob: fenced,
  returnJob: fenced,
  touchJob: fenced,
  releaseJob: { staleBefore: instantRule },
  recordAiCall: { ordinal: callOrdinalRule },
  purgeExpired: withLimit,
  run: withId,
  runStatus: withId,
  runs: withLimit,
  stages: { status: nullable(statusRule), limit: nullable(countRule) },
  annotations: { ...withAnyAttempt, actorId: nameRule, actorKind: nameRule },
  aiBatch: { batchId: keyRule },
};

/** What a member of this kind must be; undefined for one that no caller gives. */
export function ruleOf(kind: CheckedKind, name: string): Rule | undefined {
  return isField(name) ? (OTHERS[kind]?.[name] ?? FIELDS[name]) : undefined;
}

function isField(name: string): name is Field {
  return Object.hasOwn(FIELDS, name);
}

export interface MemberProblem extends FieldProblem {
  readonly field: string;
}

/** What is wrong with the first member that is not what it must be; null for nothing. */
export function problemOf(made: Made): MemberProblem | null {
  const kind = "kind" in made ? made.kind : made.q;
  const members = [made, "row" in made ? made.row : {}].flatMap((part) => Object.entries(part));
  for (const part of ["set" in made ? made.set : {}, "filters" in made ? made.filters : {}]) {
    // What is absent there is left alone.
    members.push(...Object.entries(part).filter(([, value]) => value !== undefined));
  }
  for (const [field, value] of members) {
    const problem = ruleOf(kind, field)?.(value) ?? null;
    if (problem !== null) return { ...problem, field };
  }
  return null;
}
