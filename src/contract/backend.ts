/** The type that `connect`, `connectHttp`, `embed` and `createMemoryBackend` return. */
import type { FlushableAICallLogger, WorkflowPersistence } from "./interfaces.ts";
import type { AuditFinding, ExtendedJobQueue } from "./job-queue.ts";

/**
 * A connection: what every way in returns. Its methods may be taken off it: `const { enqueue } =
 * backend.jobs` works.
 * @example
 * const { persistence, jobs, aiCalls }: Backend = connect(env.WORKFLOWS);
 */
export interface Backend {
  readonly persistence: WorkflowPersistence;
  readonly jobs: ExtendedJobQueue;
  readonly aiCalls: FlushableAICallLogger;
  /**
   * Up to 100 rows that are not finished and that nothing will ever move on. Expected: none, at any
   * time. It reads live rows only, so its cost does not grow with what is finished.
   */
  audit(): Promise<AuditFinding[]>;
}
