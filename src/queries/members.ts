/** Members, bounds and orders that several queries share. */
import { whole } from "../model/shape.ts";
import { countField, idField } from "../model/fields.ts";
import { byNumber, byText, type Compare, inTurn } from "../model/order.ts";
import { OUTBOX_PAGE_MAX, TRANSACTION_CHANGES_MAX } from "../model/limits.ts";

/**
 * Rows of one page of a list that may be long. The caller asks for the next page by the key of the
 * last row.
 */
export const PAGE_ROWS = 500;

/** A page of events, and as many more as a transaction may have taken out of it. */
export const OUTBOX_READ_MAX = OUTBOX_PAGE_MAX + TRANSACTION_CHANGES_MAX;

export const ofRun = { workflowRunId: idField };
/** How many rows are answered at most. */
export const rowLimit = whole({ min: 0, max: 1_000 });
/** An event's place in the order by run and sequence. */
export const eventKey = { ...ofRun, sequence: countField };

/** The order in which rows were made. */
export const byAge: Compare<{ readonly createdAt: number; readonly ordinal: string }> = inTurn(
  byNumber((row) => row.createdAt),
  byText((row) => row.ordinal),
);
