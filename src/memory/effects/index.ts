/**
 * The effects on the maps that only the in-memory store needs, and those of jobs. Not here: the
 * effects that every transaction needs as well, which stand in `changes/`.
 */
import type { Effects } from "../../changes/index.ts";
import { jobMoveEffects } from "./job-moves.ts";
import { jobEffects } from "./jobs.ts";
import { joiningJobEffects } from "./joining-jobs.ts";
import { outboxEffects } from "./outbox.ts";
import { recordEffects } from "./records.ts";
import { steeringEffects } from "./steering.ts";

export const EFFECTS: Required<Effects> = {
  ...jobEffects,
  ...joiningJobEffects,
  ...jobMoveEffects,
  ...outboxEffects,
  ...recordEffects,
  ...steeringEffects,
};
