/** Members that many queries share. */
import { whole } from "../model/shape.ts";
import { countField, idField } from "../model/fields.ts";
import { OUTBOX_PAGE_MAX, TRANSACTION_CHANGES_MAX } from "../model/limits.ts";

/** Rows of one page of a list that may be long; the caller asks on after the last row's key. */
export const PAGE_ROWS = 500;

/** A page, and as many events more as a transaction may have taken out of it. */
export const OUTBOX_READ_MAX = OUTBOX_PAGE_MAX + TRANSACTION_CHANGES_MAX;

export const ofRun = { workflowRunId: idField };
export const rowLimit = whole({ min: 0, max: 1_000 });
/** An event's place in the order of (run, sequence). */
export const eventKey = { ...ofRun, sequence: countField };
