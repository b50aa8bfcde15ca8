/** Runs as an engine leaves them in the file, with values of a size wherever the contract takes a value. */
import type { Backend } from "../../src/contract/index.ts";
import { LONG_TEXT, type LongTextTable } from "../../src/model/index.ts";
import { snakeCase } from "../../src/store/names.ts";
import { placeIn, textsBeside } from "../support/long-texts.ts";

const STAGES = 5;
/** The run; and of each stage its own, two events, a job, a log, an artifact, an annotation and an AI call. */
export const ROWS_OF_RUN = 1 + 8 * STAGES;
const AT = new Date(1_800_000_000_000);

/** One run of five stages, with 42 values of this many bytes. */
export async function leaveRun(
  { persistence, jobs, aiCalls }: Backend,
  bytes: number,
): Promise<string> {
  const value = "v".repeat(bytes - `""`.length);
  const object = { value: "v".repeat(bytes - `{"value":""}`.length) };
  const { id } = await persistence.createRun({
    workflowId: "report",
    workflowName: "Report",
    workflowType: "report",
    input: value,
  });
  await persistence.claimPendingRun(id);
  for (let number = 1; number <= STAGES; number += 1) {
    const stageId = `stage-${number}`;
    const event = { workflowRunId: id, causationId: id, occurredAt: AT, payload: object };
    const stage = { workflowRunId: id, stageId, stageName: stageId, inputData: value };
    const record = await persistence.withTransaction(async (tx) => {
      const made = await tx.createStage({ ...stage, stageNumber: number, executionGroup: number });
      await jobs.enqueue({ workflowRunId: id, workflowId: "report", stageId, payload: object });
      await tx.appendOutboxEvents([{ ...event, eventType: "stage:started" }]);
      return made;
    });
    const job = await jobs.dequeue();
    await persistence.updateStage(record.id, { status: "RUNNING", startedAt: AT });
    await persistence.createLog({ workflowRunId: id, level: "INFO", message: "Done" });
    aiCalls.logCall({
      topic: `workflow.${id}`,
      callType: "text",
      modelKey: "small",
      modelId: "small-1",
      prompt: value,
      response: value,
      inputTokens: 10,
      outputTokens: 20,
      cost: 0.5,
    });
    await aiCalls.flush();
    await persistence.saveStageOutput(id, "report", stageId, value);
    await persistence.withTransaction(async (tx) => {
      await tx.updateStage(record.id, { status: "COMPLETED", completedAt: AT, outputData: value });
      await tx.appendAnnotations([{ workflowRunId: id, scope: "run", key: "step", value: number }]);
      await tx.appendOutboxEvents([{ ...event, eventType: "stage:completed" }]);
      await jobs.complete(job?.jobId ?? "");
    });
  }
  await persistence.updateRun(id, { status: "COMPLETED", completedAt: AT, output: value });
  const events = await persistence.getUnpublishedOutboxEvents();
  await persistence.markOutboxEventsPublished(events.map((each) => each.id));
  return id;
}

type Row = Readonly<Record<string, unknown>>;
const NAMES = Object.keys(LONG_TEXT) as LongTextTable[];

const FREE_TEXT = new Set(["message", "prompt", "response"]);

/** The rows as NDJSON: what their readers see of them, by the columns' names; nothing that is null. */
export async function asNdjson(db: D1Database): Promise<{ rows: number; bytes: number }> {
  const texts = await textsBeside(db);
  const figures = { rows: 0, bytes: 0 };
  for (const table of NAMES) {
    const { results } = await db.prepare(`SELECT * FROM "${snakeCase(table)}"`).run<Row>();
    const names: readonly string[] = LONG_TEXT[table].map(snakeCase);
    for (const row of results) {
      const members = Object.entries(row).flatMap(([name, held]) => {
        if (held === null || name === "commits") return [];
        const place = names.includes(name) ? placeIn(held) : null;
        const text = place === null ? held : texts.get(place.id);
        const isJson = names.includes(name) && !FREE_TEXT.has(name);
        return [[name, isJson && typeof text === "string" ? JSON.parse(text) : text]];
      });
      figures.rows += 1;
      figures.bytes += JSON.stringify(Object.fromEntries(members)).length + 1;
    }
  }
  return figures;
}
