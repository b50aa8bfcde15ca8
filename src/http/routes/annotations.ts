/** Annotations. */
import * as z from "zod";
import { ANNOTATIONS_LIST_MAX, LONG_TEXT, PAGE_BYTES_MAX } from "../../model/index.ts";
import { checkedQuery } from "../../persistence/encode.ts";
import { toAnnotationRecord } from "../../model/records.ts";
import {
  listQuery,
  omitted,
  onePage,
  ordinalText,
  page,
  pageOf,
  placeAfter,
  placeIn,
} from "../listing.ts";
import { answers, done, jsonBody, operation } from "../operation.ts";
import {
  ANNOTATION,
  annotationRecord,
  anyWholeText,
  createAnnotations,
  inputInstant,
  runKey,
  text,
  toWireRecord,
} from "../schemas/index.ts";
import { defined } from "../../model/defined.ts";
import { Router } from "../router.ts";
import { LIMITS, secured } from "../secured.ts";

const postAnnotations = operation({
  method: "post",
  path: "/annotations",
  operationId: "appendAnnotations",
  tags: ["annotations"],
  summary: "Append annotations",
  description:
    "Rows of one run with the same key and the same idempotency key are one row: the first write wins.",
  ...secured("appendAnnotation", LIMITS.record),
  request: jsonBody(createAnnotations, {
    annotations: [{ workflowRunId: "run-1", scope: "run", key: "decision.model", value: "small" }],
  }),
  responses: done("Appended."),
  problems: ["NOT_FOUND"],
});

const annotationsOfRun = operation({
  method: "get",
  path: "/runs/{runId}/annotations",
  operationId: "listAnnotations",
  tags: ["annotations"],
  summary: "A run's annotations, oldest first",
  description:
    "All filters that are given must hold. `keyPrefix` is text: nothing in it is a wildcard.",
  ...secured("annotations"),
  request: {
    params: runKey,
    query: listQuery(annotationRecord).extend({
      key: text("With this key.", "decision.model").optional(),
      keyPrefix: text("With a key that starts with this.", "decision.").optional(),
      scope: text("Of this scope.", "run").optional(),
      scopeId: text("Of this one of the scope.", "call-1").optional(),
      actorId: text("By this actor.", "planner").optional(),
      actorKind: text("By an actor of this kind.", "agent").optional(),
      attempt: anyWholeText()
        .optional()
        .meta({ description: "Of this attempt of a stage.", example: 0 }),
      since: inputInstant("Created at this instant or later.").optional(),
      until: inputInstant("Created at this instant or earlier.").optional(),
    }),
  },
  responses: answers({
    200: {
      description: "A page of annotations.",
      schema: pageOf("Annotation", annotationRecord),
      example: onePage(ANNOTATION),
    },
  }),
});

export const annotations = new Router()
  .serve(postAnnotations, async (context) => {
    const body = context.req.valid("json");
    await context.var.backend.persistence.appendAnnotations(
      body.annotations.map(({ value = null, actor, ...rest }) => ({
        ...defined(rest),
        value,
        ...(actor === undefined ? {} : { actor: defined(actor) }),
      })),
    );
    return context.body(null, 204);
  })
  .serve(annotationsOfRun, async (context) => {
    const { runId: workflowRunId } = context.req.valid("param");
    const { limit, cursor, fields, since, until, ...filters } = context.req.valid("query");
    const place = z.object({ createdAt: z.int(), ordinal: ordinalText });
    const [rows] = await context.var.store.read([
      checkedQuery("listAnnotations", {
        q: "annotations",
        workflowRunId,
        filters: {
          ...filters,
          since: since?.getTime(),
          until: until?.getTime(),
          limit: Math.min(limit, ANNOTATIONS_LIST_MAX),
        },
        after: placeIn("annotations", cursor, place),
        omit: omitted(LONG_TEXT.annotations, fields),
        bytesMax: PAGE_BYTES_MAX,
      }),
    ]);
    const next = placeAfter(
      rows,
      { rows: limit, table: "annotations", fields },
      ({ createdAt, ordinal }) => ({ createdAt, ordinal }),
    );
    const toItem = (row: (typeof rows)[number]) => toWireRecord(toAnnotationRecord(row));
    return context.json(page("annotations", rows, toItem, fields, next), 200);
  });
