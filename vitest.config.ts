import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-pool-workers";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** The package's own name means its source here; what is published is built from it. */
const source = (path: string) => fileURLToPath(new URL("src/", import.meta.url)) + path;

/** Everything runs inside workerd, against real D1 and real Durable Objects. */
export default defineConfig(async () => {
  const migrations = await readD1Migrations("migrations");
  return {
    plugins: [
      cloudflareTest({
        wrangler: { configPath: "./wrangler.toml" },
        miniflare: { bindings: { TEST_MIGRATIONS: migrations } },
      }),
    ],
    resolve: {
      alias: [
        { find: /^workflow-engine-cloudflare$/, replacement: source("embed.ts") },
        {
          find: /^workflow-engine-cloudflare\/(client|testing)$/,
          replacement: source("$1/index.ts"),
        },
      ],
    },
    test: {
      include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
      exclude: ["test/e2e/**", "**/node_modules/**"],
      setupFiles: ["test/support/migrate.ts"],
      testTimeout: 60_000,
    },
  };
});
