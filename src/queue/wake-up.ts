/**
 * Wake-ups: the messages of the Cloudflare Queue `JOBS`. A wake-up says that there may be work, and
 * is a permit to look for it. It is never the truth: it may be lost, doubled, delayed or forged, at
 * the price of latency alone.
 */
import * as z from "zod";
import {
  type Commit,
  servedKind,
  WAKE_UP_KINDS,
  type WakeUp,
  type WakeUpKind,
} from "../changes/index.ts";
import type { JobState } from "../model/index.ts";
import type { Query } from "../queries/index.ts";
import { joinId, wasWrittenBy } from "../model/index.ts";

/** Version 1 of the message. A consumer takes any other message as a permit for a job. */
const wakeUpMessage = z.object({
  v: z.literal(1),
  /**
   * The work to look for: due jobs, PENDING runs, jobs that have failed for good, or outbox events.
   */
  kind: z.enum(WAKE_UP_KINDS),
  /** The job that caused the message. For a person that reads messages; no code acts on it. */
  jobId: z.string().optional(),
});
/** The body of a message of the queue `JOBS`. */
export type WakeUpMessage = z.infer<typeof wakeUpMessage>;

/** The work that a message is a permit for. The consumer reads nothing else of it. */
export function dutyOf(body: unknown): WakeUpKind {
  const parsed = wakeUpMessage.safeParse(body);
  return parsed.success ? parsed.data.kind : "jobs";
}

/** A message as it is given to a queue, without the types of the platform. */
export interface WakeUpRequest {
  readonly body: WakeUpMessage;
  readonly delaySeconds: number;
  readonly contentType: "json";
}

/** The longest delay of a message: https://developers.cloudflare.com/queues/platform/limits/ */
const DELAY_SECONDS_MAX = 86_400;

/**
 * The message of a wake-up; null if it is due beyond the longest delay: that is left to the sweep.
 */
export function toMessage({ kind, jobId, at }: WakeUp, now: number): WakeUpRequest | null {
  // Rounded up: a message that comes too early finds no work.
  const delaySeconds = at === null ? 0 : Math.max(0, Math.ceil((at - now) / 1_000));
  if (delaySeconds > DELAY_SECONDS_MAX) return null;
  const body: WakeUpMessage = { v: 1, kind, ...(jobId === undefined ? {} : { jobId }) };
  return { body, delaySeconds, contentType: "json" };
}

/**
 * The query that tells which of a commit's jobs can be claimed, and when; null if the changes alone
 * already determine it. It is needed because a retry may be the last one, a dedupe key may be taken, and a
 * concurrency key may have become free. The commit's own reads do not replace it: they may be of
 * other jobs, or of another instant.
 */
export function statesToAsk({ changes }: Pick<Commit, "changes">, now: number): Query | null {
  const keys = changes.flatMap((change) => servedKind(change).settles(change) ?? []);
  // Jobs that were leased leave the slots of their keys. No commit ends those of several runs.
  const [cancelledOf] = changes.flatMap((change) =>
    change.kind === "cancelJobs" && change.leased === true ? [change.workflowRunId] : [],
  );
  if (cancelledOf !== undefined) {
    return { q: "jobStates", keys, now, wakingOnly: true, cancelledOf };
  }
  return keys.length === 0 ? null : { q: "jobStates", keys, now, wakingOnly: true };
}

/** The wake-ups to send after an applied commit. */
export function wakeUpsAfter(commit: Commit, states: readonly JobState[], now: number): WakeUp[] {
  const wakeUps: WakeUp[] = [];
  const left = new Set(
    commit.changes.flatMap((change) => {
      const settled = servedKind(change).settles(change);
      return settled?.freed === undefined ? [] : joinId(settled.workflowRunId, settled.ordinal);
    }),
  );
  let failures = false;
  for (const state of states) {
    if (!wasWrittenBy(state, commit.id)) continue;
    const { workflowRunId, ordinal, status, attempt, nextPollAt, resumeAt } = state;
    // A suspended job that is left to an engine to poll gets none: if no engine polls it, the sweep
    // finds it.
    if (status === "PENDING" || (status === "SUSPENDED" && resumeAt === nextPollAt)) {
      wakeUps.push({ kind: "jobs", jobId: joinId(workflowRunId, ordinal), at: nextPollAt });
    }
    failures ||= status === "FAILED";
    // Its slot is free again, and the permits of the jobs that wait for it are spent: they need a
    // new one. If this job is due itself, its own permit is enough.
    const due = status === "PENDING" && (nextPollAt ?? now) <= now;
    const freed =
      left.has(joinId(workflowRunId, ordinal)) || (attempt > 0 && status !== "RUNNING" && !due);
    if (freed && state.keyWaits === 1) wakeUps.push({ kind: "jobs", at: null });
  }
  const called = commit.changes.flatMap((change) => servedKind(change).wakes(change));
  wakeUps.push(...called.filter(({ kind }) => kind === "jobs"));
  if (failures) wakeUps.push({ kind: "failures", at: null });
  // One message for runs and one for events, however many changes call for it.
  for (const kind of ["runs", "outbox"] as const) {
    if (called.some((wakeUp) => wakeUp.kind === kind)) wakeUps.push({ kind, at: null });
  }
  return wakeUps;
}
