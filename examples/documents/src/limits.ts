/** How much the app takes, and the messages when it is more. */

/** A document is the input of its run, and a row of the database has a limit. */
export const DOCUMENT_BYTES_MAX = 1_500_000;
/** All runs of a corpus start in one transaction, which has a limit as well. */
export const CORPUS_BYTES_MAX = 16_000_000;
export const DOCUMENTS_MAX = 50;
/** Neighbours listed per document. */
export const FILES_MAX = 5_000;

export function documentTooLarge(path: string, bytes: number): string {
  return `${path} has ${megabytes(bytes)} MB; a document may have ${megabytes(DOCUMENT_BYTES_MAX)} MB at most`;
}

export function corpusTooLarge(bytes: number): string {
  return `the documents have ${megabytes(bytes)} MB together; ${megabytes(CORPUS_BYTES_MAX)} MB is the most`;
}

function megabytes(bytes: number): string {
  return (bytes / 1_000_000).toFixed(1);
}
