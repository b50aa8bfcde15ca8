import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

/** Runs in Node, not in workerd: these tests start `wrangler dev` processes and kill them. */
const common = { environment: "node", testTimeout: 180_000, hookTimeout: 120_000 } as const;

export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    projects: [
      {
        test: {
          ...common,
          name: "e2e",
          include: ["test/e2e/*.e2e.test.ts"],
          // Each file starts Workers of its own; side by side they would only slow one another down.
          maxWorkers: 1,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...common,
          name: "network",
          include: ["test/e2e/conformance/*.e2e.test.ts"],
          // Each waits for its service most of the time.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
