/** The query that loads each unit of a transaction. */
import { ANNOTATIONS_LIST_MAX } from "../../model/index.ts";
import type { LoadUnit, Query } from "../../queries/index.ts";

/** The query that loads a unit. */
export function loadQuery(unit: LoadUnit): Query {
  switch (unit.of) {
    case "run":
      return { q: "run", id: unit.id };
    case "stage":
      return { q: "stage", workflowRunId: unit.workflowRunId, stageId: unit.stageId };
    case "stages":
      return {
        q: "stages",
        workflowRunId: unit.workflowRunId,
        status: null,
        beforeGroup: null,
        withoutNextPoll: false,
        descending: false,
        limit: null,
      };
    case "outboxTail":
      return { q: "outboxTail", workflowRunId: unit.workflowRunId };
    case "artifact":
      return { q: "artifact", workflowRunId: unit.workflowRunId, key: unit.key };
    case "artifacts":
      return { q: "artifacts", workflowRunId: unit.workflowRunId };
    case "annotations":
      return {
        q: "annotations",
        workflowRunId: unit.workflowRunId,
        // One more than a unit may hold, to find out whether there are more.
        filters: { limit: ANNOTATIONS_LIST_MAX + 1 },
      };
    case "outboxEvent":
      return { q: "outboxEvent", workflowRunId: unit.workflowRunId, sequence: unit.sequence };
    case "idempotencyKey":
      return { q: "idempotencyKey", key: unit.key, commandType: unit.commandType };
    case "job":
      return { q: "job", workflowRunId: unit.workflowRunId, ordinal: unit.ordinal };
    case "jobs":
      return { q: "jobs", workflowRunId: unit.workflowRunId };
    case "dedupeKey":
      return { q: "liveJob", dedupeKey: unit.dedupeKey };
  }
}
