/**
 * The Worker: wiring only. Other Workers bind the named entrypoint `WorkflowEngine`, or
 * `WorkflowReader` or `WorkflowWorker`, which may do less. The default export has the platform's
 * handlers and nothing else: a Worker that binds it can call everything that it has.
 */
import { RunCoordinator } from "./coordinator/index.ts";
import type { HttpEnv } from "./http/env.ts";
import { app } from "./http/app.ts";
import { WorkflowEngine, WorkflowReader, WorkflowWorker } from "./rpc/workflow-engine.ts";
import { dispatcher } from "./worker/index.ts";

export { RunCoordinator, WorkflowEngine, WorkflowReader, WorkflowWorker };

export default { fetch: app.fetch, ...dispatcher() } satisfies ExportedHandler<HttpEnv>;
