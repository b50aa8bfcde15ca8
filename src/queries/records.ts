/** Queries of what a run leaves behind: logs, artifacts, annotations, AI calls. Pure. */
import { object, nullable, optional, oneOf, list, whole, type TypeOf } from "../model/shape.ts";
import { instantField, keyField, nameField, ordinalField, wholeField } from "../model/fields.ts";
import {
  type AiCallTotalRow,
  type AnnotationRow,
  type ArtifactRow,
  LONG_TEXT,
} from "../model/index.ts";
import { ANNOTATIONS_LIST_MAX, LONG_COLUMNS_MAX } from "../model/limits.ts";
import { byText } from "../model/order.ts";
import { artifactRef } from "../model/row-ref.ts";
import { queryKind, storedQuery } from "./query-kind.ts";
import { byAge, ofRun } from "./members.ts";

/** An annotation is listed if it passes every filter given; an absent one lets all pass. */
export const annotationFilters = object({
  key: optional(keyField),
  keyPrefix: optional(keyField),
  scope: optional(nameField),
  scopeId: optional(nullable(nameField)),
  actorId: optional(nameField),
  actorKind: optional(nameField),
  attempt: optional(wholeField),
  since: optional(instantField),
  until: optional(instantField),
  limit: whole({ min: 0, max: ANNOTATIONS_LIST_MAX + 1 }),
});
export type AnnotationRowFilters = TypeOf<typeof annotationFilters>;

/** With a `key`, `keyPrefix` does not count. */
function passes(row: AnnotationRow, filters: AnnotationRowFilters): boolean {
  const { key, keyPrefix, since, until } = filters;
  if (key === undefined) {
    if (keyPrefix !== undefined && !row.key.startsWith(keyPrefix)) return false;
  } else if (row.key !== key) return false;
  if (since !== undefined && row.createdAt < since) return false;
  if (until !== undefined && row.createdAt > until) return false;
  return (
    matches(row.scope, filters.scope) &&
    matches(row.scopeId, filters.scopeId) &&
    matches(row.actorId, filters.actorId) &&
    matches(row.actorKind, filters.actorKind) &&
    matches(row.attempt, filters.attempt)
  );
}

/** An absent filter lets every value pass; null lets only null pass. */
function matches<T>(value: T, filter: T | undefined): boolean {
  return filter === undefined || value === filter;
}

export const recordQueries = {
  /** The artifact with its data, or null. */
  artifact: queryKind(
    "artifact",
    { ...ofRun, key: keyField },
    {
      sees: (query) => ({ what: "row", row: artifactRef(query) }),
      answer: (state, { workflowRunId, key }): ArtifactRow | null =>
        state.artifacts.get(workflowRunId, key) ?? null,
    },
  ),

  /**
   * Whether the artifact exists. A transaction that asks only this does not conflict with a new
   * version of the data.
   */
  hasArtifact: queryKind(
    "hasArtifact",
    { ...ofRun, key: keyField },
    {
      sees: (query) => ({ what: "presence", row: artifactRef(query) }),
      answer: (state, { workflowRunId, key }): boolean =>
        state.artifacts.get(workflowRunId, key) !== undefined,
    },
  ),

  /** The run's artifacts, by key. */
  artifacts: queryKind("artifacts", ofRun, {
    sees: ({ workflowRunId }) => ({ what: "list", list: "artifacts", workflowRunId, status: null }),
    answer: (state, { workflowRunId }): ArtifactRow[] =>
      [...state.artifacts.part(workflowRunId).values()].toSorted(byText((row) => row.key)),
  }),

  /**
   * The run's annotations by createdAt and ordinal, after the given place. Columns in `omit` are
   * answered as the JSON null.
   */
  annotations: queryKind(
    "annotations",
    {
      ...ofRun,
      filters: annotationFilters,
      after: optional(nullable(object({ createdAt: instantField, ordinal: ordinalField }))),
      omit: optional(list(oneOf(LONG_TEXT.annotations), LONG_COLUMNS_MAX)),
      bytesMax: optional(whole({ min: 1 })),
    },
    {
      sees: ({ workflowRunId }) => ({
        what: "list",
        list: "annotations",
        workflowRunId,
        status: null,
      }),
      answer(state, query): AnnotationRow[] {
        const { workflowRunId, filters, after = null } = query;
        return [...state.annotations.part(workflowRunId).values()]
          .filter((row) => passes(row, filters) && (after === null || byAge(row, after) > 0))
          .toSorted(byAge)
          .slice(0, filters.limit);
      },
    },
  ),

  /**
   * Totals of every topic that starts with the prefix, by topic and modelKey, PAGE_ROWS of them,
   * after the given place.
   */
  aiCallTotals: storedQuery<AiCallTotalRow[]>()("aiCallTotals", {
    prefix: nameField,
    after: nullable(object({ topic: nameField, modelKey: nameField })),
  }),

  /** Whether any call is recorded under the batch id. */
  aiBatch: storedQuery<boolean>()("aiBatch", { batchId: keyField }),
};
