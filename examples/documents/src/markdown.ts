/**
 * Reads the parts of Markdown that the stages need: headings, code fences, links, anchors and the
 * prose between them. A line scanner, not a CommonMark parser: it knows fences inside lists and
 * quotes, HTML headings and front matter, and does not follow a link text over a line's end.
 * Pure: no I/O, no clock.
 */

export interface Heading {
  readonly level: number;
  readonly text: string;
  readonly line: number;
  /** The fragment that a hosting site gives it; a repeated heading gets a number. */
  readonly anchor: string;
}

export interface Fence {
  /** Empty when the fence names none. */
  readonly language: string;
  readonly line: number;
  readonly code: string;
  readonly closed: boolean;
}

export interface Link {
  readonly text: string;
  readonly target: string;
  readonly line: number;
}

export interface Reference {
  readonly label: string;
  readonly line: number;
}

export interface ProseLine {
  readonly line: number;
  readonly text: string;
}

export interface MarkdownScan {
  readonly headings: readonly Heading[];
  readonly fences: readonly Fence[];
  readonly links: readonly Link[];
  /** `[text][label]` as used, and the labels that are defined. */
  readonly references: readonly Reference[];
  readonly definitions: readonly string[];
  /** Anchors that HTML in the document sets: `<a name="x">`, `id="x"`. */
  readonly anchors: readonly string[];
  readonly prose: readonly ProseLine[];
}

/** Characters of a line that are looked at. Only embedded images make longer lines. */
const LINE_MAX = 20_000;

const FENCE = /^\s*(?:>\s*)*(?:[-*+]\s+|\d+[.)]\s+)?(`{3,}|~{3,})(.*)$/;
const ATX_HEADING = /^ {0,3}(#{1,6})(?:\s+(.*?))?(?:\s+#+)?\s*$/;
const HTML_HEADING = /<h([1-6])\b[^>]*>(.*?)<\/h\1>/i;
const SETEXT_UNDERLINE = /^ {0,3}(={2,}|-{2,})\s*$/;
const NOT_A_PARAGRAPH = /^(?: {4}|\s*(?:[-*+>|#<]|\d+[.)]\s|$))/;
/** The address may be on the next line. */
const DEFINITION = /^ {0,3}\[([^\]^][^\]]*)\]:\s*(<[^>]*>|\S+|$)/;
const INLINE_CODE = /(`+)(?!`).*?[^`]\1(?!`)/g;
const INLINE_LINK =
  /\[((?:[^[\]]|\[[^[\]]*\])*)\]\(\s*(<[^>]*>|[^()\s]*(?:\([^()]*\)[^()\s]*)*)(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/g;
const REFERENCE_LINK = /(?<![\w\])])\[([^[\]]+)\]\[([^[\]]*)\]/g;
const HTML_LINK = /<(?:a|img)\b[^>]*?\s(?:href|src)\s*=\s*["']([^"']*)["']/gi;
const HTML_ANCHOR = /<[a-z][^>]*?\s(?:id|name)\s*=\s*["']([^"']+)["']/gi;
const AUTOLINK = /<([a-z][a-z0-9+.-]*:[^\s<>]+)>/gi;

/** Scans one document. */
export function scanMarkdown(text: string): MarkdownScan {
  const scanner = new Scanner();
  const lines = text.replace(/^\uFEFF/, "").split(/\r?\n/);
  const start = endOfFrontMatter(lines);
  for (let index = start; index < lines.length; index++) {
    scanner.read((lines[index] ?? "").slice(0, LINE_MAX), index + 1);
  }
  return scanner.finish();
}

/** The text of a line as a reader sees it: no code, tags, addresses or emphasis marks. */
export function plainText(line: string): string {
  return line
    .replace(INLINE_CODE, " ")
    .replace(/!\[[^\]]*\]\([^)]*\)/g, " ")
    .replace(INLINE_LINK, "$1")
    .replace(/<[^>]*>/g, " ")
    .replace(/\b[a-z][a-z0-9+.-]*:\/\/\S+/gi, " ")
    .replace(/&[a-z]+;|&#\d+;/gi, " ")
    .replace(/[*~|]+|(?<!\w)_+|_+(?!\w)/g, " ");
}

/** The fragment of a heading, as GitHub makes it: lower case, punctuation gone, blanks to hyphens. */
export function slugOf(heading: string): string {
  return headingText(heading)
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, "")
    .replace(/ /g, "-");
}

function headingText(raw: string): string {
  return raw
    .replace(/!\[[^\]]*\]\([^)]*\)/g, "")
    .replace(INLINE_LINK, "$1")
    .replace(/<[^>]*>/g, "")
    .replace(/[`*]/g, "")
    .trim();
}

/** Index of the first line after YAML front matter; 0 where there is none. */
function endOfFrontMatter(lines: readonly string[]): number {
  if (lines[0]?.trimEnd() !== "---") return 0;
  const end = lines.findIndex((line, index) => index > 0 && line.trimEnd() === "---");
  return end === -1 ? 0 : end + 1;
}

interface OpenFence {
  readonly marker: string;
  readonly language: string;
  readonly line: number;
  readonly code: string[];
}

