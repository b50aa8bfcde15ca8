/** An app over the contract, beside the service. Answers how many jobs it has settled. */
import { WorkerEntrypoint } from "cloudflare:workers";
import {
  type BoundJobHandler,
  connect,
  type DequeueResult,
  type FailedDelivery,
  type JobOutcome,
  type OutboxRecord,
  type WorkflowEngineBinding,
} from "workflow-engine-cloudflare/client";
import { failRunOf, workJob } from "../../support/pipeline.ts";

interface Env {
  readonly WORKFLOWS: WorkflowEngineBinding;
}

let settled = 0;

export class Handler extends WorkerEntrypoint<Env> implements BoundJobHandler {
  async handleJob(job: DequeueResult): Promise<JobOutcome> {
    const outcome = await workJob(connect(this.env.WORKFLOWS), job);
    if (outcome.status === "settled") settled += 1;
    return outcome;
  }

  async jobFailed(job: FailedDelivery): Promise<void> {
    await failRunOf(connect(this.env.WORKFLOWS), job);
  }

  async publishEvents(events: OutboxRecord[]): Promise<string[]> {
    return events.map(({ id }) => id);
  }
}

export default { fetch: () => Response.json(settled) } satisfies ExportedHandler;
