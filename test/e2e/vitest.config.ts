import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Runs in Node, not in workerd: these tests start `wrangler dev` processes and kill them. */
export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    include: ["test/e2e/**/*.e2e.test.ts"],
    environment: "node",
    testTimeout: 180_000,
    hookTimeout: 120_000,
    // Each file starts Workers of its own, and waits for them most of the time.
    maxWorkers: 2,
  },
});
