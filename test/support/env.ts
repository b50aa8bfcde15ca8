import { env as bindings, exports as loopback } from "cloudflare:workers";
import type { D1Migration } from "@cloudflare/vitest-pool-workers";
import type { WorkflowEngineBinding } from "../../src/client/index.ts";
import type { RunCoordinator } from "../../src/coordinator/index.ts";

export interface TestEnv {
  readonly DB: D1Database;
  readonly RUNS: DurableObjectNamespace<RunCoordinator>;
  readonly TEST_MIGRATIONS: D1Migration[];
}

/** The bindings of wrangler.toml, and the migrations that the test configuration adds. */
export const env = bindings as unknown as TestEnv;

/** The Worker's own named entrypoint, reached as another Worker reaches it: over RPC. */
export const service = (loopback as unknown as { WorkflowEngine: WorkflowEngineBinding })
  .WorkflowEngine;
