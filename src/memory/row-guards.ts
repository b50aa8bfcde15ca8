/**
 * Guards of rows on the maps, which a transaction checks on its local copy, too; and the tokens of
 * lists. `changes/guard.ts` says what each guard demands. Pure.
 */
import { guardedRow, type RowGuard } from "../changes/index.ts";
import type { Status } from "../contract/index.ts";
import { tokenOf } from "../model/index.ts";
import { compareUtf8 } from "../model/order.ts";
import type { State } from "../model/state.ts";

/** What guards look at. Each kind of row has some of these columns. */
interface Guarded {
  readonly commits: string;
  readonly id?: string;
  readonly version?: number;
  readonly status?: Status;
  readonly attempt?: number;
  readonly stageId?: string;
}

/** Null when the guard holds; otherwise what was found, in the words of a Violation. */
export function violatedRow(state: State, guard: RowGuard): number | null {
  const row = guardedIn(state, guard);
  if (holds(row, guard.expect)) return null;
  return row === undefined ? -1 : found(guard.on, row);
}

/** The row that the guard looks at, as the State has it. */
export function guardedIn(state: State, guard: RowGuard): Guarded | undefined {
  const { table, part, key } = guardedRow(guard);
  return state[table].get(part, key);
}

/**
 * What a violation tells of a row: the version that an update met, the attempt that owns the job.
 */
function found(on: RowGuard["on"], row: Guarded): number {
  if (on === "run" || on === "stage") return row.version ?? 0;
  return on === "job" ? (row.attempt ?? 0) : 0;
}

function holds(row: Guarded | undefined, expect: RowGuard["expect"]): boolean {
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
    case "recordIn":
      return row.id === expect.id && row.status === expect.status;
    case "attempt":
      return row.attempt === expect.attempt;
    case "leased":
      return (
        row.status === "RUNNING" && row.attempt === expect.attempt && row.stageId === expect.stageId
      );
    default:
      return expect satisfies never;
  }
}

/**
 * The tokens of a run's rows of one kind, in the order of their keys, with commas between; "" for
 * none. With a `status`, only stages with that status count; the other lists have none.
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
