/**
 * The Worker. Other Workers bind the named entrypoint `WorkflowEngine`, or `WorkflowReader` or `WorkflowWorker`, which may do less; the default export holds the handlers of the
 * platform and nothing else, since whoever binds it can call whatever it has.
 */
import { RunCoordinator } from "./coordinator/index.ts";
import type { HttpEnv } from "./http/env.ts";
import { app } from "./http/app.ts";
import { WorkflowEngine, WorkflowReader, WorkflowWorker } from "./rpc/workflow-engine.ts";
import { dispatcher } from "./worker/index.ts";

export { RunCoordinator, WorkflowEngine, WorkflowReader, WorkflowWorker };

export default { fetch: app.fetch, ...dispatcher() } satisfies ExportedHandler<HttpEnv>;
