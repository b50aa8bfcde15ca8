/** What the acts on a run share: each reads the run, and is one commit guarded by what it has read. */
import { type Change, type Guard, kindOfChange } from "../changes/index.ts";
import { ServiceError, type Status } from "../contract/index.ts";
import { type Definition, definitionFor } from "../engine/definition.ts";
import type { RunRow } from "../model/index.ts";
import type { Shape } from "../model/shape.ts";
import { backOff } from "../persistence/auto-commit.ts";
import { checkedBy } from "../persistence/encode.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";
import { engineRunOf, type EngineRun } from "./lease.ts";
import type { Moment } from "./rows.ts";

/** How often an act is tried whose run others change at the same time. */
const TRIES_MAX = 25;

export function requireField<T>(shape: Shape<T>, value: T, field: string): T {
  const problem = shape.check(value);
  if (problem === null) return value;
  const { message, limit } = problem;
  throw new ServiceError("INVALID_ARGUMENT", `${field} ${message}`, {
    field,
    ...(limit === undefined ? {} : { limit }),
  });
}

/**
 * The changes of an act, checked as the service will check them.
 * @throws INVALID_ARGUMENT with `field`; PAYLOAD_TOO_LARGE when a row does not fit.
 */
export function checkedAct(method: string, changes: readonly Change[]): readonly Change[] {
  return checkedBy(kindOfChange, method, changes);
}

export function gone(id: string): ServiceError {
  return new ServiceError("NOT_FOUND", `Run ${id} not found`, { entity: "WorkflowRun", id });
}

/** A run of a typed workflow, with its row. */
export interface Found {
  readonly row: RunRow;
  readonly run: EngineRun;
}

/** @throws NOT_FOUND; INVALID_ARGUMENT for a run that no typed workflow started. */
async function foundRun(unit: OwnUnit, id: string): Promise<Found> {
  const [row] = await unit.read([{ q: "run", id }]);
  if (row === null) throw gone(id);
  const run = engineRunOf(row);
  if (run !== null) return { row, run };
  throw new ServiceError("INVALID_ARGUMENT", `Run ${id} was not started by a typed workflow`, {
    field: "id",
  });
}

/** What an act writes, and what must hold besides the run's status. */
interface Asked {
  readonly changes: readonly Change[];
  readonly guards: readonly Guard[];
}

/**
 * Reads the run, and writes what it asks for, guarded by the run's status. Tries again while others
 * change what the act saw.
 * @throws CONFLICT when they keep doing so.
 */
export async function act(
  unit: OwnUnit,
  id: string,
  changesFor: (found: Found, moment: Moment) => Promise<Asked | readonly Change[] | null>,
): Promise<void> {
  for (let round = 1; round <= TRIES_MAX; round += 1) {
    const found = await foundRun(unit, id);
    const at = await unit.now();
    const asked = await changesFor(found, { at, ordinal: () => unit.ordinal(at) });
    if (asked === null) return;
    const { changes, guards } = "guards" in asked ? asked : { changes: asked, guards: [] };
    const { status } = found.row;
    const written = await unit.write({
      guards: [{ on: "run", id, expect: { is: "status", status } }, ...guards],
      changes,
    });
    if (written.applied) return;
    await backOff(Math.min(round, 5));
  }
  throw new ServiceError("CONFLICT", `Others kept changing run ${id}`, {
    entity: "WorkflowRun",
    id,
  });
}

/**
 * The definition that goes on with the run; null if none has its shape.
 * @throws INVALID_ARGUMENT for a run of another workflow.
 */
export function definitionOf({ row, run }: Found, workflow: Definition): Definition | null {
  requireOwn(row, workflow);
  return definitionFor(workflow, run.delivered.shape);
}

/** @throws INVALID_ARGUMENT for a run of another workflow. */
export function requireOwn(row: Pick<RunRow, "id" | "workflowId">, workflow: Definition): void {
  if (row.workflowId === workflow.id) return;
  const message = `Run ${row.id} is one of the workflow ${row.workflowId}, and not of ${workflow.id}`;
  throw new ServiceError("INVALID_ARGUMENT", message, { field: "workflow" });
}

/** @throws INVALID_ARGUMENT that says which status the act needs. */
export function wrongStatus(id: string, status: Status, what: string): ServiceError {
  return new ServiceError("INVALID_ARGUMENT", `Run ${id} is ${status}, and ${what}`, {
    field: "status",
    status,
  });
}
