/** What a long workflow costs the compiler: counted, since times differ from machine to machine. */
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..", "..");
const COMPILING_MS = 120_000;
const COMPILERS = {
  "TypeScript 7": join(ROOT, "node_modules", "typescript", "bin", "tsc"),
  "TypeScript 5.9": createRequire(import.meta.url).resolve("typescript-5.9/bin/tsc"),
} as const;

/** Those of a workflow of so many stages, with schemas of all that a stage has. */
function instantiationsOf(stages: number, compiler: keyof typeof COMPILERS): number {
  const folder = mkdtempSync(join(tmpdir(), "engine-instantiations-"));
  try {
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"), "junction");
    const chain = Array.from(
      { length: stages },
      (_, at) => `.stage("s${at}", stage({
        input: z.object({ n: z.number() }),
        output: z.object({ n: z.number() }),
        config: z.object({ by: z.number().default(1) }),
        run: ({ input, config }) => ({ n: input.n + config.by }),
      }))`,
    );
    writeFileSync(
      join(folder, "long.ts"),
      `import * as z from "zod";
      import { stage, workflow } from "workflow-engine-cloudflare/engine";
      export const long = workflow("long", { input: z.object({ n: z.number() }) })
        ${chain.join("\n")}
        .build();`,
    );
    const compilerOptions = {
      types: ["@cloudflare/workers-types"],
      lib: ["es2024", "esnext.disposable"],
      target: "es2024",
      module: "esnext",
      moduleResolution: "bundler",
      allowImportingTsExtensions: true,
      noEmit: true,
      skipLibCheck: true,
      paths: { "workflow-engine-cloudflare/engine": [join(ROOT, "src/engine/index.ts")] },
    };
    const strictest = join(ROOT, "node_modules", "@tsconfig", "strictest", "tsconfig.json");
    const options = { extends: strictest, compilerOptions };
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({ ...options, include: ["*.ts"], exclude: [] }),
    );
    const compiling = [COMPILERS[compiler], "-p", ".", "--extendedDiagnostics"];
    const how = { cwd: folder, encoding: "utf8" } as const;
    const { stdout, error } = spawnSync(process.execPath, compiling, how);
    if (error !== undefined) throw error;
    expect(stdout).not.toContain("error TS");
    return Number(/^Instantiations:\s+(\d+)/m.exec(stdout)?.[1]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe.each(["TypeScript 7", "TypeScript 5.9"] as const)("%s", (compiler) => {
  // About 150,000 and 800,000 are taken. A type that grows with each stage is looked at by each.
  it.each([
    [30, 250_000],
    [100, 1_500_000],
  ])(
    "checks %i stages with schemas within a bound of instantiations",
    (stages, most) => {
      // Beyond what one stage takes.
      const own = instantiationsOf(stages, compiler) - instantiationsOf(1, compiler);
      expect(own).toBeGreaterThan(0);
      expect(own).toBeLessThan(most);
    },
    COMPILING_MS,
  );
});
