/**
 * The floor: one guarded batch of four small statements a step, and nothing else; no claim, no dispatch, no retries, no events in order. It
 * bounds from below what anything pays that commits once per step on D1.
 */
import * as marks from "./marks.ts";
import { type Drive, valueOf } from "./contestant.ts";
import type { Load } from "../protocol.ts";

export const FLOOR_TABLES = [
  `CREATE TABLE run (id TEXT PRIMARY KEY, status TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
  `CREATE TABLE stage (run_id TEXT NOT NULL, seq INTEGER NOT NULL, status TEXT NOT NULL, version INTEGER NOT NULL, output TEXT, updated_at INTEGER NOT NULL, PRIMARY KEY (run_id, seq)) STRICT, WITHOUT ROWID`,
  `CREATE INDEX stage_open ON stage (updated_at) WHERE status = 'RUNNING'`,
  `CREATE TABLE outbox (run_id TEXT NOT NULL, seq INTEGER NOT NULL, type TEXT NOT NULL, payload TEXT NOT NULL, created_at INTEGER NOT NULL, published_at INTEGER, PRIMARY KEY (run_id, seq)) STRICT, WITHOUT ROWID`,
  `CREATE INDEX outbox_waiting ON outbox (created_at) WHERE published_at IS NULL`,
  `CREATE TABLE job (id TEXT PRIMARY KEY, stage_seq INTEGER NOT NULL, status TEXT NOT NULL, fence INTEGER NOT NULL, lease_until INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
  `CREATE INDEX job_leased ON job (lease_until) WHERE status = 'RUNNING'`,
];

const DONE = `EXISTS (SELECT 1 FROM stage WHERE run_id = ?1 AND seq = ?2 AND version = 2)`;
const SQL = {
  run: `INSERT INTO run (id, status, created_at, updated_at) VALUES (?1, 'RUNNING', ?2, ?2)`,
  firstStage: `INSERT INTO stage (run_id, seq, status, version, updated_at) VALUES (?1, 0, 'RUNNING', 1, ?2)`,
  firstEvent: `INSERT INTO outbox (run_id, seq, type, payload, created_at) VALUES (?1, 0, 'run.started', '{}', ?2)`,
  job: `INSERT INTO job (id, stage_seq, status, fence, lease_until) VALUES (?1, 0, 'RUNNING', 1, ?2 + 30000)`,
  stageDone: `UPDATE stage SET status = 'COMPLETED', version = version + 1, output = ?4, updated_at = ?3 WHERE run_id = ?1 AND seq = ?2 AND version = 1 AND status = 'RUNNING'`,
  event: `INSERT INTO outbox (run_id, seq, type, payload, created_at) SELECT ?1, ?2 + 1, 'stage.completed', ?4, ?3 WHERE ${DONE}`,
  nextStage: `INSERT INTO stage (run_id, seq, status, version, updated_at) SELECT ?1, ?2 + 1, 'RUNNING', 1, ?3 WHERE ${DONE}`,
  jobMoved: `UPDATE job SET stage_seq = ?2 + 1, lease_until = ?3 + 30000 WHERE id = ?1 AND fence = 1 AND status = 'RUNNING'`,
  runDone: `UPDATE run SET status = 'COMPLETED', updated_at = ?2 WHERE id = ?1 AND status = 'RUNNING'`,
  jobDone: `UPDATE job SET status = 'COMPLETED' WHERE id = ?1 AND fence = 1 AND status = 'RUNNING'`,
};

export const driveFloor: Drive = async ({ FLOOR }, ids, load) => {
  await Promise.all(ids.map((id) => run(FLOOR, id, load)));
};

async function run(db: D1Database, id: string, load: Load): Promise<void> {
  const now = Date.now();
  await db.batch([
    db.prepare(SQL.run).bind(id, now),
    db.prepare(SQL.firstStage).bind(id, now),
    db.prepare(SQL.firstEvent).bind(id, now),
    db.prepare(SQL.job).bind(id, now),
  ]);
  marks.created(id);
  for (let step = 0; step < load.steps; step++) {
    marks.begin(id, step);
    await complete(db, id, step, load);
  }
}

async function complete(db: D1Database, id: string, step: number, load: Load): Promise<void> {
  const output = JSON.stringify(valueOf(step, load));
  const now = Date.now();
  const whatFollows =
    step === load.steps - 1
      ? [db.prepare(SQL.runDone).bind(id, now), db.prepare(SQL.jobDone).bind(id)]
      : [
          db.prepare(SQL.nextStage).bind(id, step, now),
          db.prepare(SQL.jobMoved).bind(id, step, now),
        ];
  const results = await db.batch([
    db.prepare(SQL.stageDone).bind(id, step, now, output),
    db.prepare(SQL.event).bind(id, step, now, output),
    ...whatFollows,
  ]);
  if (results.some(({ meta }) => meta.changes !== 1)) throw new Error(`${id}, ${step}: no change`);
}
