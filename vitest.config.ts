import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import "./scripts/reader.mjs";
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";

/** The package's own name means its source here; what is published is built from it. */
const source = (path: string) => fileURLToPath(new URL("src/", import.meta.url)) + path;
const resolve = {
  alias: [
    { find: /^workflow-engine-cloudflare$/, replacement: source("embed.ts") },
    {
      find: /^workflow-engine-cloudflare\/(client|http|testing)$/,
      replacement: source("$1/index.ts"),
    },
    {
      find: /^workflow-engine-cloudflare\/engine$/,
      replacement: source("engine.ts"),
    },
    {
      find: /^workflow-engine-cloudflare\/engine\/worker$/,
      replacement: source("engine-worker.ts"),
    },
    {
      find: /^workflow-engine-cloudflare\/engine\/testing$/,
      replacement: source("testing/engine/index.ts"),
    },
  ],
};

/** Rooms without a platform: their tests run in plain Node. */
const UNIT = [
  ...["model", "queries", "changes", "memory", "engine", "testing"].map(
    (room) => `test/${room}/**/*.test.ts`,
  ),
  "test/history/checker.test.ts",
];

export default defineConfig(async () => {
  const migrations = await readD1Migrations("migrations");
  return {
    test: {
      // What a passing test prints (the access log of thousands of requests) costs more time than it tells.
      silent: "passed-only",
      // The files are isolated from one another, and each waits a third of the time; the default leaves one of two cores unused.
      maxWorkers: Math.ceil(availableParallelism() * 1.5),
      projects: [
        {
          // Inside workerd, against real D1 and real Durable Objects.
          plugins: [
            cloudflareTest({
              wrangler: { configPath: "./wrangler.toml" },
              miniflare: { bindings: { TEST_MIGRATIONS: migrations } },
            }),
          ],
          resolve,
          test: {
            name: "workerd",
            include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
            exclude: ["test/e2e/**", "**/*.node.test.ts", "**/node_modules/**", ...UNIT],
            setupFiles: ["test/support/migrate.ts", "test/support/last-lines.ts"],
            testTimeout: 60_000,
          },
        },
        {
          resolve,
          test: { name: "unit", include: UNIT, testTimeout: 60_000 },
        },
        {
          // What needs a bundler.
          test: { name: "node", include: ["test/**/*.node.test.ts"] },
        },
      ],
    },
  };
});
