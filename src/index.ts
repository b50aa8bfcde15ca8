/**
 * The Worker. Other Workers bind the named entrypoint `WorkflowEngine`; the default export holds the handlers of the
 * platform and nothing else, since whoever binds it can call whatever it has.
 */
import { Hono } from "hono";
import { RunCoordinator } from "./coordinator/index.ts";
import type { WorkflowEngineEnv } from "./queue/index.ts";
import { WorkflowEngine } from "./rpc/workflow-engine.ts";
import { dispatcher } from "./schedule/index.ts";

export { RunCoordinator, WorkflowEngine };

const app = new Hono<{ Bindings: WorkflowEngineEnv }>();

app.get("/health", async (context) => {
  await context.env.DB.prepare(`SELECT 1 FROM "commits" LIMIT 1`).run();
  return context.json({ status: "ok" });
});

export default { fetch: app.fetch, ...dispatcher() } satisfies ExportedHandler<WorkflowEngineEnv>;
