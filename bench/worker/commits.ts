/** Commits with an event, to a run that may be watched. */
import { connect } from "workflow-engine-cloudflare/client";
import type { Protocol } from "../protocol.ts";
import type { Env } from "./env.ts";

export async function timeCommits(env: Env, ask: Protocol["/commits"]["ask"]): Promise<number> {
  const { persistence } = connect(env.WORKFLOWS);
  const event = { workflowRunId: ask.runId, eventType: "e", causationId: "c" };
  let ms = 0;
  for (let n = 0; n < ask.commits; n++) {
    if (ask.pauseMs > 0) await scheduler.wait(ask.pauseMs);
    const occurredAt = new Date();
    await persistence.appendOutboxEvents([{ ...event, payload: { n }, occurredAt }]);
    ms += Date.now() - occurredAt.getTime();
  }
  return ms / ask.commits;
}
