/** Stages, by their run and stage id, or by their record's id. */
import * as z from "zod";
import { LONG_TEXT, PAGE_BYTES_MAX } from "../../model/index.ts";
import { suspendedStagePlace } from "../../queries/index.ts";
import { checkedQuery } from "../../persistence/encode.ts";
import { toStageRecord } from "../../model/records.ts";
import { type WorkflowPersistence } from "../../contract/index.ts";
import {
  listQuery,
  omitted,
  onePage,
  order,
  page,
  pageOf,
  placeAfter,
  placeIn,
} from "../listing.ts";
import { answers, done, jsonBody, operation } from "../operation.ts";
import { notFound } from "../problem.ts";
import {
  anyWholeText,
  createStage,
  inputInstant,
  runKey,
  STAGE,
  stageKey,
  stageRecord,
  stageRecordId,
  status,
  toWireRecord,
  updateStage,
  upsertStage,
} from "../schemas/index.ts";
import { defined } from "../../model/defined.ts";
import { etag, whenConditionsHold } from "../etag.ts";
import { baseOf } from "../own-path.ts";
import { Router } from "../router.ts";
import { LIMITS, secured } from "../secured.ts";

const record = z.object({ id: stageRecordId });
const UPDATE = { status: "COMPLETED", outputData: { pages: 3 } } as const;
const tags = ["stages"];

const suspendedStages = operation({
  method: "get",
  path: "/stages/suspended",
  operationId: "getSuspendedStages",
  tags,
  summary: "SUSPENDED stages of all runs whose poll is due",
  description: "In the order in which their polls are due.",
  ...secured("suspendedStages"),
  request: {
    query: listQuery(stageRecord).extend({
      before: inputInstant("Due at this instant or earlier."),
    }),
  },
  responses: answers({
    200: {
      description: "A page of stages.",
      schema: pageOf("SuspendedStage", stageRecord),
      example: onePage({ ...STAGE, status: "SUSPENDED" as const }),
    },
  }),
});

const stagesOfRun = operation({
  method: "get",
  path: "/runs/{runId}/stages",
  operationId: "getStagesByRun",
  tags,
  summary: "A run's stages",
  description:
    "By execution group, then stage number. `select` answers at most one: the first FAILED one, the first SUSPENDED one whose poll was cleared, the last COMPLETED one (before a group).",
  ...secured("stages"),
  request: {
    params: runKey,
    query: listQuery(stageRecord).extend({
      status: status.optional(),
      order: order("asc"),
      select: z
        .enum(["first-failed", "first-ready-to-resume", "last-completed"])
        .optional()
        .meta({ description: "One stage of the list alone.", example: "first-failed" }),
      beforeGroup: anyWholeText().optional().meta({
        description: "With `last-completed`: of the execution groups before this one.",
        example: 2,
      }),
    }),
  },
  responses: answers({
    200: {
      description: "A page of stages.",
      schema: pageOf("Stage", stageRecord),
      example: onePage(STAGE),
    },
  }),
});

const post = operation({
  method: "post",
  path: "/runs/{runId}/stages",
  operationId: "createStage",
  tags,
  summary: "Create a stage",
  ...secured("createStage", LIMITS.record),
  request: {
    params: runKey,
    ...jsonBody(createStage, {
      stageId: "fetch",
      stageName: "Fetch",
      stageNumber: 1,
      executionGroup: 1,
    }),
  },
  responses: answers({
    201: {
      description: "The stage, version 1.",
      schema: stageRecord,
      example: STAGE,
      headers: ["ETag", "Location"],
    },
  }),
  problems: ["NOT_FOUND", "ALREADY_EXISTS"],
});

const get = operation({
  method: "get",
  path: "/runs/{runId}/stages/{stageId}",
  operationId: "getStage",
  tags,
  summary: "Read a stage",
  ...secured("stage"),
  request: { params: stageKey },
  responses: answers({
    200: { description: "The stage.", schema: stageRecord, example: STAGE, headers: ["ETag"] },
  }),
  problems: ["NOT_FOUND"],
});

