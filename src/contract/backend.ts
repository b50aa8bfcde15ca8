import type { FlushableAICallLogger, WorkflowPersistence } from "./interfaces.ts";
import type { AuditFinding, ExtendedJobQueue } from "./job-queue.ts";

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
