/**
 * The parts of which the schemas of several resources are made. All examples tell one story: the
 * run `run-1` of the workflow `digest`.
 */
import * as z from "zod";
import { STATUSES } from "../../model/status.ts";
import {
  COST_MAX,
  ID_BYTES_MAX,
  INSTANT_RULE,
  parseInstant,
  RECORD_ID_BYTES_MAX,
} from "../../model/index.ts";

const id = (description: string, example: string) =>
  z.string().meta({ description: `${description} At most ${ID_BYTES_MAX} bytes.`, example });

export const runIdField = id("The run's id.", "run-1");
export const stageIdField = id("The stage's id in its workflow.", "fetch");
export const workflowIdField = id("The workflow's id.", "digest");

/** An id that the service made from a run's id and more. */
export const recordId = (description: string, example: string) =>
  z.string().meta({
    description: `${description} Opaque, at most ${RECORD_ID_BYTES_MAX} bytes.`,
    example,
  });
export const STAGE_RECORD_ID = "run-1/fetch/5.0mwwqfjev0000gow";
export const stageRecordId = recordId(
  "The id of a stage's record, as a stage has it in `id`.",
  STAGE_RECORD_ID,
);
export const JOB_ID = "run-1/0mwwqfjev0000gow";
export const jobIdField = recordId("The job's id.", JOB_ID);

export const status = z.enum(STATUSES).meta({
  description: "Of runs, stages and jobs alike. Only stages are `SKIPPED`.",
  example: "RUNNING",
});

/** The instant of all examples. */
export const INSTANT = "2026-11-25T12:00:00.000Z";
export const instant = (description: string) =>
  z
    .string()
    .refine((text) => parseInstant(text) !== null, INSTANT_RULE)
    .meta({ format: "date-time", description, example: INSTANT });
/** An instant of a request, as a Date. */
export const inputInstant = (description: string) =>
  instant(description).transform((text) => new Date(parseInstant(text) ?? Number.NaN));

/** A whole number in a query: its decimal digits and nothing else. */
export const wholeText = (min: number, max: number) =>
  z
    .string()
    .regex(/^(?:0|-?[1-9]\d{0,15})$/, "must be a whole number in decimal digits, as in 12")
    .transform(Number)
    .pipe(z.int().min(min).max(max))
    // The document shows the number; of a number there is no pattern.
    .meta({ type: "integer", pattern: undefined, minimum: min, maximum: max });
/** Any whole number. */
export const anyWholeText = () => wholeText(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);

export const createdAt = instant("When it was created, by the service's clock.");
export const updatedAt = instant("When it was last changed, by the service's clock.");
export const version = z.int().meta({
  description: "Starts at 1; every update adds one. The ETag has it.",
  example: 1,
});

export const milliseconds = (description: string) =>
  z.number().meta({ description: `${description} In milliseconds.`, example: 1_500 });
export const text = (description: string, example: string) =>
  z.string().meta({ description, example });
export const flag = (description: string) => z.boolean().meta({ description, example: true });
export const integer = (description: string, example: number) =>
  z.int().meta({ description, example });
export const dollars = z.number().meta({
  description: "What it cost. The service only adds up: the unit is yours, US dollars as a rule.",
  example: 0.01,
});

/** A cost as a request may give it, of a call or a run. */
export const cost = z.number().min(0).max(COST_MAX).meta({
  description: "What it cost. The service only adds up: the unit is yours, US dollars as a rule.",
  example: 0.01,
});
export const count = (description: string, example: number, max = Number.MAX_SAFE_INTEGER) =>
  z.int().min(0).max(max).meta({ description, example });

export const json = (description: string, example: unknown = { pages: 3 }) =>
  z.unknown().meta({ description: `${description} Any JSON value.`, example });
/** A member of an update: left out, the stored value stays; null clears it. */
export const settable = (description: string, example?: unknown) =>
  json(description, example).optional();
/**
 * An object with any members. "__proto__" is one like any other; a record of Zod would drop it
 * silently.
 */
export const jsonObject = (description: string, example: Readonly<Record<string, unknown>>) =>
  z
    .custom<Record<string, unknown>>(
      (value) => typeof value === "object" && value !== null && !Array.isArray(value),
      "expected an object",
    )
    .meta({ type: "object", additionalProperties: {}, description, example });

/** The parts of paths. */
export const runKey = z.object({ runId: runIdField });
export const stageKey = runKey.extend({ stageId: stageIdField });

/**
 * A schema for each member of `T`, and for nothing else: the compiler compares the schema with the
 * type.
 */
export type FieldsOf<T> = { readonly [Name in keyof T]-?: z.ZodType };

/** A record in JSON: its instants are text. */
export type Wire<T> = {
  [K in keyof T]: T[K] extends Date ? string : T[K] extends Date | null ? string | null : T[K];
};

/** The record as its JSON has it: `JSON.stringify` writes a Date as this text. */
export function toWireRecord<T extends object>(record: T): Wire<T> {
  return record as unknown as Wire<T>;
}
