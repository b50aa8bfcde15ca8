/** A watch of a run's events, over a Worker's bindings. */
import { withDeadline } from "../model/index.ts";
import { ServiceError } from "../contract/index.ts";
import { type Watch, watchRequest } from "../coordinator/index.ts";
import type { WorkflowEngineEnv } from "./open-store.ts";

export { ALIVE, PASSED_ON, PASSED_ON_UNITS, RECONNECT } from "../coordinator/index.ts";

/** A coordinator that does not take a watch within this time counts as away. */
const OPEN_DEADLINE_MS = 10_000;

/**
 * The WebSocket on which the run's coordinator sends the events. It is not accepted yet.
 * @throws OVERLOADED when the coordinator does not take the watch.
 */
export async function openWatch(
  env: Pick<WorkflowEngineEnv, "RUNS">,
  runId: string,
  watch: Watch,
): Promise<WebSocket> {
  let response: Response | undefined;
  try {
    const taken = env.RUNS.getByName(runId).fetch?.(watchRequest(watch));
    if (taken !== undefined) response = await withDeadline(taken, OPEN_DEADLINE_MS, "It");
  } catch (error) {
    throw refused(runId, error);
  }
  if (response === undefined) throw refused(runId, "it cannot be watched");
  const { status, webSocket } = response;
  if (webSocket !== null) return webSocket;
  const told = await withDeadline(response.text(), OPEN_DEADLINE_MS, "Its answer");
  throw refused(runId, `${status} ${told}`);
}

function refused(runId: string, cause: unknown): ServiceError {
  return new ServiceError("OVERLOADED", `The coordinator of run ${runId} is away`, {}, cause);
}
