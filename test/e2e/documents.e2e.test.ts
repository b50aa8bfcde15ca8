/**
 * The main job, as `npm start` does it, over two real `wrangler dev` processes and a real service
 * binding; except that the service is killed in the middle and started again on the same state.
 */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { CorpusProgress } from "../../examples/documents/src/api.ts";
import { AppClient, follow, type PublishedEvent } from "../../scripts/app-client.ts";
import type { DevProcesses } from "../../scripts/dev-processes.ts";
import { installedReadmes } from "../../scripts/documents.ts";
import { type Dev, startDev } from "./support.ts";

const DOCUMENT_STAGES = ["parse", "check", "keywords", "report"];
/** Each README has enough words for as many as the stage gives. */
const KEYWORDS = 8;
const CORPUS_STAGES = ["documents", "index", "summary"];

let dev: Dev;
let processes: DevProcesses;
let app: AppClient;

beforeAll(async () => {
  dev = await startDev({ leaseMs: 4_000 }, { app: true });
  processes = dev.processes;
  app = new AppClient(processes.appUrl);
});

afterAll(async () => {
  await dev.stop();
});

describe("the documents example", () => {
  it("brings every run to its end through a crash of the service", async ({ onTestFailed }) => {
    onTestFailed(() => console.error(processes.lastOutput));
    const documents = await installedReadmes();
    const key = randomUUID();
    const [submitted, repeated] = await Promise.all([
      app.submit(documents, key),
      app.submit(documents, key),
    ]);
    expect(repeated).toEqual(submitted);
    const { corpusId } = submitted;

    const events: PublishedEvent[] = [];
    const state = { done: false };
    const [progress, found] = await Promise.all([
      follow(app, { corpusId, onEvent: (event) => events.push(event) }).finally(
        () => (state.done = true),
      ),
      crashMidway(corpusId),
      // Queued and delayed messages die with the service; from then on only the sweep knows what is due.
      processes.keepSweeping(1_000, () => state.done),
    ]);

    expect(found.stagesCompleted, "stages completed before the crash").toBeGreaterThan(0);
    expect(found.runsOpen, "runs not completed at the crash").toBeGreaterThan(0);
    expect(found.jobsLeased, "jobs in somebody's hands at the crash").toBeGreaterThan(0);
    expect(found.repeats, "calls that met a dead service").toBeGreaterThan(0);
    expectCompleted(progress, documents.length);
    expectGapless(events, documents.length);
    const report = await app.report(corpusId);
    for (const { path } of documents) expect(report).toContain(`## ${path}`);

    await processes.stopService();
    await expectStored(documents.length);
  });
});

/**
 * Crashes the service so that it takes jobs down with it. Nearly every crash does; where one came
 * between two jobs, there is another one.
 */
async function crashMidway(corpusId: string) {
  for (let crashes = 1; ; crashes++) {
    const found = await crash(corpusId, crashes * 5);
    if (found.jobsLeased > 0 || crashes === 3) return found;
  }
}

/** Kills the service while work is under way, looks at what it left behind, and starts it again. */
async function crash(corpusId: string, afterStages: number) {
  await vi.waitUntil(async () => completedStages(await app.progress(corpusId)) >= afterStages, {
    timeout: 60_000,
    interval: 20,
  });
  const repeats = app.repeats;
  await processes.killService();
  const counts = await processes.query(
    "SELECT count(*) AS n FROM stages WHERE status = 'COMPLETED'",
    "SELECT count(*) AS n FROM runs WHERE status <> 'COMPLETED'",
    "SELECT count(*) AS n FROM jobs WHERE status = 'RUNNING'",
  );
  const [stagesCompleted = 0, runsOpen = 0, jobsLeased = 0] = counts.map((rows) =>
    Number(rows[0]?.["n"]),
  );
  await vi.waitUntil(() => app.repeats > repeats, { timeout: 10_000 });
  await processes.startService();
  return { stagesCompleted, runsOpen, jobsLeased, repeats: app.repeats - repeats };
}

function completedStages(progress: CorpusProgress): number {
  const stages = progress.runs.flatMap((run) => run.stages);
  return stages.filter((stage) => stage.status === "COMPLETED").length;
}

function expectCompleted(progress: CorpusProgress, documents: number): void {
  expect(progress.runs).toHaveLength(documents + 1);
  for (const run of progress.runs) {
    const expected = run.name === "corpus" ? CORPUS_STAGES : DOCUMENT_STAGES;
    expect(run, run.name).toMatchObject({ status: "COMPLETED" });
    expect(run.stages.map((stage) => [stage.id, stage.status])).toEqual(
      expected.map((id) => [id, "COMPLETED"]),
    );
  }
}

/** Published at least once each, in order, and every stage's completion announced as one event. */
function expectGapless(events: readonly PublishedEvent[], documents: number): void {
  const runs = Map.groupBy(events, (event) => event.workflowRunId);
  expect(runs.size).toBe(documents + 1);
  for (const [runId, ofRun] of runs) {
    const once = [...new Map(ofRun.map((event) => [event.sequence, event])).values()];
    expect(
      once.map((event) => event.sequence),
      runId,
    ).toEqual(once.map((_, index) => index + 1));
    const completed = once.filter((event) => event.eventType === "stage:completed");
    const stageIds = completed.map((event) => event.payload["stageId"]);
    expect(new Set(stageIds).size, runId).toBe(stageIds.length);
    expect(once.at(0)?.eventType).toBe("workflow:started");
    expect(once.at(-1)?.eventType).toBe("workflow:completed");
  }
}

/** The same, from the rows themselves. */
async function expectStored(documents: number): Promise<void> {
  const stages = documents * DOCUMENT_STAGES.length + CORPUS_STAGES.length;
  const [runs, stageRows, jobs, logs, keywords, gaps, doubles] = await processes.query(
    "SELECT status, count(*) AS n FROM runs GROUP BY status",
    "SELECT status, count(*) AS n FROM stages GROUP BY status",
    "SELECT status, count(*) AS n FROM jobs GROUP BY status",
    "SELECT level, message FROM logs",
    `SELECT count(*) AS n FROM annotations WHERE key = 'keyword.chosen' GROUP BY workflow_run_id`,
    `SELECT workflow_run_id FROM outbox_events GROUP BY workflow_run_id
     HAVING min(sequence) <> 1 OR max(sequence) <> count(*) OR count(published_at) <> count(*)`,
    `SELECT workflow_run_id, payload ->> 'stageId' AS stage, count(*) AS n FROM outbox_events
     WHERE event_type = 'stage:completed' GROUP BY 1, 2 HAVING n <> 1`,
  );
  expect(runs).toEqual([{ status: "COMPLETED", n: documents + 1 }]);
  expect(stageRows).toEqual([{ status: "COMPLETED", n: stages }]);
  // A run moves one job from stage to stage, and needs a second one beside it for the pair.
  expect(jobs, "every job settled").toEqual([{ status: "COMPLETED", n: documents * 2 + 1 }]);
  expect(logs, "trouble").toEqual([]);
  expect(keywords, "what a stage noted, once").toEqual(
    Array.from({ length: documents }, () => ({ n: KEYWORDS })),
  );
  expect(gaps, "runs with a gap in their outbox, or with unpublished events").toEqual([]);
  expect(doubles, "stages completed more than once").toEqual([]);
}
