/** Waits for the end of a run on its events, as the HTTP API streams them. */
import type { EventStreams } from "../changes/index.ts";
import { unlessAborted } from "./http-exchange.ts";
import { streamed } from "./watch.ts";

/** The events that tell that a run has ended. */
const ENDS = new Set(["workflow:completed", "workflow:failed", "workflow:cancelled"]);

/**
 * Resolves with true when an event of the run after this sequence tells that it has ended, or after
 * this time; with false when the stream breaks before.
 */
export async function untilOver(
  streams: EventStreams,
  {
    workflowRunId: runId,
    after,
    withinMs,
  }: { readonly workflowRunId: string; readonly after: number; readonly withinMs: number },
): Promise<boolean> {
  const enough = new AbortController();
  const timer = setTimeout(() => enough.abort(), withinMs);
  const { signal: given } = streams;
  const signal = given === undefined ? enough.signal : AbortSignal.any([given, enough.signal]);
  const heard = async () => {
    for await (const { eventType } of streamed({ ...streams, runId, signal }, after)) {
      if (ENDS.has(eventType)) return true;
    }
    return false;
  };
  try {
    // A `fetch` of the caller's own need not know the signal.
    return await unlessAborted(signal, heard);
  } catch {
    // The reason of the connection's own signal is thrown by what is asked next.
    return enough.signal.aborted;
  } finally {
    clearTimeout(timer);
    enough.abort();
  }
}
