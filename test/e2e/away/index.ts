/** A handler that completes its jobs, but for one that it never comes to the end of. Tells which deliveries it was given. */
import { WorkerEntrypoint } from "cloudflare:workers";
import type { DequeueResult, JobOutcome } from "workflow-engine-cloudflare";

const entered: string[] = [];

export class Handler extends WorkerEntrypoint {
  async handleJob({ stageId, attempt }: DequeueResult): Promise<JobOutcome> {
    entered.push(`${stageId}#${attempt}`);
    if (stageId === "poison") await scheduler.wait(600_000);
    return { status: "completed" };
  }
}

export default { fetch: () => Response.json(entered) } satisfies ExportedHandler;