const put = operation({
  method: "put",
  path: "/runs/{runId}/stages/{stageId}",
  operationId: "upsertStage",
  tags,
  summary: "Create a stage, or update the one that is there",
  description:
    "`create` counts when it is absent, `update` when it is present. Two at once both succeed.",
  ...secured("upsertStage", LIMITS.record),
  request: {
    params: stageKey,
    ...jsonBody(upsertStage, {
      create: { stageName: "Fetch", stageNumber: 1, executionGroup: 1 },
      update: { status: "RUNNING" },
    }),
  },
  responses: answers({
    200: {
      description: "The stage as it is afterwards.",
      schema: stageRecord,
      example: { ...STAGE, status: "RUNNING", version: 2 },
      headers: ["ETag"],
    },
  }),
  problems: ["NOT_FOUND", "STALE_VERSION"],
});

const patch = operation({
  method: "patch",
  path: "/runs/{runId}/stages/{stageId}",
  operationId: "updateStageByRunAndStageId",
  tags,
  summary: "Update a stage",
  ...secured("updateStage", LIMITS.record),
  request: { params: stageKey, ...jsonBody(updateStage, UPDATE) },
  responses: done("Updated."),
  problems: ["NOT_FOUND", "STALE_VERSION"],
});

const getById = operation({
  method: "get",
  path: "/stages/{id}",
  operationId: "getStageById",
  tags,
  summary: "Read a stage by its record's id",
  ...secured("stageById"),
  request: { params: record },
  responses: answers({
    200: { description: "The stage.", schema: stageRecord, example: STAGE, headers: ["ETag"] },
  }),
  problems: ["NOT_FOUND"],
});

const patchById = operation({
  method: "patch",
  path: "/stages/{id}",
  operationId: "updateStage",
  tags,
  summary: "Update a stage by its record's id",
  ...secured("updateStage", LIMITS.record),
  request: { params: record, ...jsonBody(updateStage, UPDATE) },
  responses: done("Updated."),
  problems: ["NOT_FOUND", "STALE_VERSION"],
});

const remove = operation({
  method: "delete",
  path: "/stages/{id}",
  operationId: "deleteStage",
  tags,
  summary: "Delete a stage, with its logs",
  description: "Artifacts and annotations stay, without their reference to it.",
  ...secured("deleteStage"),
  request: { params: record },
  responses: done("Deleted."),
  problems: ["NOT_FOUND", "STALE_VERSION"],
});

