/** The query that looks for runs: `run-search.ts` tells how. */
import * as z from "zod";
import {
  countField,
  idField,
  instantField,
  keyField,
  listField,
  nameField,
  ordinalField,
  statusField,
  textField,
} from "./fields.ts";
import { LONG_COLUMNS_MAX } from "./limits.ts";
import { LONG_TEXT } from "./long-text.ts";
import type { RunRow } from "./rows.ts";
import { isFindable, RUNS_LOOKED_AT } from "./run-search.ts";

/** A place in the order of age. */
const place = z.strictObject({ createdAt: instantField, ordinal: ordinalField });
export type RunPlace = z.infer<typeof place>;

const filters = z.strictObject({
  status: statusField.optional(),
  workflowId: idField.optional(),
  workflowType: nameField.optional(),
  /** Text that the workflow's name contains; ASCII letters count without their case. */
  nameContains: nameField.optional(),
  /** An annotation of the run with this key and this value, as it is stored: JSON of at most 256 bytes. */
  annotation: z
    .strictObject({
      key: keyField,
      value: textField.refine(isFindable, "must be at most 256 bytes of JSON"),
    })
    .optional(),
  createdFrom: instantField.optional(),
  createdBefore: instantField.optional(),
});
export type RunFilters = z.infer<typeof filters>;

/**
 * Runs that satisfy all filters, by (createdAt, ordinal), reversed when `descending`, after the given place, the first `limit`. Columns
 * in `omit` are answered as the JSON null.
 */
export const runsQuery = z.strictObject({
  q: z.literal("runs"),
  filters,
  after: place.nullable(),
  descending: z.boolean(),
  limit: countField.min(1).max(RUNS_LOOKED_AT),
  omit: listField(z.enum(LONG_TEXT.runs), LONG_COLUMNS_MAX).optional(),
  bytesMax: countField.min(1).optional(),
});

export interface RunsPage {
  readonly rows: RunRow[];
  /** Where to go on: after the last row of a full page, or the last run that was looked at; null at the end. */
  readonly next: RunPlace | null;
}
