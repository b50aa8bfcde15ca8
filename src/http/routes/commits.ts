/**
 * Commits and queries as data. With these, a client in any language has real transactions: it
 * reads, decides, and commits guards and changes, whole or not at all.
 */
import * as z from "zod";
import {
  CHANGING,
  type Commit,
  type CommitOutcome,
  lackForCommit,
  lackForQueries,
  stamped,
  withoutStamp,
} from "../../changes/index.ts";
import { COMMIT_CHANGES_MAX, COMMIT_GUARDS_MAX, READ_QUERIES_MAX } from "../../model/index.ts";
import { type AnyResult } from "../../queries/index.ts";
import { validCommit, validQueries } from "../../changes/validation.ts";
import { requireNoneOwn } from "../idempotency/index.ts";
import { answers, jsonBody, operation } from "../operation.ts";
import { integer } from "../schemas/index.ts";
import { Router } from "../router.ts";
import { LIMITS, secured } from "../secured.ts";
import { HttpFault } from "../problem.ts";
import { type Caller, requireNoLack } from "../tokens.ts";

const plain = z.record(z.string(), z.unknown());
const commitBody = z
  .object({
    id: z.string().meta({
      description:
        "18 characters of 0-9a-z: the instant in milliseconds, in base 36, padded to nine, and nine random ones. Names the commit for ever: after a lost answer, ask for its settlement.",
      example: "0mwwqfjeva1b2c3d4e",
    }),
    guards: z
      .array(plain)
      .max(COMMIT_GUARDS_MAX)
      .meta({ description: "What must hold when the commit lands." }),
    changes: z
      .array(plain)
      .max(COMMIT_CHANGES_MAX)
      .meta({ description: "What is written, in this order." }),
    reads: z
      .array(plain)
      .max(READ_QUERIES_MAX)
      .meta({ description: "Queries, answered in the instant of the commit." }),
  })
  .meta({ id: "Commit" });
const COMMIT = {
  id: "0mwwqfjeva1b2c3d4e",
  guards: [{ on: "run", id: "run-1", expect: { is: "version", version: 3 } }],
  changes: [
    { kind: "updateRun", id: "run-1", set: { status: "COMPLETED" }, at: 1795600000000, bump: 1 },
  ],
  reads: [{ q: "runStatus", id: "run-1" }],
};
const result = z.unknown().meta({ description: "As its query says; null for no row." });

const postCommit = operation({
  method: "post",
  path: "/commits",
  operationId: "commit",
  tags: ["commits"],
  summary: "Apply guards and changes, whole or not at all",
  description:
    "Each change needs the scope that it needs everywhere: write; work to lease and settle jobs; admin to end leases, to resume jobs and to purge. Logs, annotations and AI calls need write or work; guards and reads, read. 412 GUARD_FAILED tells which guard did not hold, and what was found: nothing was written then. 503 UNAVAILABLE means that the outcome is unknown: ask for the settlement.",
  ...secured(CHANGING, LIMITS.commit),
  request: jsonBody(commitBody, COMMIT),
  responses: answers({
    200: {
      description: "Applied. The answers to `reads`, in their order.",
      schema: z.object({ results: z.array(result) }).meta({ id: "CommitResults" }),
      example: { results: ["COMPLETED"] },
    },
  }),
  problems: ["GUARD_FAILED"],
});

const postSettlement = operation({
  method: "post",
  path: "/settlements",
  operationId: "settle",
  tags: ["commits"],
  summary: "Find out what became of a commit whose answer was lost",
  description:
    "Needs the scopes that the commit needs. Final: `fenced` means that it was not applied and never will be, not even if it is still under way; it may be tried again under a new id. `unknown`: its row was written too often since to tell.",
  ...secured(CHANGING, LIMITS.commit),
  request: jsonBody(commitBody, COMMIT),
  responses: answers({
    200: {
      description: "The finding.",
      schema: z
        .object({
          settlement: z.enum(["applied", "fenced", "unknown"]).meta({ example: "applied" }),
        })
        .meta({ id: "Settlement" }),
      example: { settlement: "applied" },
    },
  }),
});

const postQueries = operation({
  method: "post",
  path: "/queries",
  operationId: "query",
  tags: ["commits"],
  summary: "Answer queries from one snapshot",
  ...secured(["read"], LIMITS.queries),
  request: jsonBody(
    z
      .object({
        queries: z
          .array(plain)
          .max(READ_QUERIES_MAX)
          .meta({
            description: `At most ${READ_QUERIES_MAX}, each with its name in \`q\`.`,
          }),
      })
      .meta({ id: "Queries" }),
    { queries: [{ q: "runStatus", id: "run-1" }] },
  ),
  responses: answers({
    200: {
      description: "The answers, in the order of the queries.",
      schema: z.object({ results: z.array(result) }).meta({ id: "QueryResults" }),
      example: { results: ["RUNNING"] },
    },
  }),
});

const getTime = operation({
  method: "get",
  path: "/time",
  operationId: "time",
  tags: ["commits"],
  summary: "The service's clock",
  ...secured("time"),
  responses: answers({
    200: {
      description: "Milliseconds since 1970. Commits are stamped with it.",
      schema: z
        .object({ now: integer("Milliseconds since 1970.", 1795600000000) })
        .meta({ id: "Time" }),
      example: { now: 1795600000000 },
    },
  }),
});

/**
 * The commit, checked whole.
 * @throws INVALID_ARGUMENT, PAYLOAD_TOO_LARGE, FORBIDDEN
 */
function allowedCommit(caller: Caller, value: unknown): Commit {
  const commit = validCommit(value, LIMITS.commit.values);
  requireNoLack(caller, lackForCommit(caller.scopes, commit));
  requireNoOwnKeys(commit);
  return commit;
}

/** Rows of the API's own idempotency keys are no caller's to read or write. */
function requireNoOwnKeys({ guards, changes, reads }: Commit): void {
  requireNoneOwn("guards", guards);
  requireNoneOwn("changes", changes);
  requireNoneOwn("reads", reads);
}

/** @throws GUARD_FAILED with the guard and what was found. */
function resultsOf(outcome: CommitOutcome): AnyResult[] {
  if (outcome.applied) return outcome.results;
  const { guard, actual } = outcome.violation;
  throw new HttpFault("GUARD_FAILED", `Guard ${guard} did not hold`, { guard, actual });
}

export const commits = new Router()
  .serve(postCommit, async (context) => {
    const commit = allowedCommit(context.var.caller, context.req.valid("json"));
    const { store } = context.var;
    const results = resultsOf(await store.attempt(stamped(commit, await store.now())));
    return context.json({ results }, 200);
  })
  .serve(postSettlement, async (context) => {
    const commit = allowedCommit(context.var.caller, context.req.valid("json"));
    return context.json({ settlement: await context.var.store.settle(withoutStamp(commit)) }, 200);
  })
  .serve(postQueries, async (context) => {
    const queries = validQueries(context.req.valid("json").queries);
    requireNoLack(context.var.caller, lackForQueries(context.var.caller.scopes, queries));
    requireNoneOwn("queries", queries);
    return context.json({ results: await context.var.store.read(queries) }, 200);
  })
  .serve(getTime, async (context) => context.json({ now: await context.var.store.now() }, 200));