export const stages = new Router()
  .serve(suspendedStages, async (context) => {
    const { limit, cursor, fields, before } = context.req.valid("query");
    const place = z.object({
      nextPollAt: z.int(),
      workflowRunId: z.string().min(1),
      stageId: z.string().min(1),
    });
    const after = placeIn("suspendedStages", cursor, place);
    const [rows] = await context.var.store.read([
      { q: "suspendedStages", before: before.getTime(), after, limit },
    ]);
    const next = placeAfter(rows, { rows: limit }, suspendedStagePlace);
    return context.json(
      page("suspendedStages", rows, (row) => toWireRecord(toStageRecord(row)), fields, next),
      200,
    );
  })
  .serve(stagesOfRun, async (context) => {
    const { runId: workflowRunId } = context.req.valid("param");
    const query = context.req.valid("query");
    const { select, beforeGroup, limit, fields } = query;
    const { persistence } = context.var.backend;
    if (select !== undefined) {
      const found = await selected(persistence, workflowRunId, select, beforeGroup);
      return context.json(page("stages", found, toWireRecord, fields, null), 200);
    }
    const place = z.object({ executionGroup: z.int(), stageNumber: z.int(), stageId: z.string() });
    const [rows] = await context.var.store.read([
      checkedQuery("getStagesByRun", {
        q: "stages",
        workflowRunId,
        status: query.status ?? null,
        beforeGroup: beforeGroup ?? null,
        withoutNextPoll: false,
        descending: query.order === "desc",
        limit,
        after: placeIn("stages", query.cursor, place),
        omit: omitted(LONG_TEXT.stages, fields),
        bytesMax: PAGE_BYTES_MAX,
      }),
    ]);
    const next = placeAfter(
      rows,
      { rows: limit, table: "stages", fields },
      ({ executionGroup, stageNumber, stageId }) => ({
        executionGroup,
        stageNumber,
        stageId,
      }),
    );
    return context.json(
      page("stages", rows, (row) => toWireRecord(toStageRecord(row)), fields, next),
      200,
    );
  })
  .serve(post, async (context) => {
    const { runId } = context.req.valid("param");
    const stage = await context.var.backend.persistence.createStage({
      workflowRunId: runId,
      ...defined(context.req.valid("json")),
    });
    return context.json(toWireRecord(stage), 201, {
      Location: `${baseOf(context)}/runs/${encodeURIComponent(runId)}/stages/${encodeURIComponent(stage.stageId)}`,
      ETag: etag(stage.version),
    });
  })
  .serve(get, async (context) => {
    const { runId, stageId } = context.req.valid("param");
    const stage = await context.var.backend.persistence.getStage(runId, stageId);
    if (stage === null) throw notFound("WorkflowStage", `${runId}/${stageId}`);
    return context.json(toWireRecord(stage), 200, { ETag: etag(stage.version) });
  })
  .serve(put, async (context) => {
    const { runId: workflowRunId, stageId } = context.req.valid("param");
    const { create, update } = context.req.valid("json");
    const upsert = {
      workflowRunId,
      stageId,
      create: { workflowRunId, stageId, ...defined(create) },
      update: defined(update),
    };
    const stage = await whenConditionsHold(context, {
      entity: "WorkflowStage",
      id: `${workflowRunId}/${stageId}`,
      updates: false,
      absent: "succeeds",
      read: (tx) => tx.getStage(workflowRunId, stageId),
      act: (tx) => tx.upsertStage(upsert),
    });
    return context.json(toWireRecord(stage), 200, { ETag: etag(stage.version) });
  })
  .serve(patch, async (context) => {
    const { runId, stageId } = context.req.valid("param");
    const update = defined(context.req.valid("json"));
    await whenConditionsHold(context, {
      entity: "WorkflowStage",
      id: `${runId}/${stageId}`,
      updates: true,
      absent: "tells",
      read: (tx) => tx.getStage(runId, stageId),
      act: (tx, expected) =>
        tx.updateStageByRunAndStageId(runId, stageId, { ...update, ...expected }),
    });
    return context.body(null, 204);
  })
  .serve(getById, async (context) => {
    const { id } = context.req.valid("param");
    const stage = await context.var.backend.persistence.getStageById(id);
    if (stage === null) throw notFound("WorkflowStage", id);
    return context.json(toWireRecord(stage), 200, { ETag: etag(stage.version) });
  })
  .serve(patchById, async (context) => {
    const { id } = context.req.valid("param");
    const update = defined(context.req.valid("json"));
    await whenConditionsHold(context, {
      entity: "WorkflowStage",
      id,
      updates: true,
      absent: "tells",
      read: (tx) => tx.getStageById(id),
      act: (tx, expected) => tx.updateStage(id, { ...update, ...expected }),
    });
    return context.body(null, 204);
  })
  .serve(remove, async (context) => {
    const { id } = context.req.valid("param");
    await whenConditionsHold(context, {
      entity: "WorkflowStage",
      id,
      updates: false,
      absent: "tells",
      read: (tx) => tx.getStageById(id),
      act: (tx) => tx.deleteStage(id),
    });
    return context.body(null, 204);
  });

type Select = "first-failed" | "first-ready-to-resume" | "last-completed";

/** At most one stage, as a list. */
async function selected(
  persistence: WorkflowPersistence,
  runId: string,
  select: Select,
  beforeGroup: number | undefined,
) {
  const found = await one(persistence, runId, select, beforeGroup);
  return found === null ? [] : [found];
}

async function one(
  persistence: WorkflowPersistence,
  runId: string,
  select: Select,
  beforeGroup: number | undefined,
) {
  switch (select) {
    case "first-failed":
      return persistence.getFirstFailedStage(runId);
    case "first-ready-to-resume":
      return persistence.getFirstSuspendedStageReadyToResume(runId);
    case "last-completed":
      return beforeGroup === undefined
        ? persistence.getLastCompletedStage(runId)
        : persistence.getLastCompletedStageBefore(runId, beforeGroup);
  }
}
