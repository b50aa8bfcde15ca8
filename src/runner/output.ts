/** What a run gave, and what its stages gave. */
import { type Duration, durationMs } from "../engine/duration.ts";
import type { RunOutput } from "../engine/runs.ts";
import type { OutputOf, OutputsOf, Workflow } from "../engine/workflow.ts";
import { idField } from "../model/fields.ts";
import { decodeJson } from "../model/index.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";
import { gone, requireField, requireOwn } from "./act.ts";
import type { Finished } from "./drive.ts";
import { type Hears, whenOver } from "./over.ts";

/** What an output can be waited for on, beside the run's row. */
export interface Awaiting {
  /** Until then the invocation that started the run works its first stages; it may complete the run. */
  readonly worked?: Promise<Finished | null>;
  readonly hears?: Hears;
}

export async function outputOf<W extends Workflow>(
  unit: OwnUnit,
  workflow: W,
  id: string,
  { within = 0 }: { readonly within?: Duration } = {},
  { worked, hears }: Awaiting = {},
): Promise<RunOutput<OutputOf<W>>> {
  const withinMs = durationMs(within, "within");
  const until = Date.now() + withinMs;
  const finish =
    worked === undefined ? null : await finishWithin(worked, Math.min(withinMs, WORKED_ALONE_MS));
  if (finish !== null) return completed<W>(finish.finished);
  const ended = await outputNow(unit, workflow, id);
  const leftMs = until - Date.now();
  if (leftMs <= 0 || "value" in ended || "reason" in ended) return ended;
  await whenOver(unit, id, leftMs, hears);
  return outputNow(unit, workflow, id);
}

/** Nothing else is listened to for this long: a run that ends otherwise is heard of after it. */
const WORKED_ALONE_MS = 1_000;

/**
 * What the run gives while its output is waited for. Null: look. What it gave before that may not hold
 * any more, since it may have been run again.
 */
async function finishWithin(
  worked: Promise<Finished | null>,
  withinMs: number,
): Promise<Finished | null> {
  const pending = await Promise.race([
    worked.then(() => false),
    Promise.resolve().then(() => true),
  ]);
  if (!pending || withinMs === 0) return null;
  const { promise: late, resolve } = Promise.withResolvers<null>();
  const timer = setTimeout(resolve, withinMs, null);
  try {
    return await Promise.race([worked, late]);
  } finally {
    clearTimeout(timer);
  }
}

// What the workflow gives was checked by its types, and stored as it was.
function completed<W extends Workflow>(output: string): RunOutput<OutputOf<W>> {
  return { status: "COMPLETED", value: decodeJson(output) as OutputOf<W> };
}

async function outputNow<W extends Workflow>(
  unit: OwnUnit,
  workflow: W,
  id: string,
): Promise<RunOutput<OutputOf<W>>> {
  const [row, [last]] = await unit.read([{ q: "run", id }, lastEvents(id, 1)]);
  if (row === null) throw gone(id);
  requireOwn(row, workflow);
  switch (row.status) {
    case "COMPLETED":
    case "SKIPPED":
      return completed<W>(row.output ?? "null");
    case "FAILED":
    case "CANCELLED": {
      const { status } = row;
      const told = endIn(status, last === undefined ? [] : [last]);
      if (told !== null) return over(status, told);
      // Others may have added events of their own since.
      const [events] = await unit.read([lastEvents(id, EVENTS_LOOKED_AT)]);
      const untold = { reason: `The run is ${status}`, stage: null };
      return over(status, endIn(status, events) ?? untold);
    }
    case "PENDING":
    case "RUNNING":
    case "SUSPENDED":
      return { status: row.status };
  }
}

/** Events among which that of the run's end is looked for. */
const EVENTS_LOOKED_AT = 50;

function lastEvents(workflowRunId: string, limit: number) {
  const last = { after: null, descending: true, limit } as const;
  return { q: "page", of: "outboxEvents", workflowRunId, ...last } as const;
}

/** What the event of a run's end tells. */
interface ToldEnd {
  readonly reason: string;
  readonly stage: string | null;
}

function over(status: "FAILED" | "CANCELLED", { reason, stage }: ToldEnd) {
  return status === "FAILED" ? { status, reason, stage } : { status, reason };
}

/** Of a run that a caller of the contract has ended, the last event of the run tells of something else. */
function endIn(status: "FAILED" | "CANCELLED", events: readonly object[]): ToldEnd | null {
  for (const event of events) {
    if (!("eventType" in event && "payload" in event)) continue;
    const { eventType, payload } = event;
    if (typeof eventType !== "string" || !eventType.startsWith("workflow:")) continue;
    const isEnd = eventType === `workflow:${status.toLowerCase()}`;
    return isEnd && typeof payload === "string" ? endOf(decodeJson(payload)) : null;
  }
  return null;
}

function endOf(payload: unknown): ToldEnd | null {
  const reason = textIn(payload, "error") ?? textIn(payload, "reason");
  return reason === undefined ? null : { reason, stage: textIn(payload, "stageId") ?? null };
}

function textIn(payload: unknown, name: string): string | undefined {
  const member: unknown =
    typeof payload === "object" && payload !== null ? Reflect.get(payload, name) : undefined;
  return typeof member === "string" ? member : undefined;
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
