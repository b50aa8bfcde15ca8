/** The audit: rows that nothing will ever move on. */
import * as z from "zod";
import { answers, operation } from "../operation.ts";
import { recordId, runIdField, text } from "../schemas/index.ts";
import { Router } from "../router.ts";
import { secured } from "../secured.ts";

const get = operation({
  method: "get",
  path: "/audit",
  operationId: "audit",
  tags: ["operations"],
  summary: "Rows that are not finished and that nothing will ever move on",
  description: "Expected: none.",
  ...secured("audit"),
  responses: answers({
    200: {
      description: "The findings.",
      schema: z
        .object({
          findings: z.array(
            z.object({
              entity: z.enum(["run", "stage", "job"]).meta({
                description: "What kind of row it is.",
                example: "run",
              }),
              id: recordId("The row's id.", "run-1"),
              workflowRunId: runIdField,
              status: text("The row's status.", "RUNNING"),
              problem: text("Why nothing will move it on.", "run-without-work"),
            }),
          ),
        })
        .meta({ id: "Audit" }),
      example: { findings: [] },
    },
  }),
});

export const audit = new Router().serve(get, async (context) =>
  context.json({ findings: await context.var.backend.audit() }, 200),
);
