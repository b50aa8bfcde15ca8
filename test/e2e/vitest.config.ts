import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Runs in Node, not in workerd: these tests start `wrangler dev` processes and kill them. */
export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    name: "e2e",
    include: ["test/e2e/**/*.e2e.test.ts"],
    environment: "node",
    // Each file starts Workers of its own; side by side they would only slow one another down.
    fileParallelism: false,
    testTimeout: 180_000,
    hookTimeout: 120_000,
  },
});
