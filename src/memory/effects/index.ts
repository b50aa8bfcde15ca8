/**
 * The effect of any change on the maps. Not here: the effects that a transaction needs as well, which
 * stand in `changes/`.
 */
import { type Change, kindOfChange, type StoredChangeKind } from "../../changes/index.ts";
import type { Writer } from "../../model/writer.ts";
import type { StoredEffects } from "./effects.ts";
import { jobMoveEffects } from "./job-moves.ts";
import { jobEffects } from "./jobs.ts";
import { outboxEffects } from "./outbox.ts";
import { recordEffects } from "./records.ts";
import { steeringEffects } from "./steering.ts";

const EFFECTS: StoredEffects = {
  ...jobEffects,
  ...jobMoveEffects,
  ...outboxEffects,
  ...recordEffects,
  ...steeringEffects,
};

/** Applies the change to the maps, whichever change it is. */
export function applyAny(writer: Writer, change: Change): void {
  const { apply } = kindOfChange(change);
  if (apply !== null) return apply(writer, change);
  // The effect under the name `kind` takes the changes of that kind, and this is one.
  const stored = EFFECTS[change.kind as StoredChangeKind] as unknown as typeof applyAny;
  stored(writer, change);
}
