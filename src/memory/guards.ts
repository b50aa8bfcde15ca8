/** Guards over the in-memory State. What each demands is told in changes/guard.ts. Pure. */
import { type Guard, type Violation } from "../changes/index.ts";
import { tokenOf } from "../model/index.ts";
import type { Status } from "../contract/index.ts";
import { compareUtf8 } from "../model/order.ts";
import { liveJob } from "../queries/jobs.ts";
import { lastOutboxEvent, type State } from "../model/state.ts";

type Expectation = Extract<Guard, { expect: unknown }>["expect"];

/** What guards look at; each kind of row has some of it. */
interface Guarded {
  readonly commits: string;
  readonly id?: string;
  readonly version?: number;
  readonly status?: Status;
  readonly attempt?: number;
}

/** The first guard that does not hold, or null when all do. */
export function checkGuards(state: State, guards: readonly Guard[]): Violation | null {
  for (const [index, guard] of guards.entries()) {
    const actual = violated(state, guard);
    if (actual !== null) return { guard: index, actual };
  }
  return null;
}

/** Null when the guard holds; otherwise what was found, as a {@link Violation} tells it. */
function violated(state: State, guard: Guard): number | null {
  switch (guard.on) {
    case "run": {
      const row = state.runs.get(guard.id, "");
      return holds(row, guard.expect) ? null : (row?.version ?? -1);
    }
    case "stage": {
      const row = state.stages.get(guard.workflowRunId, guard.stageId);
      return holds(row, guard.expect) ? null : (row?.version ?? -1);
    }
    case "job": {
      const row = state.jobs.get(guard.workflowRunId, guard.ordinal);
      return holds(row, guard.expect) ? null : (row?.attempt ?? -1);
    }
    case "artifact":
      return unversioned(state.artifacts.get(guard.workflowRunId, guard.key), guard.expect);
    case "outboxEvent": {
      const row = state.outboxEvents.get(guard.workflowRunId, String(guard.sequence));
      return unversioned(row, guard.expect);
    }
    case "idempotencyKey":
      return unversioned(state.idempotencyKeys.get(guard.key, guard.commandType), guard.expect);
    case "dedupeKey":
      return liveJob(state, guard) === null ? null : 0;
    case "list": {
      const tokens = listTokens(state, guard.list, guard.workflowRunId, guard.status);
      return tokens === guard.tokens ? null : 0;
    }
    case "outboxTail": {
      const last = lastOutboxEvent(state, guard.workflowRunId);
      return (last?.sequence ?? 0) === guard.sequence ? null : 0;
    }
    default:
      return guard satisfies never;
  }
}

function unversioned(row: Guarded | undefined, expect: Expectation): number | null {
  if (holds(row, expect)) return null;
  return row === undefined ? -1 : 0;
}

function holds(row: Guarded | undefined, expect: Expectation): boolean {
  if (row === undefined) return expect.is === "absent";
  switch (expect.is) {
    case "present":
      return true;
    case "absent":
      return false;
    case "unchanged":
      return tokenOf(row) === expect.token;
    case "version":
      return row.version === expect.version;
    case "status":
      return row.status === expect.status;
    case "record":
      return row.id === expect.id;
    case "attempt":
      return row.attempt === expect.attempt;
    default:
      return expect satisfies never;
  }
}

/**
 * The tokens of the run's rows of one kind, in the order of their keys, joined by commas; "" for
 * none. With a `status`, only the stages that have it count; the other lists know no status.
 */
export function listTokens(
  state: State,
  list: "stages" | "artifacts" | "annotations" | "jobs",
  workflowRunId: string,
  status: Status | null,
): string {
  return [...tokensByKey(state, list, workflowRunId, status)]
    .toSorted(([a], [b]) => compareUtf8(a, b))
    .map(([, token]) => token)
    .join(",");
}

function* tokensByKey(
  state: State,
  list: "stages" | "artifacts" | "annotations" | "jobs",
  workflowRunId: string,
  status: Status | null,
): Iterable<[key: string, token: string]> {
  if (list === "stages") {
    for (const [stageId, stage] of state.stages.part(workflowRunId)) {
      if (status === null || stage.status === status) yield [stageId, tokenOf(stage)];
    }
    return;
  }
  for (const [key, row] of state[list].part(workflowRunId)) yield [key, tokenOf(row)];
}
