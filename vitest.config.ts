import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";

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
    test: {
      include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
      exclude: ["test/e2e/**", "**/node_modules/**"],
      setupFiles: ["test/support/migrate.ts"],
      testTimeout: 60_000,
    },
  };
});
