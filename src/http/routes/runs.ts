/** Runs: search, create, read, update, claim. */
import * as z from "zod";
import {
  ANNOTATION_VALUE_FOUND_MAX,
  encodeJson,
  LONG_TEXT,
  PAGE_BYTES_MAX,
  parseJson,
} from "../../model/index.ts";
import {
  isFindable,
  type QueryOf,
  type RunFilters,
  runSearchQueries,
} from "../../queries/index.ts";
import { requireShape } from "../../persistence/encode.ts";
import { toRunRecord } from "../../model/records.ts";
import { isServiceError } from "../../contract/index.ts";
import {
  listQuery,
  omitted,
  onePage,
  order,
  ordinalText,
  page,
  pageOf,
  placeAfter,
  placeIn,
} from "../listing.ts";
import { answers, done, jsonBody, operation } from "../operation.ts";
import { HttpFault, notFound } from "../problem.ts";
import {
  createRun,
  flag,
  inputInstant,
  INSTANT,
  RUN,
  runKey,
  runFilters,
  runRecord,
  status,
  toWireRecord,
  updateRun,
} from "../schemas/index.ts";
import { defined } from "../../model/defined.ts";
import { etag, whenConditionsHold } from "../etag.ts";
import { baseOf } from "../own-path.ts";
import { Router } from "../router.ts";
import { LIMITS, secured } from "../secured.ts";

const tags = ["runs"];

const listRuns = operation({
  method: "get",
  path: "/runs",
  operationId: "listRuns",
  tags,
  summary: "Find runs: by status, workflow, age, text in the name, an annotation",
  description:
    "All filters that are given must hold. Newest first. A page looks at 1,000 runs at most, so with several filters, or text that many names contain, it may come back short, or empty: go on while there is a `nextCursor`.",
  ...secured("runs"),
  request: {
    query: listQuery(runRecord).extend({
      ...runFilters,
      order: order("desc"),
    }),
  },
  responses: answers({
    200: {
      description: "A page of runs.",
      schema: pageOf("Run", runRecord),
      example: onePage(RUN),
    },
  }),
});

const stuckRuns = operation({
  method: "get",
  path: "/stuck-runs",
  operationId: "getStuckRuns",
  tags,
  summary: "RUNNING runs without any progress since an instant",
  description: "Longest without an update first.",
  ...secured("stuckRuns"),
  request: {
    query: listQuery(runRecord).extend({
      since: inputInstant("No progress since this instant."),
    }),
  },
  responses: answers({
    200: {
      description: "A page of runs.",
      schema: pageOf("StuckRun", runRecord),
      example: onePage({ ...RUN, status: "RUNNING" as const }),
    },
  }),
});

const post = operation({
  method: "post",
  path: "/runs",
  operationId: "createRun",
  tags,
  summary: "Create a run",
  ...secured("createRun", LIMITS.record),
  request: jsonBody(createRun, {
    id: "run-1",
    workflowId: "digest",
    workflowName: "Digest",
    workflowType: "digest",
    input: { url: "https://example.com/" },
  }),
  responses: answers({
    201: {
      description: "The run, PENDING, version 1.",
      schema: runRecord,
      example: RUN,
      headers: ["ETag", "Location"],
    },
  }),
  problems: ["ALREADY_EXISTS"],
});

const claimNext = operation({
  method: "post",
  path: "/runs/claim",
  operationId: "claimNextPendingRun",
  tags,
  summary: "Claim the best PENDING run: highest priority, then oldest",
  ...secured("claimRun"),
  responses: answers({
    200: {
      description: "The run, now RUNNING; null when none is PENDING.",
      schema: z.object({ run: z.union([runRecord, z.null()]) }).meta({ id: "ClaimedRun" }),
      example: { run: { ...RUN, status: "RUNNING", version: 2, startedAt: INSTANT } },
    },
  }),
});

const get = operation({
  method: "get",
  path: "/runs/{runId}",
  operationId: "getRun",
  tags,
  summary: "Read a run",
  description: "The ETag is its version: send it as If-Match with an update.",
  ...secured("run"),
  request: { params: runKey },
  responses: answers({
    200: { description: "The run.", schema: runRecord, example: RUN, headers: ["ETag"] },
  }),
  problems: ["NOT_FOUND"],
});

const getStatus = operation({
  method: "get",
  path: "/runs/{runId}/status",
  operationId: "getRunStatus",
  tags,
  summary: "Read a run's status alone",
  ...secured("runStatus"),
  request: { params: runKey },
  responses: answers({
    200: {
      description: "The status.",
      schema: z.object({ status }).meta({ id: "RunStatus" }),
      example: { status: "RUNNING" },
    },
  }),
  problems: ["NOT_FOUND"],
});

const patch = operation({
  method: "patch",
  path: "/runs/{runId}",
  operationId: "updateRun",
  tags,
  summary: "Update a run",
  description:
    "A member that is left out stays; null clears it. With If-Match, 412 tells the stored version when it is another one. Any update, an empty one too, adds one to the version.",
  ...secured("updateRun", LIMITS.record),
  request: {
    params: runKey,
    ...jsonBody(updateRun, { status: "COMPLETED", output: { pages: 3 } }),
  },
  responses: done("Updated."),
  problems: ["NOT_FOUND", "STALE_VERSION"],
});

