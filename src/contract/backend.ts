import type { AICallLogger, JobQueue, WorkflowPersistence } from "./interfaces.ts";

/** An AI call logger that can be waited for. */
export interface FlushableAICallLogger extends AICallLogger {
  /** Resolves when every `logCall` made so far has been written or has failed (and been reported). */
  flush(): Promise<void>;
}

/** What every way in returns: one connection, three interfaces. */
export interface Backend {
  readonly persistence: WorkflowPersistence;
  readonly jobs: JobQueue;
  readonly aiCalls: FlushableAICallLogger;
}
