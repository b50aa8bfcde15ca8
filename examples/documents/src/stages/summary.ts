import { count, type DocumentReport } from "./report.ts";

export interface CorpusSummary {
  readonly documents: number;
  readonly words: number;
  readonly errors: number;
  readonly warnings: number;
  /** Documents whose run did not complete. */
  readonly missing: readonly string[];
  readonly markdown: string;
}

/** One report over all documents: a table, then each document's own report. */
export function summarizeCorpus(
  reports: readonly DocumentReport[],
  missing: readonly string[],
): CorpusSummary {
  const totals = {
    documents: reports.length,
    words: total(reports, (report) => report.words),
    errors: total(reports, (report) => report.errors),
    warnings: total(reports, (report) => report.warnings),
  };
  const opening =
    `${count(totals.documents, "document")}, ${count(totals.words, "word")}, ` +
    `${count(totals.errors, "error")} and ${count(totals.warnings, "warning")} in links and code fences.`;
  const parts = ["# Document report", opening, table(reports)];
  if (missing.length > 0) parts.push(`Without a result: ${missing.join(", ")}.`);
  const markdown = [...parts, ...reports.map((report) => report.markdown)].join("\n\n");
  return { ...totals, missing, markdown: `${markdown}\n` };
}

function table(reports: readonly DocumentReport[]): string {
  const rows = reports.map((report) => [
    report.path,
    String(report.sections),
    String(report.words),
    String(report.errors),
    String(report.warnings),
    report.keywords.slice(0, 4).join(", "),
  ]);
  const header = ["Document", "Sections", "Words", "Errors", "Warnings", "Keywords"];
  const widths = header.map((name, column) =>
    Math.max(name.length, ...rows.map((row) => cell(row[column]).length)),
  );
  const line = (row: readonly string[]): string =>
    `| ${row.map((text, column) => cell(text).padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const rule = widths.map((width) => "-".repeat(width));
  return [line(header), line(rule), ...rows.map(line)].join("\n");
}

function cell(text: string | undefined): string {
  return (text ?? "").replaceAll("|", "\\|");
}

function total(
  reports: readonly DocumentReport[],
  value: (report: DocumentReport) => number,
): number {
  return reports.reduce((sum, report) => sum + value(report), 0);
}