const claim = operation({
  method: "post",
  path: "/runs/{runId}/claim",
  operationId: "claimPendingRun",
  tags,
  summary: "Make a PENDING run RUNNING",
  description: "Of any number of racing callers exactly one is told true.",
  ...secured("claimRun"),
  request: { params: runKey },
  responses: answers({
    200: {
      description: "Whether this call claimed it.",
      schema: z
        .object({ claimed: flag("Of racing callers, one is told true.") })
        .meta({ id: "Claimed" }),
      example: { claimed: true },
    },
  }),
  problems: ["STALE_VERSION"],
});

export const runs = new Router()
  .serve(listRuns, async (context) => {
    const { limit, cursor, fields, order: direction, ...query } = context.req.valid("query");
    const { name, annotationKey, annotationValue, createdFrom, createdBefore, ...foundBy } = query;
    const wanted: RunFilters = defined({
      ...foundBy,
      nameContains: name,
      annotation: annotationOf({ annotationKey, annotationValue }),
      createdFrom: createdFrom?.getTime(),
      createdBefore: createdBefore?.getTime(),
    });
    const asked: QueryOf<"runs"> = {
      q: "runs",
      filters: wanted,
      after: placeIn("runs", cursor, z.object({ createdAt: z.int(), ordinal: ordinalText })),
      descending: direction === "desc",
      limit,
      omit: omitted(LONG_TEXT.runs, fields),
      bytesMax: PAGE_BYTES_MAX,
    };
    requireShape(runSearchQueries.runs.shape, asked, "listRuns");
    const [found] = await context.var.store.read([asked]);
    const toItem = (row: (typeof found.rows)[number]) => toWireRecord(toRunRecord(row));
    return context.json(page("runs", found.rows, toItem, fields, found.next), 200);
  })
  .serve(stuckRuns, async (context) => {
    const { limit, cursor, fields, since } = context.req.valid("query");
    const { store } = context.var;
    const after = placeIn(
      "stuckRuns",
      cursor,
      z.object({ updatedAt: z.int(), ordinal: ordinalText }),
    );
    const now = await store.now();
    const [rows] = await store.read([
      { q: "stuckRuns", since: since.getTime(), now, after, limit },
    ]);
    const next = placeAfter(rows, { rows: limit }, (row) => ({
      updatedAt: row.updatedAt,
      ordinal: row.ordinal,
    }));
    return context.json(
      page("stuckRuns", rows, (row) => toWireRecord(toRunRecord(row)), fields, next),
      200,
    );
  })
  .serve(post, async (context) => {
    // Zod's types make a member of type unknown optional.
    const { input = null, ...body } = context.req.valid("json");
    const run = await context.var.backend.persistence.createRun({ ...defined(body), input });
    return context.json(toWireRecord(run), 201, {
      Location: `${baseOf(context)}/runs/${encodeURIComponent(run.id)}`,
      ETag: etag(run.version),
    });
  })
  .serve(claimNext, async (context) => {
    const run = await context.var.backend.persistence.claimNextPendingRun();
    return context.json({ run: run === null ? null : toWireRecord(run) }, 200);
  })
  .serve(get, async (context) => {
    const { runId } = context.req.valid("param");
    const run = await context.var.backend.persistence.getRun(runId);
    if (run === null) throw notFound("WorkflowRun", runId);
    return context.json(toWireRecord(run), 200, { ETag: etag(run.version) });
  })
  .serve(getStatus, async (context) => {
    const { runId } = context.req.valid("param");
    const found = await context.var.backend.persistence.getRunStatus(runId);
    if (found === null) throw notFound("WorkflowRun", runId);
    return context.json({ status: found }, 200);
  })
  .serve(patch, async (context) => {
    const { runId } = context.req.valid("param");
    const update = defined(context.req.valid("json"));
    await whenConditionsHold(context, {
      entity: "WorkflowRun",
      id: runId,
      updates: true,
      absent: "tells",
      read: (tx) => tx.getRun(runId),
      act: (tx, expected) => tx.updateRun(runId, { ...update, ...expected }),
    });
    return context.body(null, 204);
  })
  .serve(claim, async (context) => {
    const { runId } = context.req.valid("param");
    const claimed = await whenConditionsHold(context, {
      entity: "WorkflowRun",
      id: runId,
      updates: false,
      absent: "succeeds",
      read: (tx) => tx.getRun(runId),
      act: (tx) => tx.claimPendingRun(runId),
    });
    return context.json({ claimed }, 200);
  });

interface Annotated {
  readonly annotationKey?: string | undefined;
  readonly annotationValue?: string | undefined;
}

/**
 * The annotation that is looked for, with its value as it is stored.
 * @throws INVALID_ARGUMENT for a key without a value or the reverse, or a value that is too long to
 * be found.
 */
function annotationOf({ annotationKey: key, annotationValue: told }: Annotated) {
  if (key === undefined && told === undefined) return undefined;
  if (key === undefined || told === undefined) {
    const field = key === undefined ? "annotationKey" : "annotationValue";
    const message = `${field}: an annotation is looked for by its key and its value`;
    throw new HttpFault("INVALID_ARGUMENT", message, { field });
  }
  const value = encodeJson(jsonOrText(told), "annotationValue");
  if (isFindable(value)) return { key, value };
  const limit = ANNOTATION_VALUE_FOUND_MAX;
  const message = `annotationValue: runs are found by values of at most ${limit} bytes of JSON`;
  throw new HttpFault("INVALID_ARGUMENT", message, { field: "annotationValue", limit });
}

/** JSON where it is JSON; any other text is the text of a string, as documented. */
function jsonOrText(told: string): unknown {
  try {
    return parseJson(told, "annotationValue");
  } catch (error) {
    if (isServiceError(error)) throw error;
    // Not JSON, so it is the text of a string, as documented.
    return told;
  }
}
