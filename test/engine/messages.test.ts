/**
 * What the compilers say where a workflow does not fit. Each mistake is a file of its own; one `tsc`
 * compiles them all, and what it says of each is compared.
 */
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FIT, HEAD, IDS, IMPORTS, JSON_VALUES, RUNS, STAGES } from "./mistakes.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const COMPILING_MS = 120_000;
const COMPILERS = {
  "TypeScript 7": join(ROOT, "node_modules", "typescript", "bin", "tsc"),
  "TypeScript 5.9": createRequire(import.meta.url).resolve("typescript-5.9/bin/tsc"),
} as const;

const ALL = [...FIT, ...IDS, ...JSON_VALUES, ...STAGES, ...RUNS];
const folder = mkdtempSync(join(tmpdir(), "workflow-engine-messages-"));
const fileOf = (code: string) => `mistake-${ALL.findIndex((each) => each[1] === code)}.ts`;
beforeAll(() => {
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"), "junction");
  writeFileSync(join(folder, "package.json"), `{ "type": "module" }`);
  writeFileSync(join(folder, "head.ts"), HEAD);
  for (const [, code] of ALL) {
    writeFileSync(
      join(folder, fileOf(code)),
      `${IMPORTS}
${code}`,
    );
  }
  const options = {
    extends: join(ROOT, "node_modules", "@tsconfig", "strictest", "tsconfig.json"),
    compilerOptions: {
      target: "es2024",
      module: "esnext",
      moduleResolution: "bundler",
      verbatimModuleSyntax: true,
      allowImportingTsExtensions: true,
      noEmit: true,
      skipLibCheck: true,
      types: ["@cloudflare/workers-types"],
      lib: ["es2024", "esnext.disposable"],
      noUnusedLocals: false,
      paths: { "workflow-engine-cloudflare/engine": [join(ROOT, "src/engine/index.ts")] },
    },
    include: ["*.ts"],
    exclude: [],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(options));
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The errors of each mistake's file. */
function errorsBy(compiler: keyof typeof COMPILERS): Map<string, string[]> {
  const compiling = [COMPILERS[compiler], "-p", "."];
  const how = { cwd: folder, encoding: "utf8" } as const;
  const { stdout, stderr, error } = spawnSync(process.execPath, compiling, how);
  if (error !== undefined) throw error;
  const errors = new Map<string, string[]>();
  // An error begins at the line's head; what follows indented explains it.
  for (const text of `${stdout}${stderr}`.trim().split(/\n(?! )/)) {
    const [, file = text] = /^(.+?)\(\d+,\d+\): error /.exec(text) ?? [];
    errors.set(file, [...(errors.get(file) ?? []), text]);
  }
  return errors;
}

describe.each(["TypeScript 7", "TypeScript 5.9"] as const)("%s", (compiler) => {
  let errors: Map<string, string[]>;

  beforeAll(() => {
    errors = errorsBy(compiler);
  }, COMPILING_MS);

  describe.each([
    ["where stages do not fit", FIT],
    ["of ids", IDS],
    ["of what JSON does not keep", JSON_VALUES],
    ["of stages and their options", STAGES],
    ["of runs", RUNS],
  ])("has a message %s", (_what, mistakes) => {
    it.each(mistakes)("%s", (_mistake, code, says) => {
      const found = errors.get(fileOf(code)) ?? [];
      expect(found).toHaveLength(1);
      expect(found[0]).toContain(says);
      // It says what is wrong and nothing of the compiler's own settings.
      expect(found[0]).not.toContain("exactOptionalPropertyTypes");
    });
  });

  it("has no other errors", () => {
    const files = ALL.map(([, code]) => fileOf(code));
    expect([...errors.keys()].filter((file) => !files.includes(file))).toEqual([]);
  });
});
