/** Queries of stages. Pure. */
import { object, nullable, optional, flag, oneOf, list, whole } from "../model/shape.ts";
import { countField, idField, recordIdField, statusField, wholeField } from "../model/fields.ts";
import { LONG_COLUMNS_MAX, LONG_TEXT, type StageRow } from "../model/index.ts";
import { byNumber, byText, type Compare, descending, inTurn } from "../model/order.ts";
import { stageRef } from "../model/row-ref.ts";
import { queryKind } from "./query-kind.ts";
import { ofRun } from "./members.ts";

const byPosition: Compare<Pick<StageRow, "executionGroup" | "stageNumber" | "stageId">> = inTurn(
  byNumber((stage) => stage.executionGroup),
  byNumber((stage) => stage.stageNumber),
  byText((stage) => stage.stageId),
);

/** The order in which SUSPENDED stages are polled. */
export const byStagePoll: Compare<Pick<StageRow, "nextPollAt" | "workflowRunId" | "stageId">> =
  inTurn(
    byNumber((row) => row.nextPollAt ?? 0),
    byText((row) => row.workflowRunId),
    byText((row) => row.stageId),
  );

/** Whether the stage waits to be polled and its time has come. */
export function isDueForPoll(stage: StageRow, before: number): boolean {
  return stage.status === "SUSPENDED" && stage.nextPollAt !== null && stage.nextPollAt <= before;
}

/** The place after which the next page of `suspendedStages` begins. */
export function suspendedStagePlace({ nextPollAt, workflowRunId, stageId }: StageRow) {
  return { nextPollAt: nextPollAt ?? 0, workflowRunId, stageId };
}
export type SuspendedStagePlace = ReturnType<typeof suspendedStagePlace>;

export const stageQueries = {
  /** The run's stage of that name, or null. */
  stage: queryKind(
    "stage",
    { ...ofRun, stageId: idField },
    {
      sees: (query) => ({ what: "row", row: stageRef(query) }),
      answer: (state, { workflowRunId, stageId }): StageRow | null =>
        state.stages.get(workflowRunId, stageId) ?? null,
    },
  ),

  /**
   * The stage, if it still is this record: the same (run, stageId) may have been deleted and made
   * anew.
   */
  stageById: queryKind(
    "stageById",
    { ...ofRun, stageId: idField, id: recordIdField },
    {
      sees: (query) => ({ what: "row", row: stageRef(query) }),
      answer(state, { workflowRunId, stageId, id }): StageRow | null {
        const stage = state.stages.get(workflowRunId, stageId);
        return stage?.id === id ? stage : null;
      },
    },
  ),

  /**
   * The run's stages by executionGroup, stageNumber and stageId (all three reversed when
   * `descending`); the first `limit`, all when it is null. `beforeGroup`: only those with a lower
   * executionGroup. `withoutNextPoll`: only those whose nextPollAt is null. Columns in `omit` are
   * answered as the JSON null.
   */
  stages: queryKind(
    "stages",
    {
      ...ofRun,
      status: nullable(statusField),
      beforeGroup: nullable(wholeField),
      withoutNextPoll: flag,
      descending: flag,
      limit: nullable(countField),
      after: optional(
        nullable(object({ executionGroup: wholeField, stageNumber: wholeField, stageId: idField })),
      ),
      omit: optional(list(oneOf(LONG_TEXT.stages), LONG_COLUMNS_MAX)),
      bytesMax: optional(whole({ min: 1 })),
    },
    {
      sees: ({ workflowRunId, status }) => ({
        what: "list",
        list: "stages",
        workflowRunId,
        status,
      }),
      answer(state, query): StageRow[] {
        const { status, beforeGroup, withoutNextPoll, limit, after = null } = query;
        const order = query.descending ? descending(byPosition) : byPosition;
        return [...state.stages.part(query.workflowRunId).values()]
          .filter((stage) => status === null || stage.status === status)
          .filter((stage) => beforeGroup === null || stage.executionGroup < beforeGroup)
          .filter((stage) => !withoutNextPoll || stage.nextPollAt === null)
          .filter((stage) => after === null || order(stage, after) > 0)
          .toSorted(order)
          .slice(0, limit ?? undefined);
      },
    },
  ),
};
