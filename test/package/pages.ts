/** What the pages of the package say, to those that follow them in a project of their own. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { COMPILING_MS, type Consumer, NAME, ROOT, run } from "./support.ts";

/** @param consumer is made before the tests run. */
export function describePages(consumer: () => Consumer): void {
  describe("the pages of the package", () => {
    it("tell a project to install what the package is itself tested with", () => {
      const readme = readFileSync(join(ROOT, "README.md"), "utf8");
      const { version, devDependencies, peerDependencies } = JSON.parse(
        readFileSync(join(ROOT, "package.json"), "utf8"),
      );
      expect(readme).toContain(`npm install ./${NAME}-${version}.tgz\n`);
      const pinned = ["wrangler", "node", "@cloudflare/workers-types", "typescript"].map(
        (name) => `${name}@${devDependencies[name]}`,
      );
      expect(readme).toContain(`npm install -D -E ${pinned.join(" ")}\n`);
      expect(peerDependencies.wrangler).toBe(`>=${devDependencies.wrangler}`);
    });

    it("link to files that are in it", () => {
      const pages = readdirSync(consumer().package, { recursive: true, encoding: "utf8" }).filter(
        (name) => name.endsWith(".md"),
      );
      expect(pages).toContain(join("docs", "engine.md"));
      const missing = pages.flatMap((page) => {
        const text = readFileSync(join(consumer().package, page), "utf8");
        const links = [...text.matchAll(/\]\((?!\w+:)([^)#]+)(?:#[^)]*)?\)/g)];
        const found = (path: string) => existsSync(join(consumer().package, dirname(page), path));
        return links.flatMap(([, path = ""]) => (found(path) ? [] : [`${page}: ${path}`]));
      });
      expect(missing).toEqual([]);
    });
  });

  describe("docs/engine.md", () => {
    const page = readFileSync(join(ROOT, "docs", "engine.md"), "utf8");
    const blocks = [...page.matchAll(/```ts\n\/\/ (\S+\.ts)\n(.*?)```/gs)];
    const named = blocks.map(([, name = "", text = ""]) => [name, text] as const);
    /** Tests inside workerd need Vitest and its plugin. The other files are compiled without them. */
    const isInside = (text: string) => /from "(?:vitest|cloudflare:test)/.test(text);
    const files = Object.fromEntries(named.filter(([, text]) => !isInside(text)));
    const all = Object.fromEntries(named);

    it(
      "has TypeScript that compiles, one file with another",
      () => {
        expect(page.match(/```ts\n/g)).toHaveLength(Object.keys(all).length);
        const types = {
          types: ["@cloudflare/workers-types"],
          lib: ["es2024"],
          allowImportingTsExtensions: true,
        };
        expect(consumer().typecheck(files, types)).toBe("");
      },
      COMPILING_MS,
    );

    it("has a test that Node runs as it is", () => {
      for (const [name, text] of Object.entries(files)) consumer().write(name, text);
      const { output } = run(consumer().folder, process.execPath, "article.test.ts");
      expect(output.trim()).toBe("HI 10");
    });

    describe("with the tsconfig.json of the README", () => {
      const readme = readFileSync(join(ROOT, "README.md"), "utf8");
      const [, text = ""] = /this tsconfig\.json.*?```json\n(.*?)```/s.exec(readme) ?? [];
      const { compilerOptions } = JSON.parse(text) as { compilerOptions: object };

      it.each(["TypeScript 7", "TypeScript 5.9"] as const)(
        "compiles by %s",
        (compiler) => {
          expect(consumer().compile(files, compilerOptions, compiler)).toBe("");
        },
        COMPILING_MS,
      );

      it(
        "compiles without skipLibCheck, unless the library of pages is beside the types of Workers",
        () => {
          const options = { ...compilerOptions, skipLibCheck: false };
          const says = (more: object) =>
            consumer().compile(files, { ...options, ...more }, "TypeScript 7");
          expect(says({})).toBe("");
          expect(says({ lib: ["es2023", "dom"] })).toContain(
            "TS2451: Cannot redeclare block-scoped variable 'console'",
          );
        },
        COMPILING_MS,
      );

      it(
        "compiles with the tests inside workerd, by the types that the page names for them",
        () => {
          expect(Object.keys(all).length - Object.keys(files).length).toBe(3);
          consumer().link("vitest");
          consumer().link("@cloudflare/vitest-plugin", "@cloudflare/vitest-pool-workers");
          const [, types = ""] = /In tsconfig\.json, `"types": (\[.*?\])`/.exec(page) ?? [];
          const options = { ...compilerOptions, types: JSON.parse(types) as string[] };
          expect(consumer().compile(all, options, "TypeScript 7")).toBe("");
        },
        COMPILING_MS,
      );
    });
  });
}
