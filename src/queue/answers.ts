/**
 * The shapes of what an app in another Worker answers. It may have another version of this package: what
 * is no answer becomes the reason of a failure, and is not written.
 */
import type { StageAICall } from "../engine/context.ts";
import type { GroupAnswer, Next, NextStage, StageAnswer, StageNotes } from "../engine/delivery.ts";
import { DURATION_MS_MAX, NOTES_MAX, STAGES_MAX } from "../engine/limits.ts";
import { aiCall } from "../engine/notes.ts";
import { artifactKeyField, idField, keyField, logLevelField, nameField } from "../model/fields.ts";
import { decodeJson } from "../model/json.ts";
import { GROUP_STAGES_MAX, JOB_ATTEMPTS_MAX, JOB_ERROR_BYTES_MAX } from "../model/limits.ts";
import {
  flag,
  list,
  literal,
  nullable,
  object,
  oneOf,
  optional,
  refined,
  type Shape,
  text,
  variants,
  whole,
} from "../model/shape.ts";
import { encodeText, utf8Length } from "../model/text.ts";

const json = text((value) => {
  try {
    decodeJson(value);
    return null;
  } catch {
    return { message: "must be JSON" };
  }
});
const error = text((value) =>
  utf8Length(encodeText(value)) <= JOB_ERROR_BYTES_MAX ? null : { message: "is too long" },
);
const span = whole({ min: 0, max: DURATION_MS_MAX });
const place = whole({ min: 1, max: STAGES_MAX });
const anything: Shape<unknown> = { check: () => null };

/** A list that is not empty. */
function some<T>(member: Shape<T>, max: number): Shape<T[]> {
  return refined(list(member, max), ({ length }) =>
    length > 0 ? null : { path: [], message: "must not be empty" },
  );
}

const stageMembers = {
  id: idField,
  name: nameField,
  number: place,
  attempts: whole({ min: 1, max: JOB_ATTEMPTS_MAX }),
  timeoutMs: nullable(whole({ min: 1 })),
  concurrency: nullable(object({ key: keyField, limit: whole({ min: 1 }) })),
  waits: nullable(object({ for: oneOf(["signal", "time"]), ms: span })),
  decides: flag,
};
const nextStage: Shape<NextStage> = object(stageMembers);

const skipped = list(object({ ...stageMembers, group: place }), STAGES_MAX);

const onward = {
  finish: object({ kind: literal("finish"), output: json, skipped }),
  group: object({
    kind: literal("group"),
    group: place,
    stages: some(nextStage, GROUP_STAGES_MAX),
    skipped,
  }),
};
const next: Shape<Next> = variants("kind", {
  ...onward,
  join: object({ kind: literal("join"), siblings: some(idField, GROUP_STAGES_MAX) }),
});

const aiCallList = list(object({ ...aiCall.members, metadata: optional(anything) }), NOTES_MAX);
/** A member that is undefined is read as one that is absent. */
const aiCalls: Shape<readonly StageAICall[]> = {
  check: (calls) => aiCallList.check(calls),
};
const notes: Shape<StageNotes> = object({
  logs: list(object({ level: logLevelField, message: text(), data: nullable(json) }), NOTES_MAX),
  annotations: list(object({ key: keyField, value: json }), NOTES_MAX),
  artifacts: list(
    object({ key: artifactKeyField, data: json, metadata: nullable(json) }),
    NOTES_MAX,
  ),
  aiCalls,
});

const stageAnswer: Shape<StageAnswer> = variants("outcome", {
  completed: object({ outcome: literal("completed"), output: json, next, notes }),
  passed: object({
    outcome: literal("passed"),
    as: oneOf(["SKIPPED", "COMPLETED"]),
    next,
    notes,
  }),
  met: object({ outcome: literal("met"), stage: nextStage, notes }),
  suspended: object({
    outcome: literal("suspended"),
    state: nullable(json),
    pollInMs: nullable(span),
    withinMs: nullable(span),
    notes,
  }),
  waiting: object({
    outcome: literal("waiting"),
    for: oneOf(["signal", "time"]),
    ms: span,
    notes,
  }),
  failed: object({ outcome: literal("failed"), error, retryInMs: nullable(span), notes }),
});

const groupAnswer: Shape<GroupAnswer> = variants("outcome", {
  next: object({ outcome: literal("next"), next: variants("kind", onward) }),
  failed: object({ outcome: literal("failed"), error }),
});

/** @throws Error that names the part which is none of an answer. */
export function checkedStageAnswer(answer: StageAnswer): StageAnswer {
  return checked(stageAnswer, answer);
}

/** As {@link checkedStageAnswer}. */
export function checkedGroupAnswer(answer: GroupAnswer): GroupAnswer {
  return checked(groupAnswer, answer);
}

function checked<T>(shape: Shape<T>, answer: T): T {
  const problem = shape.check(answer);
  if (problem === null) return answer;
  const where = ["The HANDLER's answer", ...problem.path].join(".");
  throw new Error(`${where} ${problem.message}`);
}
