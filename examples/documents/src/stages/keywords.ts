import type { CorpusIndex } from "./index-corpus.ts";

export interface Keyword {
  readonly term: string;
  readonly score: number;
  /** Occurrences in this document. */
  readonly count: number;
  /** Documents of the corpus that have the term. */
  readonly documents: number;
}

/**
 * The terms that tell this document from the others: TF-IDF with a smoothed inverse document
 * frequency, `count / total * (ln((1 + N) / (1 + documents)) + 1)`. Highest score first.
 */
export function chooseKeywords(
  terms: Readonly<Record<string, number>>,
  index: CorpusIndex,
  limit = 8,
): Keyword[] {
  const total = Object.values(terms).reduce((sum, count) => sum + count, 0);
  const scored = Object.entries(terms).map(([term, count]) => {
    const documents = documentsWith(term, index);
    const rarity = Math.log((1 + index.documents) / (1 + documents)) + 1;
    return { term, count, documents, score: (count / total) * rarity };
  });
  return scored
    .toSorted((a, b) => b.score - a.score || (a.term < b.term ? -1 : 1))
    .slice(0, limit)
    .map((keyword) => ({ ...keyword, score: Number(keyword.score.toPrecision(4)) }));
}

/** Own properties only: "constructor" is a word that READMEs use. */
function documentsWith(term: string, index: CorpusIndex): number {
  return Object.hasOwn(index.frequencies, term) ? (index.frequencies[term] ?? 1) : 1;
}
