import { type Fence, type Link, type MarkdownScan, scanMarkdown } from "../markdown.ts";
import type { DocumentInput } from "./parse.ts";

export type Severity = "error" | "warning";

export interface Finding {
  readonly rule: string;
  readonly severity: Severity;
  readonly line: number;
  readonly message: string;
}

export interface CheckResult {
  /** At most 500, in the order of the document; the counts are of all. */
  readonly findings: readonly Finding[];
  readonly errors: number;
  readonly warnings: number;
  /** Links to other sites. They are not followed. */
  readonly externalLinks: number;
  /** Relative links that could not be checked: the files at their place are unknown. */
  readonly uncheckedLinks: number;
}

const FINDINGS_MAX = 500;
const EXTERNAL = /^(?:[a-z][a-z0-9+.-]*:|\/\/)/i;

/** Checks links and code fences of one document. It reads only what it is given, no network, no disk. */
export function checkDocument(document: DocumentInput): CheckResult {
  const scan = scanMarkdown(document.text);
  const files = document.files === undefined ? null : new Set(document.files.map(normalize));
  const relative = relativeLinks(scan.links);
  const findings = [
    ...checkAnchors(scan),
    ...checkReferences(scan),
    ...relative.flatMap((link) => checkRelativeLink(link, files)),
    ...checkHeadings(scan),
    ...scan.fences.flatMap(checkFence),
    ...scan.links.flatMap(checkTarget),
  ].toSorted((a, b) => a.line - b.line);
  return {
    findings: findings.slice(0, FINDINGS_MAX),
    errors: findings.filter((finding) => finding.severity === "error").length,
    warnings: findings.filter((finding) => finding.severity === "warning").length,
    externalLinks: scan.links.filter((link) => EXTERNAL.test(link.target)).length,
    uncheckedLinks: relative.filter((link) => !isKnowable(link, files)).length,
  };
}

function checkAnchors(scan: MarkdownScan): Finding[] {
  const known = new Set([...scan.headings.map((h) => h.anchor), ...scan.anchors].map(anchorKey));
  return scan.links
    .filter((link) => link.target.startsWith("#") && link.target.length > 1)
    .filter((link) => link.target !== "#top" && !known.has(anchorKey(link.target.slice(1))))
    .map((link) => error("broken-anchor", link.line, `no heading for ${clip(link.target)}`));
}

function checkReferences(scan: MarkdownScan): Finding[] {
  const defined = new Set(scan.definitions);
  return scan.references
    .filter((reference) => !defined.has(reference.label))
    .map(({ label, line }) =>
      error("undefined-reference", line, `[${clip(label)}] is not defined`),
    );
}

function relativeLinks(links: readonly Link[]): Link[] {
  return links.filter(
    ({ target }) => target !== "" && !/^[#/?]/.test(target) && !EXTERNAL.test(target),
  );
}

function checkRelativeLink(link: Link, files: ReadonlySet<string> | null): Finding[] {
  if (files === null || !isKnowable(link, files) || files.has(pathOf(link))) return [];
  return [error("broken-link", link.line, `${clip(link.target)} does not exist`)];
}

/** Files above the document's folder were not listed, so links to them cannot be checked. */
function isKnowable(link: Link, files: ReadonlySet<string> | null): boolean {
  return files !== null && !pathOf(link).startsWith("..");
}

function checkHeadings(scan: MarkdownScan): Finding[] {
  const findings: Finding[] = [];
  const seen = new Map<string, number>();
  let above = 0;
  for (const { text, level, line } of scan.headings) {
    const first = seen.get(text.toLowerCase());
    if (first === undefined) seen.set(text.toLowerCase(), line);
    else
      findings.push(warning("duplicate-heading", line, `"${clip(text)}" is also on line ${first}`));
    if (above > 0 && level > above + 1) {
      findings.push(warning("heading-jump", line, `level ${level} follows level ${above}`));
    }
    above = level;
  }
  return findings;
}

function checkFence(fence: Fence): Finding[] {
  if (!fence.closed) return [error("unclosed-fence", fence.line, "the code fence is never closed")];
  if (fence.language === "") {
    return [warning("fence-without-language", fence.line, "the code fence names no language")];
  }
  if (fence.code.trim() === "")
    return [warning("empty-fence", fence.line, "the fence holds no code")];
  if (fence.language.toLowerCase() === "json" && !isJson(fence.code)) {
    return [warning("invalid-json", fence.line, "the code is not valid JSON")];
  }
  return [];
}

function checkTarget({ target, line }: Link): Finding[] {
  if (target === "" || target === "#")
    return [warning("empty-link", line, "the link has no target")];
  if (/^http:\/\/(?!localhost|127\.)/i.test(target)) {
    return [warning("insecure-link", line, `${clip(target)} is not https`)];
  }
  return [];
}

function isJson(code: string): boolean {
  try {
    JSON.parse(code);
    return true;
  } catch {
    return false;
  }
}

/** Without query and fragment, `./` and `a/../` resolved. */
function pathOf(link: Link): string {
  return normalize(decode(link.target.replace(/[?#].*$/, "")));
}

function normalize(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else parts.push(part);
  }
  return parts.join("/");
}

/** Browsers compare fragments decoded; sites disagree about case and about emoji variants. */
function anchorKey(anchor: string): string {
  return decode(anchor)
    .toLowerCase()
    .replace(/\uFE0F/g, "")
    .replace(/^user-content-/, "");
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function clip(text: string): string {
  return text.length > 120 ? `${text.slice(0, 119)}…` : text;
}

function error(rule: string, line: number, message: string): Finding {
  return { rule, severity: "error", line, message };
}

function warning(rule: string, line: number, message: string): Finding {
  return { rule, severity: "warning", line, message };
}
