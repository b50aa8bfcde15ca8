/** A workflow with fakes in the place of stages. Pure. */
import { ServiceError } from "../../contract/index.ts";
import { shown } from "../../engine/duration.ts";
import { noStage } from "../../engine/names.ts";
import type { PlannedElement } from "../../engine/plan.ts";
import { requireFunction, type StageFunction } from "../../engine/stage.ts";
import type { Workflow } from "../../engine/workflow.ts";

/**
 * Its shape stays the same. @throws INVALID_ARGUMENT for an id that is none of a stage.
 */
export function withStages<W extends Workflow>(
  workflow: W,
  fakes: Readonly<Record<string, StageFunction | undefined>>,
): W {
  for (const [id, fake] of Object.entries(fakes)) {
    const element = workflow.plan.byId.get(id);
    if (element === undefined) throw refused(noStage(workflow.plan, id));
    if (!("step" in element)) throw refused(`${shown(id)} is a ${element.kind}, and runs no stage`);
    requireFunction(fake, `stages.${id}`);
  }
  const replaced = (element: PlannedElement): PlannedElement => {
    const run = Object.hasOwn(fakes, element.id) ? fakes[element.id] : undefined;
    if (run === undefined || !("step" in element)) return element;
    // What the fake gives is what the stage gives, so `output` has been through its schema.
    return { ...element, step: { ...element.step, output: undefined, poll: undefined, run } };
  };
  const groups = workflow.plan.groups.map((members) => members.map(replaced));
  const byId = new Map(groups.flat().map((element) => [element.id, element]));
  return { ...workflow, plan: { groups, byId } };
}

function refused(message: string): ServiceError {
  return new ServiceError("INVALID_ARGUMENT", message, { field: "stages" });
}
