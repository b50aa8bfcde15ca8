/**
 * The work on a corpus. Two workflows, each a list of execution groups; the stages of one group
 * run in parallel, a group starts when the one before it is complete:
 *
 *   document (a run per document):  parse  ->  keywords | check  ->  report
 *   corpus (one run):               index  ->  summary
 *
 * The runs wait for one another: `index` for every `parse`, `keywords` for `index`, `summary` for
 * every document. A stage that has to wait says so, is suspended and asked again a little later.
 *
 * A stage reads what it needs and returns its result. It writes nothing, so that it can be done
 * again at any time: handler.ts stores the result and moves the run on, in one transaction.
 */
import type { WorkflowPersistence, WorkflowRunRecord } from "workflow-engine-cloudflare/client";
import { checkDocument, type CheckResult } from "./stages/check.ts";
import { type CorpusIndex, indexCorpus } from "./stages/index-corpus.ts";
import { chooseKeywords, type Keyword } from "./stages/keywords.ts";
import { type DocumentInput, type ParsedDocument, parseDocument } from "./stages/parse.ts";
import { count, type DocumentReport, reportDocument } from "./stages/report.ts";
import { type CorpusSummary, summarizeCorpus } from "./stages/summary.ts";

export interface StageContext {
  readonly persistence: WorkflowPersistence;
  readonly run: WorkflowRunRecord;
}

/** A remark about a decision that a stage took; stored as an annotation. */
export interface Remark {
  readonly key: string;
  readonly value: unknown;
  readonly payload?: unknown;
}

export type StageResult =
  | {
      readonly kind: "done";
      readonly output: unknown;
      /** One line for the log and the progress display. */
      readonly summary: string;
      readonly remarks?: readonly Remark[];
      /** Further artifacts, by key. */
      readonly artifacts?: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: "wait"; readonly waitsFor: string };

export interface StageDefinition {
  readonly id: string;
  readonly name: string;
  /** Higher is served first. */
  readonly priority: number;
  execute(context: StageContext): Promise<StageResult>;
}

export interface Workflow {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly groups: readonly (readonly StageDefinition[])[];
}

export interface DocumentRunInput extends DocumentInput {
  readonly corpusId: string;
}

export interface CorpusRunInput {
  readonly documents: readonly { readonly runId: string; readonly path: string }[];
}

/** The artifact of a corpus run that holds the finished report. */
export const REPORT_KEY = "report.md";

const REMARKS_MAX = 50;

const parse: StageDefinition = {
  id: "parse",
  name: "Parse sections",
  priority: 9,
  async execute({ run }) {
    const output = parseDocument(documentOf(run));
    return done(output, `${count(output.sectionCount, "section")}, ${count(output.words, "word")}`);
  },
};

const keywords: StageDefinition = {
  id: "keywords",
  name: "Choose keywords",
  priority: 5,
  async execute({ persistence, run }) {
    const index = await outputOf<CorpusIndex>(persistence, documentOf(run).corpusId, "index");
    if (index === null) return { kind: "wait", waitsFor: "the index of the corpus" };
    const parsed = await requireOutput<ParsedDocument>(persistence, run.id, "parse");
    const chosen = chooseKeywords(parsed.terms, index);
    return {
      kind: "done",
      output: chosen,
      summary: chosen.map((keyword) => keyword.term).join(", ") || "none",
      remarks: chosen.map(({ term, ...reasons }) => ({
        key: "keyword.chosen",
        value: term,
        payload: reasons,
      })),
    };
  },
};

const check: StageDefinition = {
  id: "check",
  name: "Check links and code fences",
  priority: 5,
  async execute({ run }) {
    const output = checkDocument(documentOf(run));
    return {
      kind: "done",
      output,
      summary: `${count(output.errors, "error")}, ${count(output.warnings, "warning")}`,
      remarks: output.findings.slice(0, REMARKS_MAX).map(({ rule, ...finding }) => ({
        key: `finding.${rule}`,
        value: finding.message,
        payload: finding,
      })),
    };
  },
};

const report: StageDefinition = {
  id: "report",
  name: "Report on the document",
  priority: 5,
  async execute({ persistence, run }) {
    const output = reportDocument({
      path: documentOf(run).path,
      parsed: await requireOutput<ParsedDocument>(persistence, run.id, "parse"),
      keywords: await requireOutput<Keyword[]>(persistence, run.id, "keywords"),
      check: await requireOutput<CheckResult>(persistence, run.id, "check"),
    });
    return done(output, count(output.markdown.length, "character"));
  },
};

