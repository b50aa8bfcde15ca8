/**
 * Wake-ups: what travels through the Cloudflare Queue `JOBS`. A wake-up says that there may be work, and is a permit to look
 * for it. It is never the truth: it may be lost, doubled, delayed or forged, and nothing comes of it but latency.
 */
import * as z from "zod";
import {
  type Commit,
  kindOfChange,
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
  /** What there may be: due jobs, PENDING runs, jobs that have failed for good, or outbox events that wait. */
  kind: z.enum(WAKE_UP_KINDS),
  /** The job that caused the message. A hint for whoever reads messages; nobody acts on it. */
  jobId: z.string().optional(),
});
export type WakeUpMessage = z.infer<typeof wakeUpMessage>;

/** What a message is a permit for. Nothing else in it is looked at. */
export function dutyOf(body: unknown): WakeUpKind {
  const parsed = wakeUpMessage.safeParse(body);
  return parsed.success ? parsed.data.kind : "jobs";
}

/** A message as a queue is given it, in words that need no types of the platform. */
export interface WakeUpRequest {
  readonly body: WakeUpMessage;
  readonly delaySeconds: number;
  readonly contentType: "json";
}

/** The longest delay of a message: https://developers.cloudflare.com/queues/platform/limits/ */
const DELAY_SECONDS_MAX = 86_400;

/** The message of a wake-up; null for one that is due beyond what a queue can delay, which is left to the sweep. */
export function toMessage({ kind, jobId, at }: WakeUp, now: number): WakeUpRequest | null {
  // Rounded up: a message that comes too early finds nothing.
  const delaySeconds = at === null ? 0 : Math.max(0, Math.ceil((at - now) / 1_000));
  if (delaySeconds > DELAY_SECONDS_MAX) return null;
  const body: WakeUpMessage = { v: 1, kind, ...(jobId === undefined ? {} : { jobId }) };
  return { body, delaySeconds, contentType: "json" };
}

/**
 * The query whose answer tells which of a commit's jobs can be claimed, and when; null when the changes themselves tell.
 * A retry may be the last one, a dedupe key may be held, and a concurrency key may have become free. It is asked whatever the commit
 * itself reads: that may be of other jobs, or as of another instant.
 */
export function statesToAsk({ changes }: Pick<Commit, "changes">, now: number): Query | null {
  const keys = changes.flatMap((change) => kindOfChange(change).settles(change) ?? []);
  return keys.length === 0 ? null : { q: "jobStates", keys, now };
}

/** The wake-ups that a commit calls for, now that it has been applied. */
export function wakeUpsAfter(commit: Commit, states: readonly JobState[], now: number): WakeUp[] {
  const wakeUps: WakeUp[] = [];
  let failures = false;
  for (const state of states) {
    if (!wasWrittenBy(state, commit.id)) continue;
    const { workflowRunId, ordinal, status, attempt, nextPollAt, resumeAt } = state;
    // One that is left to whoever polls it, and that nobody polls, is found by the sweep.
    if (status === "PENDING" || (status === "SUSPENDED" && resumeAt === nextPollAt)) {
      wakeUps.push({ kind: "jobs", jobId: joinId(workflowRunId, ordinal), at: nextPollAt });
    }
    failures ||= status === "FAILED";
    // Its slot is free again, and the permits of those who wait for it are spent. One that is due itself has just got a permit.
    const due = status === "PENDING" && (nextPollAt ?? now) <= now;
    const freed = attempt > 0 && status !== "RUNNING" && !due;
    if (freed && state.keyWaits === 1) wakeUps.push({ kind: "jobs", at: null });
  }
  const called = commit.changes.flatMap((change) => kindOfChange(change).wakes(change));
  wakeUps.push(...called.filter(({ kind }) => kind === "jobs"));
  if (failures) wakeUps.push({ kind: "failures", at: null });
  // One message for runs and one for events, however many changes call for it.
  for (const kind of ["runs", "outbox"] as const) {
    if (called.some((wakeUp) => wakeUp.kind === kind)) wakeUps.push({ kind, at: null });
  }
  return wakeUps;
}
