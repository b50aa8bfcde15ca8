import type { AICallLogger, WorkflowPersistence } from "./interfaces.ts";
import type { AuditFinding, ExtendedJobQueue } from "./job-queue.ts";

/** An AI call logger that can be waited for. */
export interface FlushableAICallLogger extends AICallLogger {
  /** Resolves when every `logCall` made so far has been written or has failed (and been reported). */
  flush(): Promise<void>;
}

/** What every way in returns: one connection, three interfaces. */
export interface Backend {
  readonly persistence: WorkflowPersistence;
  readonly jobs: ExtendedJobQueue;
  readonly aiCalls: FlushableAICallLogger;
  /**
   * Up to 100 rows that are not finished and that nothing will make progress. Expected: none, at every instant. It looks at live
   * rows only; SUSPENDED and RUNNING runs with their stages and jobs.
   */
  audit(): Promise<AuditFinding[]>;
}