const index: StageDefinition = {
  id: "index",
  name: "Index the corpus",
  priority: 8,
  async execute({ persistence, run }) {
    const runIds = corpusOf(run).documents.map((document) => document.runId);
    const stages = await Promise.all(runIds.map((id) => persistence.getStage(id, parse.id)));
    const open = stages.filter((stage) => stage === null || !isFinal(stage.status)).length;
    if (open > 0) return { kind: "wait", waitsFor: `${count(open, "document")} to be parsed` };
    const parsed = await Promise.all(
      runIds
        .filter((_, at) => stages[at]?.status === "COMPLETED")
        .map((id) => requireOutput<ParsedDocument>(persistence, id, parse.id)),
    );
    const output = indexCorpus(parsed);
    const shared = Object.keys(output.frequencies).length;
    return done(
      output,
      `${count(shared, "term")} in more than one of ${count(output.documents, "document")}`,
    );
  },
};

const summary: StageDefinition = {
  id: "summary",
  name: "Summarize the corpus",
  priority: 5,
  async execute({ persistence, run }) {
    const { documents } = corpusOf(run);
    const statuses = await Promise.all(
      documents.map((document) => persistence.getRunStatus(document.runId)),
    );
    const open = statuses.filter((status) => status === null || !isFinal(status)).length;
    if (open > 0) return { kind: "wait", waitsFor: `${count(open, "document")} to be done` };
    const complete = documents.filter((_, at) => statuses[at] === "COMPLETED");
    const missing = documents.filter((_, at) => statuses[at] !== "COMPLETED");
    const reports = await Promise.all(
      complete.map(({ runId }) => requireOutput<DocumentReport>(persistence, runId, report.id)),
    );
    const output: CorpusSummary = summarizeCorpus(
      reports,
      missing.map((document) => document.path),
    );
    const { markdown, ...totals } = output;
    return {
      ...done(totals, `${count(output.documents, "document")}, ${count(output.errors, "error")}`),
      artifacts: { [REPORT_KEY]: markdown },
    };
  },
};

export const documentWorkflow: Workflow = {
  id: "documents.document",
  name: "Document",
  type: "document",
  groups: [[parse], [keywords, check], [report]],
};

export const corpusWorkflow: Workflow = {
  id: "documents.corpus",
  name: "Corpus",
  type: "corpus",
  groups: [[index], [summary]],
};

/** The workflow of that id; `undefined` when it belongs to another app on the same service. */
export function findWorkflow(workflowId: string): Workflow | undefined {
  return [documentWorkflow, corpusWorkflow].find((workflow) => workflow.id === workflowId);
}

export function findStage(workflow: Workflow, stageId: string): StageDefinition | undefined {
  return workflow.groups.flat().find((stage) => stage.id === stageId);
}

/** A status that nothing leaves. */
export function isFinal(status: WorkflowRunRecord["status"]): boolean {
  return !["PENDING", "RUNNING", "SUSPENDED"].includes(status);
}

export function corpusOf(run: WorkflowRunRecord): CorpusRunInput {
  return stored(run.input);
}

export function documentOf(run: WorkflowRunRecord): DocumentRunInput {
  return stored(run.input);
}

/** The run's name, for people. */
export function nameOf(run: WorkflowRunRecord): string {
  return run.workflowId === documentWorkflow.id ? documentOf(run).path : "corpus";
}

/** The result of a stage, with its type; null while the stage is not complete. */
async function outputOf<T>(
  persistence: WorkflowPersistence,
  runId: string,
  stageId: string,
): Promise<T | null> {
  const stage = await persistence.getStage(runId, stageId);
  if (stage === null || !isFinal(stage.status)) return null;
  if (stage.status !== "COMPLETED") {
    throw new Error(`stage ${stageId} of run ${runId} is ${stage.status}`);
  }
  const { artifactKey } = stored<{ artifactKey: string }>(stage.outputData);
  return stored(await persistence.loadArtifact(runId, artifactKey));
}

/** JSON that this app has stored, with the type it had. Inputs were checked before they were stored. */
export function stored<T>(value: unknown): T {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- storage knows no types
  return value as T;
}

async function requireOutput<T>(
  persistence: WorkflowPersistence,
  runId: string,
  stageId: string,
): Promise<T> {
  const output = await outputOf<T>(persistence, runId, stageId);
  if (output === null) throw new Error(`stage ${stageId} of run ${runId} has no output yet`);
  return output;
}

function done(output: unknown, line: string): Extract<StageResult, { kind: "done" }> {
  return { kind: "done", output, summary: line };
}
