/** Waits for the end of a run. */
import type { EventStreams } from "../changes/index.ts";
import { sleep } from "../model/index.ts";
import { isLive } from "../model/status.ts";
import { trying } from "../persistence/auto-commit.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";

/** It waits this long for what tells of the end, and then looks. */
const WAIT_MS = 25_000;
/** Where nothing tells of the end, it looks this often. */
const LOOK_MS = 1_000;

/**
 * Waits on a stream of the run's events. Resolves with true when an event after the sequence `after`
 * tells that the run has ended, or after this time; with false when the stream breaks before.
 */
export type Hears = (
  streams: EventStreams,
  wait: { readonly workflowRunId: string; readonly after: number; readonly withinMs: number },
) => Promise<boolean>;

/**
 * Resolves when the run may have ended, or after this time. With `hears` also a store that only
 * streams events tells of it.
 */
export async function whenOver(
  unit: OwnUnit,
  workflowRunId: string,
  withinMs: number,
  hears?: Hears,
): Promise<void> {
  const until = performance.now() + withinMs;
  for (let left = withinMs; left > 0; left = until - performance.now()) {
    await toldOrLate(unit, workflowRunId, left, hears);
    const [status] = await unit.read([{ q: "runStatus", id: workflowRunId }]);
    if (status === null || !isLive({ status })) return;
  }
}

async function toldOrLate(
  unit: OwnUnit,
  workflowRunId: string,
  withinMs: number,
  hears?: Hears,
): Promise<void> {
  const { store } = unit;
  const waitMs = Math.min(withinMs, WAIT_MS);
  const waits = store.whenOver?.(workflowRunId, waitMs);
  if (waits !== undefined) return trying(() => waits);
  if (store.streams !== undefined && hears !== undefined) {
    const [after, status] = await unit.read([
      { q: "outboxTail", workflowRunId },
      { q: "runStatus", id: workflowRunId },
    ]);
    if (status === null || !isLive({ status })) return;
    if (await hears(store.streams, { workflowRunId, after, withinMs: waitMs })) return;
  }
  await sleep(Math.min(withinMs, LOOK_MS));
}
