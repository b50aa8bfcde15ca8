/** A built workflow, as what runs it sees it. Pure. */
import { ServiceError } from "../contract/index.ts";
import type { Plan } from "./plan.ts";
import type { StandardSchema } from "./standard-schema.ts";

/** What a workflow does, and the versions of it that running runs may still need. */
export interface Definition {
  readonly id: string;
  /** For people. */
  readonly name: string;
  readonly version: number;
  readonly input: StandardSchema;
  /** Whether the events of its runs wait in the outbox to be published. */
  readonly publishes: boolean;
  readonly plan: Plan;
  /** A digest of the plan's ids, kinds and order. Runs keep it. */
  readonly shape: string;
  /** Every earlier definition that was named, and those that it names itself: newest first. */
  readonly previous: readonly Definition[];
}

/**
 * The earlier definitions, with those that they name themselves, newest first.
 * @throws INVALID_ARGUMENT for one of another workflow, one that is not older, or two of one version.
 */
export function previousOf(
  id: string,
  version: number,
  named: readonly Definition[],
): readonly Definition[] {
  const all = new Set(named.flatMap((each) => [each, ...each.previous]));
  const byVersion = new Map<number, Definition>();
  for (const each of all) {
    if (each.id !== id) {
      throw refused(`previous names the workflow "${each.id}", and this one is "${id}"`);
    }
    if (each.version >= version) {
      throw refused(`previous names version ${each.version}, and this one is ${version}`);
    }
    if (byVersion.has(each.version)) throw refused(`previous has two of version ${each.version}`);
    byVersion.set(each.version, each);
  }
  return [...byVersion.values()].toSorted((one, other) => other.version - one.version);
}

/**
 * The compiler sees to it, but not every project has one.
 * @throws INVALID_ARGUMENT for a chain of stages that is not built.
 */
export function requireBuilt(workflow: Definition): void {
  if ("plan" in workflow) return;
  const message = "The workflow is not built: end its chain of stages with .build()";
  throw new ServiceError("INVALID_ARGUMENT", message, { field: "workflow" });
}

function refused(message: string): ServiceError {
  return new ServiceError("INVALID_ARGUMENT", message, { field: "previous" });
}

/**
 * The definition that goes on with a run of this shape: the current one while its shape is the same,
 * so that a deploy is followed; else the newest earlier one that has it. Null: no deployed code knows
 * what the run is to do next.
 */
export function definitionFor(current: Definition, shape: string): Definition | null {
  return [current, ...current.previous].find((each) => each.shape === shape) ?? null;
}
