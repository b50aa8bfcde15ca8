/** Cloudflare Workflows, in the local engine of `wrangler dev`. */
import { WorkflowEntrypoint, type WorkflowEvent, type WorkflowStep } from "cloudflare:workers";
import type { Load } from "../protocol.ts";
import { type Drive, valueOf } from "./contestant.ts";
import type { Env } from "./env.ts";
import * as marks from "./marks.ts";

export class BenchWorkflow extends WorkflowEntrypoint<Env, Load> {
  override async run(event: Readonly<WorkflowEvent<Load>>, step: WorkflowStep): Promise<number> {
    const { instanceId: id, payload: load } = event;
    for (let n = 0; n < load.steps; n++) {
      await step.do(`s${n}`, async () => {
        marks.begin(id, n);
        return { ...valueOf(n, load) };
      });
    }
    marks.end(id);
    return load.steps;
  }
}

export const driveWorkflows: Drive = async ({ WORKFLOW }, ids, load) => {
  const instances = ids.map((id) => ({ id, params: load }));
  const { created, errors } = await WORKFLOW.createBatch({ instances });
  if (errors.length > 0) throw new Error(JSON.stringify(errors));
  await Promise.all(ids.map(marks.ended));
  await Promise.all(created.map(complete));
};

/** Asks only after the last step, so that asking slows no step down. */
async function complete(instance: WorkflowInstance): Promise<void> {
  for (;;) {
    const { status, error } = await instance.status();
    if (status === "complete") return;
    if (status !== "running") throw new Error(`${instance.id} is ${status}`, { cause: error });
  }
}
