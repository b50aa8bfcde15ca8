import type { ParsedDocument } from "./parse.ts";

export interface CorpusIndex {
  /** Documents in the corpus. */
  readonly documents: number;
  /** In how many documents a term occurs. Left out: terms of a single document, the vast majority. */
  readonly frequencies: Readonly<Record<string, number>>;
}

/** Counts for every term in how many documents it occurs: the measure of how rare a word is. */
export function indexCorpus(parsed: readonly ParsedDocument[]): CorpusIndex {
  const counts = new Map<string, number>();
  for (const document of parsed) {
    for (const term of Object.keys(document.terms)) counts.set(term, (counts.get(term) ?? 0) + 1);
  }
  const shared = [...counts].filter(([, count]) => count > 1);
  return { documents: parsed.length, frequencies: Object.fromEntries(shared) };
}
