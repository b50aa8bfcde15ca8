import { describe, expect, it } from "vitest";
import { checkDocument } from "../src/stages/check.ts";
import { indexCorpus } from "../src/stages/index-corpus.ts";
import { chooseKeywords } from "../src/stages/keywords.ts";
import { parseDocument } from "../src/stages/parse.ts";
import { reportDocument } from "../src/stages/report.ts";
import { summarizeCorpus } from "../src/stages/summary.ts";

function rules(text: string, files?: string[]): string[] {
  const { findings } = checkDocument({ path: "a.md", text, files });
  return findings.map((finding) => `${finding.line} ${finding.rule}`);
}

function parse(text: string) {
  return parseDocument({ path: "a.md", text });
}

describe("parseDocument()", () => {
  it("counts the words of each section up to the next heading", () => {
    const parsed = parse(
      "before all\n# One\nthree more words\n## Two\n\n```js\nnot counted\n```\nlast",
    );
    expect(parsed.title).toBe("One");
    expect(parsed.words).toBe(6);
    expect(parsed.sections).toEqual([
      { title: "One", level: 1, line: 2, words: 3 },
      { title: "Two", level: 2, line: 4, words: 1 },
    ]);
    expect(parsed.fences).toEqual({ js: 1 });
  });

  it("counts terms, not stop words, numbers or markup", () => {
    expect(parse("The queue's **queue** and 42 of `code`, ok").terms).toEqual({ queue: 2 });
  });

  it("has no title for a document without a heading", () => {
    expect(parse("")).toMatchObject({ title: null, sections: [], words: 0, terms: {} });
  });
});

describe("chooseKeywords()", () => {
  const corpus = ["queue queue worker", "worker database", "worker constructor"].map(parse);
  const index = indexCorpus(corpus);

  it("indexes only terms that documents share", () => {
    expect(index).toEqual({ documents: 3, frequencies: { worker: 3 } });
  });

  it("scores by count and rarity", () => {
    const keywords = chooseKeywords(corpus[0]?.terms ?? {}, index);
    expect(keywords).toEqual([
      { term: "queue", count: 2, documents: 1, score: 1.129 },
      { term: "worker", count: 1, documents: 3, score: 0.3333 },
    ]);
  });

  it("does not mistake a property of every object for a term", () => {
    const keywords = chooseKeywords(corpus[2]?.terms ?? {}, index);
    expect(keywords[0]).toMatchObject({ term: "constructor", documents: 1 });
  });

  it("gives the same order for equal scores, and no more than asked for", () => {
    const terms = { beta: 1, alpha: 1, gamma: 1 };
    const chosen = chooseKeywords(terms, { documents: 1, frequencies: {} }, 2);
    expect(chosen.map((keyword) => keyword.term)).toEqual(["alpha", "beta"]);
  });

  it("finds nothing in an empty document", () => {
    expect(chooseKeywords({}, index)).toEqual([]);
  });
});

describe("checkDocument()", () => {
  it("finds anchors without a heading", () => {
    expect(rules("# A b\n[x](#a-b) [y](#A-B) [t](#top)\n[z](#nowhere)")).toEqual([
      "3 broken-anchor",
    ]);
  });

  it("finds relative links to files that do not exist", () => {
    const text = "[a](./docs/x.md#y)\n[b](docs/../LICENSE)\n[c](gone.md)\n[d](../up.md) [e](/root)";
    expect(rules(text, ["docs/x.md", "LICENSE"])).toEqual(["3 broken-link"]);
  });

  it("says how many links it could not judge", () => {
    const text = "[a](x.md) [b](../y.md) [c](https://z.example)";
    expect(checkDocument({ path: "a.md", text })).toMatchObject({
      findings: [],
      uncheckedLinks: 2,
      externalLinks: 1,
    });
    expect(checkDocument({ path: "a.md", text, files: ["x.md"] }).uncheckedLinks).toBe(1);
  });

  it("finds repeated headings and skipped levels", () => {
    expect(rules("# A\n### B\n# a")).toEqual(["2 heading-jump", "3 duplicate-heading"]);
  });

  it("finds what is wrong with code fences", () => {
    const text =
      "```\nx\n```\n```js\n```\n```json\n{a: 1}\n```\n```json\n{}\n```\n~~~ts\nnever closed";
    expect(rules(text)).toEqual([
      "1 fence-without-language",
      "4 empty-fence",
      "6 invalid-json",
      "12 unclosed-fence",
    ]);
  });

  it("finds links that lead nowhere or are not safe", () => {
    expect(rules("[a]()\n[b](http://x.example)\n[c](http://localhost:80)\n[d][e]")).toEqual([
      "1 empty-link",
      "2 insecure-link",
      "4 undefined-reference",
    ]);
  });

  it("counts all findings where it cannot keep all", () => {
    const check = checkDocument({ path: "a.md", text: "[a]()\n".repeat(700) });
    expect(check.findings).toHaveLength(500);
    expect(check.warnings).toBe(700);
  });
});

describe("reports", () => {
  function reportOn(path: string, text: string) {
    const parsed = parse(text);
    return reportDocument({
      path,
      parsed,
      keywords: chooseKeywords(parsed.terms, indexCorpus([parsed])),
      check: checkDocument({ path, text }),
    });
  }

  it("puts a document's results into words, errors first", () => {
    const report = reportOn("docs/a.md", "# Queue\n```\nx\n```\n[a](#b)");
    expect(report).toMatchObject({ sections: 1, errors: 1, warnings: 1, keywords: ["queue"] });
    expect(report.markdown).toContain("## docs/a.md");
    expect(report.markdown).toContain(
      "- error, line 5: no heading for #b (broken-anchor)\n" +
        "- warning, line 2: the code fence names no language (fence-without-language)",
    );
  });

  it("shows at most eight findings and says how many more there are", () => {
    expect(reportOn("a.md", "[a]()\n".repeat(10)).markdown).toContain("- and 2 more findings");
  });

  it("sums up a corpus with a table, every document, and those without a result", () => {
    const reports = [reportOn("a.md", "# A|B"), reportOn("b.md", "[x]()")];
    const summary = summarizeCorpus(reports, ["c.md"]);
    expect(summary).toMatchObject({ documents: 2, errors: 0, warnings: 1, missing: ["c.md"] });
    for (const path of ["a.md", "b.md"]) {
      expect(summary.markdown).toContain(`| ${path} `);
      expect(summary.markdown).toContain(`## ${path}`);
    }
    expect(summary.markdown).toContain("Without a result: c.md.");
  });
});
