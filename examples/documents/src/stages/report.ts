import type { CheckResult, Finding } from "./check.ts";
import type { Keyword } from "./keywords.ts";
import type { ParsedDocument } from "./parse.ts";

export interface DocumentReport {
  readonly path: string;
  readonly title: string | null;
  readonly sections: number;
  readonly words: number;
  readonly keywords: readonly string[];
  readonly errors: number;
  readonly warnings: number;
  readonly markdown: string;
}

export interface DocumentResults {
  readonly path: string;
  readonly parsed: ParsedDocument;
  readonly keywords: readonly Keyword[];
  readonly check: CheckResult;
}

const FINDINGS_SHOWN = 8;

/** Puts the results of a document's other stages into words. */
export function reportDocument(results: DocumentResults): DocumentReport {
  const { path, parsed, keywords, check } = results;
  return {
    path,
    title: parsed.title,
    sections: parsed.sectionCount,
    words: parsed.words,
    keywords: keywords.map((keyword) => keyword.term),
    errors: check.errors,
    warnings: check.warnings,
    markdown: [`## ${path}`, facts(results), keywordLine(keywords), ...findingLines(check)].join(
      "\n\n",
    ),
  };
}

function facts({ parsed, check }: DocumentResults): string {
  const longest = parsed.sections.toSorted((a, b) => b.words - a.words)[0];
  return [
    `${parsed.title === null ? "No title" : `"${inline(parsed.title)}"`}: ${count(parsed.sectionCount, "section")}, ${count(parsed.words, "word")}`,
    longest === undefined ? "" : `, longest section "${inline(longest.title)}"`,
    `; ${fences(parsed)}; ${count(parsed.links, "link")}`,
    check.externalLinks === 0 ? "" : `, ${check.externalLinks} to other sites (not followed)`,
    check.uncheckedLinks === 0
      ? ""
      : `, ${check.uncheckedLinks} to files nobody listed (not checked)`,
    ".",
  ].join("");
}

function fences(parsed: ParsedDocument): string {
  const languages = Object.entries(parsed.fences).toSorted((a, b) => b[1] - a[1]);
  const total = languages.reduce((sum, [, fenceCount]) => sum + fenceCount, 0);
  if (total === 0) return "no code fences";
  const named = languages
    .slice(0, 5)
    .map(([name, fenceCount]) => `${name || "none"} ${fenceCount}`);
  return `${count(total, "code fence")} (${named.join(", ")})`;
}

function keywordLine(keywords: readonly Keyword[]): string {
  if (keywords.length === 0) return "Keywords: none.";
  return `Keywords: ${keywords.map(({ term, score }) => `${term} (${score.toPrecision(2)})`).join(", ")}.`;
}

function findingLines(check: CheckResult): string[] {
  if (check.findings.length === 0) return ["Nothing to complain about."];
  const worstFirst = check.findings.toSorted((a, b) => rank(a) - rank(b) || a.line - b.line);
  const shown = worstFirst.slice(0, FINDINGS_SHOWN).map(findingLine);
  const more = check.errors + check.warnings - shown.length;
  return [[...shown, ...(more > 0 ? [`- and ${count(more, "more finding")}`] : [])].join("\n")];
}

function findingLine({ severity, line, message, rule }: Finding): string {
  return `- ${severity}, line ${line}: ${inline(message)} (${rule})`;
}

function rank(finding: Finding): number {
  return finding.severity === "error" ? 0 : 1;
}

function inline(text: string): string {
  return text.replace(/\s+/g, " ");
}

/** "1 word", "1,234 words". */
export function count(number: number, noun: string): string {
  return `${number.toLocaleString("en-US")} ${noun}${number === 1 ? "" : "s"}`;
}
