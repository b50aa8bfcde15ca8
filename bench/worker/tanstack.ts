/**
 * TanStack Workflow on its D1 store, as its own example for Cloudflare drives it: a runtime per request, whose `startRun` takes the run to its
 * end in the calling invocation.
 */
import { createWorkflow } from "@tanstack/workflow-core";
import { defineWorkflowRuntime } from "@tanstack/workflow-runtime";
import { createCloudflareD1WorkflowStore } from "@tanstack/workflow-store-cloudflare-d1";
import type { Load } from "../protocol.ts";
import { type Drive, valueOf } from "./contestant.ts";
import * as marks from "./marks.ts";

export async function setUpTanstack(db: D1Database): Promise<void> {
  await createCloudflareD1WorkflowStore({ db }).ensureSchema();
}

export const driveTanstack: Drive = async ({ TANSTACK }, ids, load) => {
  const runtime = defineWorkflowRuntime({
    store: createCloudflareD1WorkflowStore({ db: TANSTACK }),
    workflows: { bench: { load: async () => workflowOf(load) } },
  });
  const input = null;
  const options = { workflowId: "bench", leaseOwner: "bench", includeEvents: false, input };
  await Promise.all(
    ids.map(async (id) => {
      const { kind } = await runtime.startRun({ ...options, runId: id });
      if (kind !== "completed") throw new Error(`${id} is ${kind}`);
    }),
  );
};

function workflowOf(load: Load) {
  return createWorkflow({ id: "bench", version: "v1" }).handler(async (context) => {
    for (let n = 0; n < load.steps; n++) {
      await context.step(`s${n}`, () => {
        marks.begin(context.runId, n);
        return valueOf(n, load);
      });
    }
    return load.steps;
  });
}
