/** What a stage may ask the service for while it runs. */
import type { StageTools } from "../engine/delivery.ts";
import { utf8Length } from "../model/index.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";
import { type Lease, leasedAt } from "./lease.ts";
import { event } from "./rows.ts";

/** Progress of one stage is stored at most this often. */
const PROGRESS_MS = 1_000;

export interface ToolsOptions {
  readonly unit: OwnUnit;
  readonly lease: Lease;
  readonly stage: { readonly stageId: string; readonly recordId: string };
  /** Aborted when the result will not be taken any more. */
  readonly signal: AbortSignal;
}

/** The tools of one call of a stage, which outlive it in the hands of code that does not end with it. */
export interface CallTools {
  readonly tools: StageTools;
  /**
   * The stage has answered: no progress of it is told from now on. Resolves when what it told before is
   * stored, so that its events come before that of its outcome.
   */
  readonly answered: () => Promise<void>;
}

export function stageTools({ unit, lease, stage, signal }: ToolsOptions): CallTools {
  const { run } = lease;
  const workflowRunId = run.id;
  let toldAt = -Infinity;
  let over = false;
  let telling: Promise<unknown> = Promise.resolve();
  const artifact = async (key: string) => {
    const [row] = await unit.read([{ q: "artifact", workflowRunId, key }]);
    return row === null ? null : row.data;
  };
  const tools: StageTools = {
    async output(stageId) {
      const [[given]] = await unit.read([
        { q: "stageOutputs", workflowRunId, stageIds: [stageId] },
      ]);
      return given?.outputData ?? null;
    },
    recall: async (key) => artifact(onceKey(stage.recordId, key)),
    async keep(name, result) {
      const key = onceKey(stage.recordId, name);
      const now = await unit.now();
      const written = await unit.write({
        guards: [{ on: "artifact", workflowRunId, key, expect: { is: "absent" } }],
        changes: [
          {
            kind: "saveArtifact",
            row: {
              workflowRunId,
              key,
              ordinal: unit.ordinal(now),
              createdAt: now,
              updatedAt: now,
              workflowStageId: stage.recordId,
              type: "METADATA",
              data: result,
              size: utf8Length(result),
              metadata: null,
            },
            replaceStage: false,
            replaceMetadata: false,
            linkStageId: null,
          },
        ],
      });
      return written.applied ? result : ((await artifact(key)) ?? result);
    },
    artifact,
    async progress(done, total) {
      if (over) return;
      const told = tellProgress(done, total);
      telling = Promise.allSettled([telling, told]);
      await told;
    },
    aborted: async () => abortOf(signal),
  };
  const tellProgress = async (done: number, total: number | null) => {
    const now = await unit.now();
    if (now - toldAt < PROGRESS_MS) return;
    toldAt = now;
    const told = event(run, now, "stage:progress", { stageId: stage.stageId, done, total });
    await unit.write({ guards: [leasedAt(stage.stageId, lease)], changes: [told] });
  };
  const answered = async () => {
    over = true;
    await telling;
  };
  return { tools, answered };
}

/** The artifact that keeps what `once` gave. A rerun has another record id, and does the work again. */
function onceKey(recordId: string, key: string): string {
  return `~once/${recordId}/${key}`;
}

async function abortOf(signal: AbortSignal): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const tell = () => {
    resolve(signal.reason instanceof Error ? signal.reason.message : String(signal.reason));
  };
  if (signal.aborted) tell();
  else signal.addEventListener("abort", tell, { once: true });
  return promise;
}
