/** What the app takes, with its limits, and what it answers. */
import type { Status } from "workflow-engine-cloudflare/client";
import * as z from "zod";

/** A document is the input of its run, and a row of the database has a limit. */
export const DOCUMENT_BYTES_MAX = 1_500_000;
export const CORPUS_BYTES_MAX = 16_000_000;
export const DOCUMENTS_MAX = 50;
/** Neighbours listed per document. */
export const FILES_MAX = 5_000;

export const Document = z.object({
  path: z.string().min(1).max(500),
  text: z.string(),
  /** Paths that exist beside the document, relative to its folder; absent when they are unknown. */
  files: z.array(z.string()).max(FILES_MAX).optional(),
});

export const Corpus = z.object({
  documents: z
    .array(Document)
    .min(1, "there are no documents")
    .max(DOCUMENTS_MAX, `a corpus has at most ${DOCUMENTS_MAX} documents`),
});

/** The runs of a corpus's documents. */
export const Listed = z.array(z.object({ runId: z.string(), path: z.string() }));
export type Listed = z.infer<typeof Listed>;

export interface SubmittedCorpus {
  /** Also the id of the corpus's own run. */
  readonly corpusId: string;
  readonly documents: Listed;
}

export interface StageProgress {
  readonly id: string;
  readonly name: string;
  readonly group: number;
  readonly status: Status;
  /** Its result in a line, what it waits for, or the reason of its failure. */
  readonly note: string | null;
  readonly durationMs: number | null;
}

export interface RunProgress {
  readonly runId: string;
  readonly name: string;
  readonly status: Status;
  /** Those that the run has come to. */
  readonly stages: readonly StageProgress[];
}

export interface CorpusProgress {
  readonly corpusId: string;
  /** True when no run of the corpus will change any more. */
  readonly done: boolean;
  /** The corpus's own run comes last. */
  readonly runs: readonly RunProgress[];
}

/** Of a status that nothing leaves. */
export function isOver(status: Status): boolean {
  return !["PENDING", "RUNNING", "SUSPENDED"].includes(status);
}

export function documentTooLarge(path: string, bytes: number): string {
  return `${path} has ${megabytes(bytes)} MB; a document may have ${megabytes(DOCUMENT_BYTES_MAX)} MB at most`;
}

export function corpusTooLarge(bytes: number): string {
  return `the documents have ${megabytes(bytes)} MB together; ${megabytes(CORPUS_BYTES_MAX)} MB is the most`;
}

function megabytes(bytes: number): string {
  return (bytes / 1_000_000).toFixed(1);
}