class Scanner {
  readonly #headings: Heading[] = [];
  readonly #fences: Fence[] = [];
  readonly #links: Link[] = [];
  readonly #references: Reference[] = [];
  readonly #definitions: string[] = [];
  readonly #anchors: string[] = [];
  readonly #prose: ProseLine[] = [];
  readonly #slugs = new Map<string, number>();
  #fence: OpenFence | null = null;
  #inComment = false;

  read(line: string, number: number): void {
    if (this.#fence !== null) {
      this.#readCode(this.#fence, line);
      return;
    }
    const text = this.#withoutComments(line);
    const opening = FENCE.exec(text);
    if (opening !== null && isFenceOpening(opening)) {
      this.#openFence(opening, number);
      return;
    }
    this.#readText(text, number);
  }

  finish(): MarkdownScan {
    if (this.#fence !== null) this.#closeFence(this.#fence, false);
    return {
      headings: this.#headings,
      fences: this.#fences,
      links: this.#links,
      references: this.#references,
      definitions: this.#definitions,
      anchors: this.#anchors,
      prose: this.#prose,
    };
  }

  #openFence(opening: RegExpExecArray, line: number): void {
    const language = (opening[2] ?? "").trim().split(/[\s{,:]/)[0] ?? "";
    this.#fence = { marker: opening[1] ?? "", language, line, code: [] };
  }

  #readCode(fence: OpenFence, line: string): void {
    const closing = /^\s*(?:>\s*)*(`{3,}|~{3,})\s*$/.exec(line)?.[1];
    if (closing !== undefined && closing.startsWith(fence.marker)) this.#closeFence(fence, true);
    else fence.code.push(line);
  }

  #closeFence(fence: OpenFence, closed: boolean): void {
    const { language, line } = fence;
    this.#fences.push({ language, line, code: fence.code.join("\n"), closed });
    this.#fence = null;
  }

  #withoutComments(line: string): string {
    let text = line;
    if (this.#inComment) {
      const end = text.indexOf("-->");
      if (end === -1) return "";
      text = text.slice(end + 3);
      this.#inComment = false;
    }
    text = text.replace(/<!--.*?-->/g, "");
    const start = text.replace(INLINE_CODE, (code) => " ".repeat(code.length)).indexOf("<!--");
    if (start === -1) return text;
    this.#inComment = true;
    return text.slice(0, start);
  }

  #readText(text: string, line: number): void {
    this.#readLinks(text.replace(INLINE_CODE, "``"), line);
    const atx = ATX_HEADING.exec(text);
    const html = atx === null ? HTML_HEADING.exec(text) : null;
    if (atx !== null) this.#addHeading((atx[1] ?? "").length, atx[2] ?? "", line);
    else if (html !== null) this.#addHeading(Number(html[1]), html[2] ?? "", line);
    else if (SETEXT_UNDERLINE.test(text)) this.#readUnderline(text, line);
    else if (!DEFINITION.test(text)) this.#prose.push({ line, text });
  }

  /** `===` or `---` under a paragraph line turns that line into a heading. */
  #readUnderline(text: string, line: number): void {
    const above = this.#prose.at(-1);
    if (above === undefined || above.line !== line - 1 || NOT_A_PARAGRAPH.test(above.text)) return;
    this.#prose.pop();
    this.#addHeading(text.includes("=") ? 1 : 2, above.text, above.line);
  }

  #addHeading(level: number, raw: string, line: number): void {
    const text = headingText(raw);
    if (text === "") return;
    const slug = slugOf(raw);
    const seen = this.#slugs.get(slug) ?? 0;
    this.#slugs.set(slug, seen + 1);
    this.#headings.push({ level, text, line, anchor: seen === 0 ? slug : `${slug}-${seen}` });
  }

  #readLinks(text: string, line: number): void {
    const definition = DEFINITION.exec(text);
    if (definition !== null) {
      this.#definitions.push((definition[1] ?? "").toLowerCase());
      if (definition[2]) this.#addLink(definition[1] ?? "", definition[2], line);
      return;
    }
    this.#readInlineLinks(text, line);
    for (const match of text.matchAll(REFERENCE_LINK)) {
      this.#references.push({ label: (match[2] || match[1] || "").toLowerCase(), line });
    }
    for (const match of text.matchAll(HTML_LINK)) this.#addLink("", match[1] ?? "", line);
    for (const match of text.matchAll(AUTOLINK)) this.#addLink("", match[1] ?? "", line);
    for (const match of text.matchAll(HTML_ANCHOR)) this.#anchors.push(match[1] ?? "");
  }

  /** Also looks into the text of each link: a badge is an image inside a link. */
  #readInlineLinks(text: string, line: number): void {
    for (const match of text.matchAll(INLINE_LINK)) {
      this.#addLink(match[1] ?? "", match[2] ?? "", line);
      if (match[1]?.includes("](") === true) this.#readInlineLinks(match[1], line);
    }
  }

  #addLink(text: string, target: string, line: number): void {
    this.#links.push({ text, target: target.replace(/^<(.*)>$/, "$1"), line });
  }
}

/** Backticks may not appear in the info string of a backtick fence: that is inline code. */
function isFenceOpening(match: RegExpExecArray): boolean {
  return match[1]?.startsWith("~") === true || match[2]?.includes("`") !== true;
}
