/** Old runs and old AI calls can be deleted: what is theirs is found without a scan, and nothing of it is left. */
import { beforeEach, describe, expect, it } from "vitest";
import { snakeCase } from "../../src/store/names.ts";
import { tables } from "../../schema/tables.ts";
import { deleteRun } from "../../src/store/retention.ts";
import { statement } from "../../src/store/sql.ts";
import { NOW, recordedConnection, signal, write } from "../ledger/live.ts";
import { badSteps, plansOf } from "../ledger/plans.ts";
import { Recorder } from "../ledger/recorder.ts";
import { leaveRun } from "../ledger/runs-in-file.ts";
import { emptyDatabase, everything } from "../support/database.ts";
import { env } from "../support/env.ts";
import { textsAstray, textsBeside } from "../support/long-texts.ts";

const recorder = new Recorder(env.DB);
const backend = recordedConnection(recorder, NOW);
const { persistence } = backend;

beforeEach(async () => {
  await emptyDatabase();
});

async function runDeletion(id: string): Promise<void> {
  await env.DB.batch(deleteRun(id).map(({ sql, params }) => env.DB.prepare(sql).bind(...params)));
}

function event(workflowRunId: string) {
  const payload = { value: "v".repeat(1_000) };
  return { workflowRunId, eventType: "e", causationId: "c", occurredAt: new Date(NOW), payload };
}

/** The tables that mention the id in a row. */
async function mentioning(id: string): Promise<string[]> {
  const all: Record<string, unknown[]> = JSON.parse(await everything());
  return Object.entries(all).flatMap(([name, rows]) =>
    JSON.stringify(rows).includes(id) ? [name] : [],
  );
}

async function countsOf(run: string): Promise<Record<string, number>> {
  const count = (table: string) =>
    env.DB.prepare(`SELECT count(*) FROM "${table}" WHERE "workflow_run_id" = ?`)
      .bind(run)
      .first<number>("count(*)");
  return {
    stages: (await count("stages")) ?? -1,
    attempts: (await count("stage_attempts")) ?? -1,
    signals: (await count("signals")) ?? -1,
  };
}

describe("a run that is deleted", () => {
  it("leaves the last sequence of its events, its AI calls, and nothing else", async () => {
    const id = await leaveRun(backend, 1_000);
    await persistence.appendAnnotations([
      { workflowRunId: id, scope: "run", key: "long", value: "v".repeat(1_000) },
    ]);
    const other = await leaveRun(backend, 1_000);
    const texts = (await textsBeside()).size;

    await runDeletion(id);

    expect(await mentioning(id)).toEqual(["outbox_tails", "ai_calls", "ai_call_totals"]);
    expect(await textsAstray()).toEqual([]);
    // Of both runs there were 42, and one of the annotation; the ten of the AI calls stay.
    expect(texts).toBe(2 * 42 + 1);
    expect(await textsBeside()).toHaveLength(texts - 33);
    expect((await persistence.getStagesByRun(other)).map(({ outputData }) => outputData)).toEqual(
      Array.from({ length: 5 }, () => "v".repeat(998)),
    );
  });

  it("takes its archived stages and its signals along, with their texts", async () => {
    const [id, other] = [await leaveRun(backend, 1_000), await leaveRun(backend, 1_000)];
    for (const run of [id, other]) {
      const [first] = await persistence.getStagesByRun(run);
      if (first === undefined) throw new Error("The run has stages");
      const { stageId, executionGroup: group } = first;
      const sent = signal("once", run);
      await write(recorder, [
        { kind: "archiveStages", workflowRunId: run, stageId, group, at: 1 },
        { ...sent, row: { ...sent.row, payload: JSON.stringify("v".repeat(1_000)) } },
      ]);
    }
    const left = { stages: 0, attempts: 5, signals: 1 };
    expect(await countsOf(id)).toEqual(left);
    const texts = (await textsBeside()).size;

    await runDeletion(id);

    expect(await countsOf(id)).toEqual({ stages: 0, attempts: 0, signals: 0 });
    expect(await countsOf(other)).toEqual(left);
    expect(await textsAstray()).toEqual([]);
    expect((await textsBeside()).size).toBeLessThan(texts);
  });

  it("is found by no annotation any more, while others are", async () => {
    const [id, other] = [await leaveRun(backend, 20), await leaveRun(backend, 20)];
    await runDeletion(id);
    const { results } = await env.DB.prepare(
      `SELECT DISTINCT "workflow_run_id" FROM "annotated_runs"`,
    ).run();
    expect(results).toEqual([{ workflow_run_id: other }]);
  });

  it("has events again only after the last sequence that it had", async () => {
    const id = "elsewhere";
    await persistence.appendOutboxEvents([event(id), event(id), event(id)]);
    await runDeletion(id);
    await persistence.withTransaction(async (tx) => {
      await tx.getUnpublishedOutboxEvents();
      await tx.appendOutboxEvents([event(id)]);
    });
    await persistence.appendOutboxEvents([event(id)]);
    const sequences = async () =>
      (await persistence.getUnpublishedOutboxEvents()).map(({ sequence }) => sequence);
    expect(await sequences()).toEqual([4, 5]);
    await runDeletion(id);
    await persistence.appendOutboxEvents([event(id)]);
    expect(await sequences()).toEqual([6]);
  });
});

describe("what is to be deleted", () => {
  it("is found without a scan: a run's rows by the run, AI calls by their age", async () => {
    const statements = [
      ...deleteRun("run"),
      statement(`DELETE FROM "ai_calls" WHERE "batch_id" = '' AND "ordinal" < ?`, "0"),
      statement(`DELETE FROM "ai_calls" WHERE "batch_id" <> '' AND "created_at" < ?`, NOW),
    ];
    for (const statistics of [false, true]) {
      await leaveRun(backend, 20);
      if (statistics) await env.DB.prepare("ANALYZE").run();
      for (const [sql, plan] of await plansOf(env.DB, statements)) {
        expect(badSteps(sql, plan), sql).toEqual([]);
      }
    }
  });

  it("includes every table: those without a run are named here", () => {
    const withRun = Object.entries(tables).flatMap(([name, table]) =>
      "workflowRunId" in table || name === "runs" ? [] : [snakeCase(name)],
    );
    expect(withRun).toEqual([
      "long_texts",
      "workflows",
      "idempotency_keys",
      "ai_calls",
      "ai_call_totals",
      "commits",
    ]);
  });
});
