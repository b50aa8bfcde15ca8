/** A bound for what queries answer. It is met in the database, before an answer is on its way: whoever asks never has to hold it. */
import { getTableColumns } from "drizzle-orm";
import type { SQLiteTable } from "drizzle-orm/sqlite-core";
import { ServiceError } from "../contract/index.ts";
import type { Query, QueryKind } from "../changes/index.ts";
import {
  annotations,
  artifacts,
  idempotencyKeys,
  jobs,
  logs,
  outboxEvents,
  runs,
  stages,
} from "./schema.ts";
import type { Statement } from "./sql.ts";

/** What a row takes beside its text. */
const ROW_BYTES = 500;
/** A row of a few ids and numbers. */
const PLAIN_ROW_BYTES = 2_000;

type Rows = SQLiteTable | "plain" | "one";

/** Whose rows a query answers; `plain`: rows of a few ids and numbers; `one`: a number or a flag. */
const ROWS: Readonly<Record<Exclude<QueryKind, "page">, Rows>> = {
  run: runs,
  runStatus: "one",
  runs,
  pendingRuns: runs,
  stuckRuns: runs,
  stage: stages,
  stageById: stages,
  stages,
  suspendedStages: stages,
  artifact: artifacts,
  hasArtifact: "one",
  artifacts,
  annotations,
  outboxEvent: outboxEvents,
  outboxTail: "one",
  unpublishedEvents: outboxEvents,
  outboxBacklog: outboxEvents,
  deadLetters: outboxEvents,
  idempotencyKey: idempotencyKeys,
  job: jobs,
  jobs,
  liveJob: jobs,
  jobStates: "plain",
  jobStats: "one",
  claimedJobs: jobs,
  overdueJobs: "one",
  resumableJobs: "one",
  waitingEvents: "one",
  unattendedStages: "plain",
  waitingRuns: "one",
  expired: "one",
  audit: "plain",
  unhandledFailures: "plain",
  cancelledJobs: "one",
  staleJobs: "plain",
  suspendedJobs: jobs,
  aiCallTotals: "plain",
  aiBatch: "one",
};
const PAGES = { logs, artifacts, outboxEvents, jobs } as const;

function rowsOf(query: Query): Rows {
  return query.q === "page" ? PAGES[query.of] : ROWS[query.q];
}

/** These answer one row at most. */
const SINGLE: ReadonlySet<QueryKind> = new Set([
  "run",
  "stage",
  "stageById",
  "artifact",
  "outboxEvent",
  "idempotencyKey",
  "job",
  "liveJob",
]);

const MARK = "wfe:answer-too-large";

/** The statement of a query, which fails when its rows have more than so many bytes. */
export function withinAnswer(query: Query, plain: Statement, bytesMax: number): Statement {
  const rows = rowsOf(query);
  if (rows === "one") return plain;
  const bytes = bytesSql(rows);
  const within = (size: string) =>
    `WHERE CASE WHEN ${size} > ${bytesMax} THEN json_extract('{}', '${MARK}') ELSE 1 END`;
  if (SINGLE.has(query.q)) {
    return { sql: `SELECT * FROM (${plain.sql}) ${within(bytes)}`, params: plain.params };
  }
  // MATERIALIZED: the rows are read from the table once, measured, and only then given out, in their order. D1 counts each three times.
  return {
    sql:
      `WITH answer AS MATERIALIZED (${plain.sql}) SELECT * FROM answer ` +
      within(`(SELECT total(${bytes}) FROM answer)`),
    params: plain.params,
  };
}

function bytesSql(rows: Exclude<Rows, "one">): string {
  if (rows === "plain") return String(PLAIN_ROW_BYTES);
  const texts = Object.entries(getTableColumns(rows))
    .filter(([, { dataType }]) => dataType === "string")
    .map(([name]) => `ifnull(octet_length("${name}"), 0)`);
  return [ROW_BYTES, ...texts].join(" + ");
}

/** The fault that such a failure means, or null. */
export function answerTooLarge(message: string, limit: number | undefined): ServiceError | null {
  if (limit === undefined || !message.includes(MARK)) return null;
  return new ServiceError(
    "PAYLOAD_TOO_LARGE",
    `The answer would have more than ${limit} bytes; ask for fewer rows, or for fewer of their fields`,
    { field: "answer", limit },
  );
}
