import { describe, expect, it } from "vitest";
import { plainText, scanMarkdown, slugOf } from "../src/markdown.ts";

function headings(text: string): string[] {
  return scanMarkdown(text).headings.map(({ level, text: title }) => `${level} ${title}`);
}

function targets(text: string): string[] {
  return scanMarkdown(text).links.map((link) => link.target);
}

describe("scanMarkdown()", () => {
  it("reads headings of every kind", () => {
    const text =
      "# One #\n\nTwo\n---\n\nThree\n===\n\n<h4 align=center>Four</h4>\n##### `Five` *x*";
    expect(headings(text)).toEqual(["1 One", "2 Two", "1 Three", "4 Four", "5 Five x"]);
  });

  it("takes no heading from code, comments, front matter, rules and tables", () => {
    const text = [
      "---\n# title: x\n---",
      "```sh\n# a comment\n```",
      "<!--\n# hidden\n-->",
      "text\n\n---",
      "- item\n---",
      "#hashtag",
    ].join("\n\n");
    expect(headings(text)).toEqual([]);
  });

  it("numbers the anchors of repeated headings", () => {
    const scan = scanMarkdown("# API\n# API\n# API");
    expect(scan.headings.map((heading) => heading.anchor)).toEqual(["api", "api-1", "api-2"]);
  });

  it("reads fences with their language, line and code", () => {
    const scan = scanMarkdown("a\n```ts {1}\nlet x;\n```\n\n- item\n  ~~~\n  ```\n  ~~~\n");
    expect(scan.fences).toEqual([
      { language: "ts", line: 2, code: "let x;", closed: true },
      { language: "", line: 7, code: "  ```", closed: true },
    ]);
  });

  it("tells a fence that is never closed", () => {
    const [fence] = scanMarkdown("````\n```\n# not a heading").fences;
    expect(fence).toMatchObject({ closed: false, line: 1 });
  });

  it("does not take inline code for a fence", () => {
    expect(scanMarkdown("```code``` here").fences).toEqual([]);
  });

  it("reads inline, nested, reference, HTML and automatic links", () => {
    const text = [
      '[a](one "title") ![b](<two words>)',
      "[![badge](three.svg)](four)",
      '<a href="five"><img width=1 src="six"></a>',
      "<https://seven.example>",
      "[eight]: nine (title)",
      "[wiki](https://x.example/a_(b))",
    ].join("\n");
    expect(targets(text)).toEqual([
      "one",
      "two words",
      "four",
      "three.svg",
      "five",
      "six",
      "https://seven.example",
      "nine",
      "https://x.example/a_(b)",
    ]);
  });

  it("takes no link from code", () => {
    expect(targets("`[a](b)` ``[c](d)``\n\n```\n[e](f)\n```")).toEqual([]);
  });

  it("reads references and definitions, also with the address on the next line", () => {
    const scan = scanMarkdown(
      "[Text][Label], [Short][], list[0][1]\n\n[label]:\n  https://x.example",
    );
    expect(scan.references.map((reference) => reference.label)).toEqual(["label", "short"]);
    expect(scan.definitions).toEqual(["label"]);
  });

  it("reads anchors that HTML sets", () => {
    expect(scanMarkdown('<a name="top"></a> <div class="x" id="y">').anchors).toEqual(["top", "y"]);
  });

  it("survives lines of a million characters", () => {
    const line = "<a [x](y `".repeat(100_000);
    expect(scanMarkdown(line).prose).toHaveLength(1);
  });
});

describe("slugOf()", () => {
  it.each([
    ["Getting Started", "getting-started"],
    ["`foo()` & Bar", "foo--bar"],
    ["🚀 Go", "-go"],
    ["[Link](x) text", "link-text"],
    ["Über_uns 2.0", "über_uns-20"],
  ])("makes the fragment of %s", (heading, slug) => {
    expect(slugOf(heading)).toBe(slug);
  });
});

describe("plainText()", () => {
  it("keeps what a reader sees", () => {
    const line =
      "**Bold** [link](http://x.example) `code` ![img](y) <b>tag</b> https://z.example &amp; snake_case";
    expect(plainText(line).replace(/\s+/g, " ").trim()).toBe("Bold link tag snake_case");
  });
});
