import { type MarkdownScan, plainText, scanMarkdown } from "../markdown.ts";
import { countTerms, words } from "./terms.ts";

export interface DocumentInput {
  readonly path: string;
  readonly text: string;
  /** Paths that exist beside the document, relative to its folder; absent when they are unknown. */
  readonly files?: readonly string[] | undefined;
}

export interface Section {
  readonly title: string;
  readonly level: number;
  readonly line: number;
  /** Words of prose up to the next heading. */
  readonly words: number;
}

export interface ParsedDocument {
  /** The first heading of level 1; null where there is none. */
  readonly title: string | null;
  readonly sections: readonly Section[];
  /** How many sections the document has; `sections` holds at most the first 2,000. */
  readonly sectionCount: number;
  readonly words: number;
  readonly links: number;
  /** Fences by language; those that name none are under "". */
  readonly fences: Readonly<Record<string, number>>;
  readonly terms: Readonly<Record<string, number>>;
}

/** An artifact has to fit into one row of the database, so its lists need a limit. */
const SECTIONS_MAX = 2_000;

/** Takes a document apart: its sections, the languages of its code, and the count of each term. */
export function parseDocument(document: DocumentInput): ParsedDocument {
  const scan = scanMarkdown(document.text);
  const sections = sectionsOf(scan);
  return {
    title: scan.headings.find((heading) => heading.level === 1)?.text ?? null,
    sections: sections.slice(0, SECTIONS_MAX),
    sectionCount: sections.length,
    words: sum(scan.prose.map((line) => words(plainText(line.text)).length)),
    links: scan.links.length,
    fences: countBy(scan.fences.map((fence) => fence.language)),
    terms: countTerms([
      ...scan.headings.map((heading) => heading.text),
      ...scan.prose.map((line) => plainText(line.text)),
    ]),
  };
}

function sectionsOf(scan: MarkdownScan): Section[] {
  const counts = scan.headings.map(() => 0);
  let current = -1;
  for (const line of scan.prose) {
    while ((scan.headings[current + 1]?.line ?? Infinity) < line.line) current++;
    if (current >= 0) counts[current] = (counts[current] ?? 0) + words(plainText(line.text)).length;
  }
  return scan.headings.map((heading, index) => ({
    title: heading.text.slice(0, 200),
    level: heading.level,
    line: heading.line,
    words: counts[index] ?? 0,
  }));
}

function countBy(values: readonly string[]): Record<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return Object.fromEntries(counts);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
