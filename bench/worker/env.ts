/** The bindings of `wrangler.toml`. Each contestant has a database of its own, so that none pays for another's rows. */
import type { RunCoordinator, WakeUpQueue } from "workflow-engine-cloudflare";
import type { WorkflowEngineBinding } from "workflow-engine-cloudflare/client";
import type { Load } from "../protocol.ts";

export interface Env {
  readonly FLOOR: D1Database;
  readonly TANSTACK: D1Database;
  readonly WORKFLOW: Workflow<Load>;
  /** This project, embedded. */
  readonly DB: D1Database;
  readonly RUNS: DurableObjectNamespace<RunCoordinator>;
  /** Its queue, which this Worker consumes, and a raw one beside it. */
  readonly JOBS: WakeUpQueue;
  readonly RAW: Queue;
  /** This project as a service: its RPC, its HTTP API and, to make the tables, its database. */
  readonly WORKFLOWS: WorkflowEngineBinding;
  readonly SERVICE: Fetcher;
  readonly SERVICE_DB: D1Database;
  /** This project's engine, embedded, with its queue. */
  readonly ENGINE: D1Database;
  readonly ENGINE_RUNS: DurableObjectNamespace<RunCoordinator>;
  readonly ENGINE_JOBS: WakeUpQueue;
  /** The service whose stages this Worker works, and its database. */
  readonly ENGINE_SERVICE: WorkflowEngineBinding;
  readonly ENGINE_SERVICE_DB: D1Database;
}
