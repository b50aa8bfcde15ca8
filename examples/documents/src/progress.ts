/** The progress of a corpus while it is worked on. Reads only. */
import type {
  Status,
  WorkflowPersistence,
  WorkflowRunRecord,
  WorkflowStageRecord,
} from "workflow-engine-cloudflare/client";
import { corpusOf, findWorkflow, isFinal, nameOf, REPORT_KEY } from "./pipeline.ts";

export interface StageProgress {
  readonly id: string;
  readonly name: string;
  readonly group: number;
  /** Null while the stage's group has not started. */
  readonly status: Status | null;
  /** Its result in a line, or the reason why it waits. */
  readonly note: string | null;
  readonly durationMs: number | null;
}

export interface RunProgress {
  readonly runId: string;
  readonly name: string;
  readonly status: Status;
  readonly stages: readonly StageProgress[];
}

export interface CorpusProgress {
  readonly corpusId: string;
  /** True when no run of the corpus will change any more. */
  readonly done: boolean;
  /** The corpus's own run comes last. */
  readonly runs: readonly RunProgress[];
}

/** Null for an unknown corpus. */
export async function corpusProgress(
  persistence: WorkflowPersistence,
  corpusId: string,
): Promise<CorpusProgress | null> {
  const corpus = await persistence.getRun(corpusId);
  if (corpus === null) return null;
  const documents = await Promise.all(
    corpusOf(corpus).documents.map(({ runId }) => runProgress(persistence, runId)),
  );
  const own = await runProgress(persistence, corpusId);
  const runs = [...documents, own].filter((run) => run !== null);
  return { corpusId, done: runs.every((run) => isFinal(run.status)), runs };
}

/** Null for an unknown run. */
export async function runProgress(
  persistence: WorkflowPersistence,
  runId: string,
): Promise<RunProgress | null> {
  const [run, stages] = await Promise.all([
    persistence.getRun(runId),
    persistence.getStagesByRun(runId),
  ]);
  if (run === null) return null;
  return { runId, name: nameOf(run), status: run.status, stages: stagesOf(run, stages) };
}

/** The finished report; null while there is none. */
export async function loadReport(
  persistence: WorkflowPersistence,
  corpusId: string,
): Promise<string | null> {
  const report = await persistence.loadArtifact(corpusId, REPORT_KEY);
  return typeof report === "string" ? report : null;
}

function stagesOf(
  run: WorkflowRunRecord,
  records: readonly WorkflowStageRecord[],
): StageProgress[] {
  const groups = findWorkflow(run.workflowId)?.groups ?? [];
  return groups.flatMap((stages, index) =>
    stages.map(({ id, name }) => {
      const record = records.find((stage) => stage.stageId === id);
      return {
        id,
        name,
        group: index + 1,
        status: record?.status ?? null,
        note: record === undefined ? null : noteOf(record),
        durationMs: record?.duration ?? null,
      };
    }),
  );
}

function noteOf(stage: WorkflowStageRecord): string | null {
  if (stage.status === "FAILED") return stage.errorMessage;
  if (stage.status === "SUSPENDED") return textAt(stage.suspendedState, "waitsFor");
  return textAt(stage.outputData, "summary");
}

function textAt(value: unknown, key: string): string | null {
  if (typeof value !== "object" || value === null) return null;
  const text: unknown = Reflect.get(value, key);
  return typeof text === "string" ? text : null;
}
