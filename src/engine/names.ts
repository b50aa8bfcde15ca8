/** Names that an error lists, where one was given that is none of them. Pure. */
import { shown } from "./duration.ts";
import type { Plan } from "./plan.ts";

/** Names that an error lists; the rest are counted. */
const NAMES_SHOWN_MAX = 10;
/** Of longer names, only so many characters are compared. */
const COMPARED_MAX = 40;

/** The names as an error lists them, the nearest to the wanted one first; "none" where there are none. */
export function listed(names: Iterable<string>, wanted: unknown): string {
  const meant = String(wanted);
  const all = [...names]
    .map((name) => ({ name, distance: distanceOf(name, meant) }))
    // Of those that are equally near, the first stays the first.
    .toSorted((one, other) => one.distance - other.distance)
    .map(({ name }) => shown(name));
  if (all.length === 0) return "none";
  const told = all.slice(0, NAMES_SHOWN_MAX);
  const more = all.length - told.length;
  return `${told.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** Says that the plan has no stage of this id, and which it has. */
export function noStage({ byId }: Plan, id: unknown): string {
  return `There is no stage ${shown(id)}; there are: ${listed(byId.keys(), id)}`;
}

/** Characters to be inserted, deleted or replaced that make the one of the other. */
function distanceOf(one: string, other: string): number {
  const to = compared(other);
  let distances = [...to.keys(), to.length];
  for (const character of compared(one)) {
    const before = distances;
    distances = [distanceAt(before, 0) + 1];
    for (const [index, wanted] of to.entries()) {
      const replaced = distanceAt(before, index) + (character === wanted ? 0 : 1);
      const changed = Math.min(distanceAt(before, index + 1), distanceAt(distances, index)) + 1;
      distances.push(Math.min(replaced, changed));
    }
  }
  return distanceAt(distances, to.length);
}

function distanceAt(distances: readonly number[], index: number): number {
  return distances[index] ?? 0;
}

function compared(name: string): string[] {
  return Array.from(name.slice(0, COMPARED_MAX).toLowerCase());
}
