/** What a run gave, and what its stages gave. */
import { type Duration, durationMs } from "../engine/duration.ts";
import type { RunOutput } from "../engine/runs.ts";
import type { OutputOf, OutputsOf, Workflow } from "../engine/workflow.ts";
import { idField } from "../model/fields.ts";
import { decodeJson, sleep } from "../model/index.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";
import { gone, requireField } from "./act.ts";
import { type Hears, whenOver } from "./over.ts";

export async function outputOf<W extends Workflow>(
  unit: OwnUnit,
  id: string,
  { within = 0 }: { readonly within?: Duration } = {},
  { worked, hears }: { readonly worked?: Promise<void>; readonly hears?: Hears } = {},
): Promise<RunOutput<OutputOf<W>>> {
  const withinMs = durationMs(within, "within");
  const until = Date.now() + withinMs;
  // Nothing is to be heard of the run before that.
  if (worked !== undefined && withinMs > 0) await Promise.race([worked, sleep(withinMs)]);
  const ended = await outputNow<W>(unit, id);
  const leftMs = until - Date.now();
  if (leftMs <= 0 || "value" in ended || "reason" in ended) return ended;
  await whenOver(unit, id, leftMs, hears);
  return outputNow<W>(unit, id);
}

async function outputNow<W extends Workflow>(
  unit: OwnUnit,
  id: string,
): Promise<RunOutput<OutputOf<W>>> {
  const [row, [last]] = await unit.read([
    { q: "run", id },
    {
      q: "page",
      of: "outboxEvents",
      workflowRunId: id,
      after: null,
      descending: true,
      limit: 1,
    },
  ]);
  if (row === null) throw gone(id);
  switch (row.status) {
    case "COMPLETED":
    case "SKIPPED":
      // What the workflow gives was checked by its types, and stored as it was.
      return { status: "COMPLETED", value: decodeJson(row.output ?? "null") as OutputOf<W> };
    case "FAILED":
    case "CANCELLED": {
      const payload = last !== undefined && "eventType" in last ? decodeJson(last.payload) : null;
      return { status: row.status, reason: reasonIn(payload) ?? `The run is ${row.status}` };
    }
    case "PENDING":
    case "RUNNING":
    case "SUSPENDED":
      return { status: row.status };
  }
}

function reasonIn(payload: unknown): string | null {
  if (typeof payload !== "object" || payload === null) return null;
  if ("error" in payload && typeof payload.error === "string") return payload.error;
  return "reason" in payload && typeof payload.reason === "string" ? payload.reason : null;
}

export async function stageOutput<W extends Workflow, K extends keyof OutputsOf<W> & string>(
  unit: OwnUnit,
  id: string,
  stageId: K,
): Promise<OutputsOf<W>[K] | undefined> {
  requireField(idField, stageId, "id");
  const [[given]] = await unit.read([
    { q: "stageOutputs", workflowRunId: id, stageIds: [stageId] },
  ]);
  const text = given?.outputData ?? null;
  return text === null ? undefined : JSON.parse(text);
}
