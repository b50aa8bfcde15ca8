/** Takes in a corpus: checks it and starts all its runs, in one transaction. */
import type { Backend } from "workflow-engine-cloudflare/client";
import * as z from "zod";
import { startRun } from "./advance.ts";
import {
  CORPUS_BYTES_MAX,
  DOCUMENT_BYTES_MAX,
  DOCUMENTS_MAX,
  FILES_MAX,
  corpusTooLarge,
  documentTooLarge,
} from "./limits.ts";
import { corpusWorkflow, documentWorkflow, type DocumentRunInput, stored } from "./pipeline.ts";

const Corpus = z.object({
  documents: z
    .array(
      z.object({
        path: z.string().min(1).max(500),
        text: z.string(),
        files: z.array(z.string()).max(FILES_MAX).optional(),
      }),
    )
    .min(1, "there are no documents")
    .max(DOCUMENTS_MAX, `a corpus has at most ${DOCUMENTS_MAX} documents`),
});
export type Corpus = z.infer<typeof Corpus>;

export interface SubmittedCorpus {
  /** Also the id of the corpus's own run. */
  readonly corpusId: string;
  readonly documents: readonly { readonly runId: string; readonly path: string }[];
}

/** A submission that cannot be taken, with the reason as a sentence. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
  readonly status: 400 | 409 | 413;
  constructor(status: 400 | 409 | 413, message: string) {
    super(message);
    this.status = status;
  }
}

/** Checks the body of a submission. Throws `RefusedError` with a sentence for its sender. */
export function readCorpus(body: unknown): Corpus {
  const parsed = Corpus.safeParse(body);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new RefusedError(400, `${issue?.path.join(".") || "body"}: ${issue?.message}`);
  }
  let total = 0;
  for (const { path, text } of parsed.data.documents) {
    const bytes = byteLength(text);
    total += bytes;
    if (bytes > DOCUMENT_BYTES_MAX) throw new RefusedError(413, documentTooLarge(path, bytes));
  }
  if (total > CORPUS_BYTES_MAX) throw new RefusedError(413, corpusTooLarge(total));
  return parsed.data;
}

/**
 * Starts the runs of a corpus. The idempotency key is taken and completed by the very transaction
 * that creates the runs, so that a repeat, whenever it comes, gets the answer of the first.
 */
export async function submitCorpus(
  { persistence, jobs }: Backend,
  corpus: Corpus,
  idempotencyKey: string,
): Promise<SubmittedCorpus> {
  const submitted = plan(corpus);
  return await persistence.withTransaction(async (tx) => {
    const key = await tx.acquireIdempotencyKey(idempotencyKey, "corpus.submit");
    if (key.status === "replay") return stored(key.result);
    if (key.status === "in_progress") throw new RefusedError(409, "this submission is under way");
    const step = { tx, jobs, now: new Date() };
    const { corpusId, documents } = submitted;
    for (const [index, { runId, path }] of documents.entries()) {
      const document = corpus.documents[index];
      if (document === undefined) continue;
      const input: DocumentRunInput = { corpusId, ...document };
      await startRun(step, documentWorkflow, { id: runId, name: path, input });
    }
    await startRun(step, corpusWorkflow, { id: corpusId, name: "corpus", input: { documents } });
    await tx.completeIdempotencyKey(idempotencyKey, "corpus.submit", submitted);
    return submitted;
  });
}

/** Ids are chosen outside the transaction: its callback may be run again. */
function plan(corpus: Corpus): SubmittedCorpus {
  const corpusId = `corpus-${crypto.randomUUID().slice(0, 13)}`;
  const documents = corpus.documents.map(({ path }, index) => ({
    runId: `${corpusId}.${String(index + 1).padStart(2, "0")}`,
    path,
  }));
  return { corpusId, documents };
}

function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}
