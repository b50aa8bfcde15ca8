/**
 * Changes of the runs of typed workflows, which no method of the contract makes: callers do not carry
 * them. Pure.
 */
import {
  batchOrNoneField,
  callOrdinalField,
  costField,
  countField,
  idField,
  instantField,
  wholeField,
} from "../model/fields.ts";
import { TRANSACTION_CHANGES_MAX } from "../model/limits.ts";
import { runRef } from "../model/row-ref.ts";
import { list, object, optional } from "../model/shape.ts";
import { serviceChange } from "./served-kind.ts";
import { NOTE, WRITE } from "./scope.ts";
import { stageKey } from "./stages.ts";

/** What an AI call of a request costs the run that records it first. */
const requestCharge = object({
  batchId: batchOrNoneField,
  ordinal: callOrdinalField,
  cost: costField,
  tokens: countField,
});

export const steeringChanges = {
  /**
   * Adds to totalCost and totalTokens, and of `calls` what those cost that are not recorded yet.
   * updatedAt = at. The version stays, as for any record.
   */
  chargeRun: serviceChange(
    "chargeRun",
    {
      id: idField,
      cost: costField,
      tokens: countField,
      calls: optional(list(requestCharge, TRANSACTION_CHANGES_MAX)),
      at: instantField,
    },
    {
      scope: NOTE,
      row: ({ id }) => runRef(id),
      trace: "mark?",
      shownIn: () => null,
    },
  ),

  /**
   * The run's open stages (PENDING, RUNNING, SUSPENDED): CANCELLED, completedAt = updatedAt = at,
   * nextPollAt = null, version + 1.
   */
  cancelStages: serviceChange(
    "cancelStages",
    { workflowRunId: idField, at: instantField },
    {
      scope: WRITE,
      row: () => null,
      trace: "none",
      shownIn: () => null,
    },
  ),

  /**
   * Moves stages to `stageAttempts`: those of later groups than `group`; of this group `stageId`, and
   * the stages that are not COMPLETED or SKIPPED. Open ones are archived as `cancelStages` leaves them,
   * with their version and updatedAt. Their logs, artifacts and annotations go on
   * referring to their record ids, under none of which the run may have archived a stage before.
   */
  archiveStages: serviceChange(
    "archiveStages",
    { ...stageKey, group: wholeField, at: instantField },
    {
      scope: WRITE,
      row: () => null,
      trace: "record",
      shownIn: () => null,
    },
  ),
};
