/**
 * The schemas of single fields, with their limits. Callers' inputs become changes made of these, and the
 * service checks everything that arrives against the very same ones.
 */
import * as z from "zod";
import { INSTANT_MAX, INSTANT_MIN } from "./instant.ts";
import { CALL_TOKENS_MAX, COST_MAX } from "./limits.ts";
import {
  artifactKeyRule,
  batchOrNoneRule,
  callOrdinalRule,
  idRule,
  jobErrorRule,
  keyRule,
  nameRule,
  ordinalRule,
  recordIdRule,
  type Rule,
  runOrNoneRule,
  textRule,
} from "./rules.ts";

/** The rule's own words and limits. */
function text(rule: Rule) {
  return z.string().superRefine((value, context) => {
    const problem = rule(value);
    if (problem === null) return;
    const { message, ...params } = problem;
    context.addIssue({ code: "custom", message, params });
  });
}

export const idField = text(idRule);
/** A run's id, or "" for no run. */
export const runOrNoneField = text(runOrNoneRule);
export const recordIdField = text(recordIdRule);
export const nameField = text(nameRule);
export const keyField = text(keyRule);
export const artifactKeyField = text(artifactKeyRule);
/** The id of a batch of AI calls, or "" for a call of its own. */
export const batchOrNoneField = text(batchOrNoneRule);
/** JSON text or encoded free text. Its size is checked with its row's. */
export const textField = text(textRule);
export const jobErrorField = text(jobErrorRule);
export const ordinalField = text(ordinalRule);
/** Of an AI call: longer, since that of a batch is a digest. */
export const callOrdinalField = text(callOrdinalRule);
/** Milliseconds since 1970, of the years 0001 to 9999. */
export const instantField = z.int().min(INSTANT_MIN).max(INSTANT_MAX);
export const wholeField = z.int();
export const countField = z.int().min(0);
export const numberField = z.number().refine(Number.isFinite, "must be finite");
/** Tokens of one AI call. */
export const tokensField = countField.max(CALL_TOKENS_MAX);
export const costField = z.number().min(0).max(COST_MAX);
/** At most so many members, which are looked at only if they are not more: each that is wrong costs more than its text. */
export function listField<Member extends z.ZodType>(member: Member, max: number) {
  return z.array(z.unknown()).max(max).pipe(z.array(member));
}
export const statusField = z.enum([
  "PENDING",
  "RUNNING",
  "SUSPENDED",
  "COMPLETED",
  "FAILED",
  "CANCELLED",
  "SKIPPED",
]);
export const logLevelField = z.enum(["DEBUG", "INFO", "WARN", "ERROR"]);
export const artifactTypeField = z.enum(["STAGE_OUTPUT", "ARTIFACT", "METADATA"]);
