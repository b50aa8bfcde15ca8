/**
 * Finished runs, made inside D1. Half of their ids sort before the live ones and half after, so that a walk in either
 * direction would meet them. All of them are over: nothing of theirs waits, is leased or is due.
 */

/** Runs per statement. */
const CHUNK = 12_500;

/** Rows that one finished run has in each table; every tenth also has an archived stage and a signal. */
export const ROWS_PER_FINISHED_RUN = {
  runs: 1,
  stages: 2,
  logs: 1,
  artifacts: 1,
  annotations: 2,
  annotated_runs: 1,
  outbox_events: 3,
  idempotency_keys: 1,
  jobs: 2,
  ai_calls: 2,
  ai_call_totals: 2,
} as const;

/** Adds the runs numbered `from` up to, not including, `to`. */
export async function addFinishedRuns(db: D1Database, from: number, to: number): Promise<void> {
  for (const prefix of ["earlier", "older"]) {
    const half = (n: number) => Math.floor(n / 2);
    for (let start = half(from); start < half(to); start += CHUNK) {
      const end = Math.min(start + CHUNK, half(to));
      await db.batch(STATEMENTS.map((sql) => db.prepare(finished(prefix, start, end) + sql)));
    }
  }
}

function finished(prefix: string, start: number, end: number): string {
  return (
    `WITH RECURSIVE number(n) AS (SELECT ${start} UNION ALL SELECT n + 1 FROM number WHERE n + 1 < ${end}), ` +
    `run AS (SELECT n, printf('${prefix}-%010d', n) AS id, printf('%022d', n) AS ordinal, 1700000000000 + n AS at, ` +
    `printf('%018d', n) AS commits, CASE n % 10 WHEN 0 THEN 'FAILED' WHEN 1 THEN 'CANCELLED' ELSE 'COMPLETED' END AS status FROM number), ` +
    `two(i) AS (VALUES (1), (2)), three(i) AS (VALUES (1), (2), (3)) `
  );
}

const STATEMENTS = [
  `INSERT INTO "runs" ("id", "ordinal", "created_at", "updated_at", "version", "workflow_id", "workflow_name", "workflow_type", "status",
     "started_at", "completed_at", "duration", "input", "output", "config", "total_cost", "total_tokens", "priority", "metadata", "commits")
   SELECT id, ordinal, at, at, 9, 'report', 'Report', 'report', status, at, at, 9, '{"document":1}', '{"pages":9}', '{}', 1, 1000, n % 10, NULL, commits
   FROM run`,
  `INSERT INTO "stages" ("workflow_run_id", "stage_id", "id", "created_at", "updated_at", "version", "stage_name", "stage_number",
     "execution_group", "attempt", "status", "started_at", "completed_at", "duration", "input_data", "output_data", "commits")
   SELECT id, 'stage-' || i, id || '/stage-' || i || '/' || length(id) || '.' || ordinal, at, at, 3, 'Stage', i, i, 0, 'COMPLETED', at, at, 9,
     '{"document":1}', '{"pages":9}', commits
   FROM run CROSS JOIN two`,
  `INSERT INTO "stage_attempts" ("workflow_run_id", "stage_id", "id", "created_at", "updated_at", "version", "stage_name", "stage_number",
     "execution_group", "attempt", "status", "started_at", "completed_at", "duration", "input_data", "error_message", "commits")
   SELECT id, 'stage-2', id || '/stage-2/' || length(id) || '.0' || ordinal, at, at, 3, 'Stage', 2, 2, 0, 'FAILED', at, at, 9, '{"document":1}', 'Timeout', commits
   FROM run WHERE n % 10 = 0`,
  `INSERT INTO "signals" ("workflow_run_id", "id", "name", "ordinal", "received_at", "payload", "taken_at")
   SELECT id, '8.approval/once', 'approval', ordinal, at, '{"ok":true}', at FROM run WHERE n % 10 = 0`,
  `INSERT INTO "logs" ("workflow_run_id", "ordinal", "created_at", "level", "message") SELECT id, ordinal, at, 'INFO', 'Done' FROM run`,
  `INSERT INTO "artifacts" ("workflow_run_id", "key", "ordinal", "created_at", "updated_at", "type", "data", "size", "commits")
   SELECT id, 'output', ordinal, at, at, 'ARTIFACT', '{"pages":9}', 11, commits FROM run`,
  `INSERT INTO "annotations" ("workflow_run_id", "ordinal", "created_at", "attempt", "scope", "key", "value", "idempotency_key", "commits")
   SELECT id, printf('%021d%d', n, i), at, 0, 'run', 'note', '1', 'once-' || i, commits FROM run CROSS JOIN two`,
  `INSERT INTO "annotated_runs" ("key", "value", "created_at", "ordinal", "workflow_run_id") SELECT 'note', '1', at, ordinal, id FROM run`,
  `INSERT INTO "outbox_events" ("workflow_run_id", "sequence", "event_type", "payload", "causation_id", "occurred_at", "published_at", "retry_count", "commits")
   SELECT id, i, 'stage:completed', '{}', 'cause', at, at, 0, commits FROM run CROSS JOIN three`,
  `INSERT INTO "idempotency_keys" ("key", "command_type", "created_at", "state", "acquired_at", "result", "commits")
   SELECT id, 'run.create', at, 'completed', at, '{}', commits FROM run`,
  `INSERT INTO "jobs" ("workflow_run_id", "ordinal", "created_at", "updated_at", "workflow_id", "stage_id", "status", "priority",
     "worker_id", "locked_at", "started_at", "completed_at", "attempt", "max_attempts", "payload", "delayed", "commits")
   SELECT id, printf('%021d%d', n, i), at, at, 'report', 'stage-' || i, 'COMPLETED', n % 10, 'worker', at, at, at, 1, 3, '{}', 0, commits
   FROM run CROSS JOIN two`,
  `INSERT INTO "ai_calls" ("batch_id", "ordinal", "created_at", "topic", "call_type", "model_key", "model_id", "prompt", "response", "input_tokens", "output_tokens", "cost")
   SELECT 'batch-' || id, printf('%021d%d', n, i), at, 'workflow.' || id || '.stage-' || i, 'text', 'small', 'small-1', 'Why?', 'Because.', 10, 20, 0.5
   FROM run CROSS JOIN two`,
  `INSERT INTO "ai_call_totals" ("topic", "model_key", "calls", "input_tokens", "output_tokens", "cost")
   SELECT 'workflow.' || id || '.stage-' || i, 'small', 1, 10, 20, 0.5 FROM run CROSS JOIN two`,
];
