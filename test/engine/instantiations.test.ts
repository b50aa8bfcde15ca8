/** What a long workflow costs the compiler: counted, since times differ from machine to machine. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..", "..");
const COMPILING_MS = 120_000;
/** Beyond what one stage takes. It is about 102,000. */
const INSTANTIATIONS_MAX = 250_000;

/** Those of a workflow of so many stages, with schemas of all that a stage has. */
function instantiationsOf(stages: number): number {
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
      paths: { "workflow-engine-cloudflare/engine": [join(ROOT, "src/engine/index.ts")] },
    };
    const options = { extends: join(ROOT, "tsconfig.json"), compilerOptions };
    writeFileSync(
      join(folder, "tsconfig.json"),
      JSON.stringify({ ...options, include: ["*.ts"], exclude: [] }),
    );
    const tsc = join(ROOT, "node_modules", ".bin", "tsc");
    const compiling = ["-p", ".", "--extendedDiagnostics"];
    const { stdout, error } = spawnSync(tsc, compiling, { cwd: folder, encoding: "utf8" });
    if (error !== undefined) throw error;
    expect(stdout).not.toContain("error TS");
    return Number(/^Instantiations:\s+(\d+)/m.exec(stdout)?.[1]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

it(
  "checks 30 stages with schemas within a bound of instantiations",
  () => {
    const own = instantiationsOf(30) - instantiationsOf(1);
    expect(own).toBeGreaterThan(0);
    expect(own).toBeLessThan(INSTANTIATIONS_MAX);
  },
  COMPILING_MS,
);
