/** Claims and completions of jobs that do nothing, and the floor of both: a statement each. */
import type { Backend } from "workflow-engine-cloudflare";
import { connect } from "workflow-engine-cloudflare/client";
import type { JobQueueName, JobTiming, Protocol } from "../protocol.ts";
import type { Env } from "./env.ts";
import { embedded } from "./ours.ts";

interface Queue {
  enqueue(count: number): Promise<void>;
  /** Ids; none when there are no more. */
  claim(max: number): Promise<string[]>;
  complete(ids: readonly string[]): Promise<void>;
}

export const FLOOR_JOB_TABLES = [
  `CREATE TABLE queued (ordinal TEXT PRIMARY KEY, status TEXT NOT NULL, priority INTEGER NOT NULL, locked_at INTEGER, worker TEXT, attempt INTEGER NOT NULL, payload TEXT NOT NULL, completed_at INTEGER) STRICT, WITHOUT ROWID`,
  `CREATE INDEX queued_ready ON queued (priority DESC, ordinal) WHERE status = 'PENDING'`,
  `CREATE INDEX queued_leased ON queued (locked_at) WHERE status = 'RUNNING'`,
];
const ENQUEUE = `INSERT INTO queued (ordinal, status, priority, attempt, payload) SELECT ?1 || printf('%06d', value), 'PENDING', 5, 0, '{}' FROM json_each(?2)`;
const CLAIM = `UPDATE queued SET status = 'RUNNING', locked_at = ?1, worker = 'bench', attempt = attempt + 1 WHERE ordinal IN (SELECT ordinal FROM queued INDEXED BY queued_ready WHERE status = 'PENDING' ORDER BY priority DESC, ordinal LIMIT ?2) RETURNING ordinal, attempt, payload`;
const COMPLETE = `UPDATE queued SET status = 'COMPLETED', completed_at = ?1 WHERE ordinal IN (SELECT value FROM json_each(?2)) AND status = 'RUNNING'`;
/** Of one `enqueueParallel`. */
const ENQUEUED_MAX = 1_000;

export async function timeJobs(env: Env, ask: Protocol["/jobs"]["ask"]): Promise<JobTiming> {
  const queue = queueOf(env, ask.queue);
  await queue.enqueue(ask.total);
  let claim = 0;
  let complete = 0;
  let done = 0;
  while (done < ask.total) {
    const started = Date.now();
    const ids = await queue.claim(ask.batch);
    if (ids.length === 0) throw new Error(`${done} of ${ask.total} jobs, and no more`);
    const claimed = Date.now();
    await queue.complete(ids);
    claim += claimed - started;
    complete += Date.now() - claimed;
    done += ids.length;
  }
  return { claim, complete };
}

function queueOf(env: Env, name: JobQueueName): Queue {
  switch (name) {
    case "floor":
      return floorQueue(env.FLOOR);
    case "embedded":
      return contractQueue(embedded(env));
    case "bound":
      return contractQueue(connect(env.WORKFLOWS, { workerId: "bench" }));
  }
}

function floorQueue(db: D1Database): Queue {
  return {
    async enqueue(count) {
      const numbers = JSON.stringify(Array.from({ length: count }, (_, n) => n));
      await db.prepare(ENQUEUE).bind(crypto.randomUUID(), numbers).run();
    },
    async claim(max) {
      const claim = db.prepare(CLAIM).bind(Date.now(), max);
      const { results } = await claim.all<{ ordinal: string }>();
      return results.map(({ ordinal }) => ordinal);
    },
    async complete(ids) {
      const { meta } = await db.prepare(COMPLETE).bind(Date.now(), JSON.stringify(ids)).run();
      if (meta.changes < ids.length) throw new Error(`${meta.changes} of ${ids.length} completed`);
    },
  };
}

function contractQueue({ jobs }: Backend): Queue {
  return {
    async enqueue(count) {
      await enqueueJobs(jobs, count);
    },
    async claim(max) {
      const claimed =
        max === 1 ? [(await jobs.dequeue()) ?? []].flat() : await jobs.dequeueMany(max);
      return claimed.map(({ jobId }) => jobId);
    },
    async complete(ids) {
      const [first] = ids;
      if (ids.length === 1 && first !== undefined) return jobs.complete(first);
      const settled = await jobs.completeMany([...ids]);
      const other = settled.find(({ outcome }) => outcome !== "settled");
      if (other !== undefined) throw new Error(`job ${other.jobId}: ${other.outcome}`);
    },
  };
}

export async function enqueueJobs(jobs: Backend["jobs"], count: number): Promise<void> {
  const job = { workflowRunId: crypto.randomUUID(), workflowId: "bench", stageId: "s" };
  for (let left = count; left > 0; left -= ENQUEUED_MAX) {
    await jobs.enqueueParallel(Array.from({ length: Math.min(left, ENQUEUED_MAX) }, () => job));
  }
}
