/** The queries that load the parts of a transaction's local copy. */
import { ANNOTATIONS_LIST_MAX } from "../../model/index.ts";
import type { LoadUnit, Query } from "../../queries/index.ts";

/** The queries that load a unit. */
export function loadQueries(unit: LoadUnit): Query[] {
  switch (unit.of) {
    case "run":
      return [
        { q: "run", id: unit.id },
        {
          q: "stages",
          workflowRunId: unit.id,
          status: null,
          beforeGroup: null,
          withoutNextPoll: false,
          descending: false,
          limit: null,
        },
        { q: "outboxTail", workflowRunId: unit.id },
      ];
    case "artifact":
      return [{ q: "artifact", workflowRunId: unit.workflowRunId, key: unit.key }];
    case "artifacts":
      return [{ q: "artifacts", workflowRunId: unit.workflowRunId }];
    case "annotations":
      return [
        {
          q: "annotations",
          workflowRunId: unit.workflowRunId,
          // One more than a transaction may list, to tell that there are too many.
          filters: { limit: ANNOTATIONS_LIST_MAX + 1 },
        },
      ];
    case "outboxEvent":
      return [{ q: "outboxEvent", workflowRunId: unit.workflowRunId, sequence: unit.sequence }];
    case "idempotencyKey":
      return [{ q: "idempotencyKey", key: unit.key, commandType: unit.commandType }];
    case "job":
      return [{ q: "job", workflowRunId: unit.workflowRunId, ordinal: unit.ordinal }];
    case "jobs":
      return [{ q: "jobs", workflowRunId: unit.workflowRunId }];
    case "dedupeKey":
      return [{ q: "liveJob", dedupeKey: unit.dedupeKey }];
  }
}
