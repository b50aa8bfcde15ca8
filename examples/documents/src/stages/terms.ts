/** Words, and which of them count as terms. Pure. */

/** Terms kept per document: the most frequent ones, so that the counts fit into one artifact. */
const TERMS_MAX = 20_000;

const STOP_WORDS = new Set(
  `about above after again all also and any are aren't because been before being below between both
  but can can't cannot could did didn't does doesn't doing don't down during each few for from
  further get gets had has hasn't have haven't having her here hers him his how however i'm into isn't
  it's its itself just let let's like make makes may might more most much must mustn't nor not now off
  once one only other our ours out over own per same see she should shouldn't since so some such than
  that that's the their theirs them then there there's these they this those through too two under
  until upon use used uses using very via was wasn't way we're were weren't what when where which while
  who whom why will with within without won't would wouldn't yet you you're your yours`.split(
    /\s+/,
  ),
);

/** Every word of a text, in lower case and in order. */
export function words(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+(?:['’-][\p{L}\p{N}]+)*/gu) ?? [];
}

/** How often each term occurs: words of three letters or more that carry some meaning. */
export function countTerms(texts: readonly string[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const word of words(text)) {
      const term = word.replaceAll("’", "'").replace(/'s$/, "");
      if (isTerm(term)) counts.set(term, (counts.get(term) ?? 0) + 1);
    }
  }
  return Object.fromEntries([...counts].toSorted(byCountThenTerm).slice(0, TERMS_MAX));
}

function isTerm(word: string): boolean {
  return word.length >= 3 && word.length <= 60 && /^\p{L}/u.test(word) && !STOP_WORDS.has(word);
}

/** Ties go by the term itself: the same text must give the same result on every redo. */
function byCountThenTerm(a: [string, number], b: [string, number]): number {
  return b[1] - a[1] || (a[0] < b[0] ? -1 : 1);
}
