/**
 * What a transaction's callback has seen, as guards: the commit lands only if it is all still so. A row that was
 * read is guarded by its token, a status by the status alone, a list by the tokens of its rows.
 */
import { type Guard } from "../../changes/index.ts";
import { tokenOf } from "../../model/index.ts";
import { type Query } from "../../queries/index.ts";
import { listTokens } from "../../memory/guards.ts";
import { liveJob } from "../../queries/jobs.ts";
import type { State } from "../../model/state.ts";

type RowGuard = Exclude<Guard, { on: "list" | "outboxTail" | "dedupeKey" }>;

/** The guard that the row of this one is as it was read, whatever it was. */
export function guardOfRow(base: State, guard: RowGuard): Guard {
  const row = rowOf(base, guard);
  const expect = row === undefined ? ABSENT : { is: "unchanged" as const, token: tokenOf(row) };
  switch (guard.on) {
    case "run":
      return { on: "run", id: guard.id, expect };
    case "stage":
      return { on: "stage", workflowRunId: guard.workflowRunId, stageId: guard.stageId, expect };
    case "artifact":
      return { on: "artifact", workflowRunId: guard.workflowRunId, key: guard.key, expect };
    case "outboxEvent":
      return {
        on: "outboxEvent",
        workflowRunId: guard.workflowRunId,
        sequence: guard.sequence,
        expect,
      };
    case "idempotencyKey":
      return { on: "idempotencyKey", key: guard.key, commandType: guard.commandType, expect };
    case "job":
      return { on: "job", workflowRunId: guard.workflowRunId, ordinal: guard.ordinal, expect };
  }
}

const ABSENT = { is: "absent" as const };

function rowOf(state: State, guard: RowGuard): { readonly commits: string } | undefined {
  switch (guard.on) {
    case "run":
      return state.runs.get(guard.id, "");
    case "stage":
      return state.stages.get(guard.workflowRunId, guard.stageId);
    case "artifact":
      return state.artifacts.get(guard.workflowRunId, guard.key);
    case "outboxEvent":
      return state.outboxEvents.get(guard.workflowRunId, String(guard.sequence));
    case "idempotencyKey":
      return state.idempotencyKeys.get(guard.key, guard.commandType);
    case "job":
      return state.jobs.get(guard.workflowRunId, guard.ordinal);
  }
}

/** A guarded row's name, to tell whether the transaction wrote it. */
export function guardedRow(guard: Guard): string | null {
  switch (guard.on) {
    case "run":
      return `run\0${guard.id}`;
    case "stage":
      return `stage\0${guard.workflowRunId}\0${guard.stageId}`;
    case "artifact":
      return `artifact\0${guard.workflowRunId}\0${guard.key}`;
    case "outboxEvent":
      return `outboxEvent\0${guard.workflowRunId}\0${guard.sequence}`;
    case "idempotencyKey":
      return `idempotencyKey\0${guard.key}\0${guard.commandType}`;
    case "job":
      return `job\0${guard.workflowRunId}\0${guard.ordinal}`;
    case "list":
    case "outboxTail":
    case "dedupeKey":
      return null;
  }
}

/** The guards of what a query about loaded rows has shown. */
export function guardsOfQuery(base: State, query: Query): Guard[] {
  switch (query.q) {
    case "run":
      return [guardOfRow(base, { on: "run", id: query.id, expect: ABSENT })];
    case "runStatus": {
      const status = base.runs.get(query.id, "")?.status;
      const expect = status === undefined ? ABSENT : { is: "status" as const, status };
      return [{ on: "run", id: query.id, expect }];
    }
    case "stage":
    case "stageById":
      return [
        guardOfRow(base, {
          on: "stage",
          workflowRunId: query.workflowRunId,
          stageId: query.stageId,
          expect: ABSENT,
        }),
      ];
    case "stages":
      return [listGuard(base, "stages", query.workflowRunId, query.status)];
    case "artifact":
      return [
        guardOfRow(base, {
          on: "artifact",
          workflowRunId: query.workflowRunId,
          key: query.key,
          expect: ABSENT,
        }),
      ];
    case "hasArtifact": {
      const found = base.artifacts.get(query.workflowRunId, query.key) !== undefined;
      return [
        {
          on: "artifact",
          workflowRunId: query.workflowRunId,
          key: query.key,
          expect: { is: found ? "present" : "absent" },
        },
      ];
    }
    case "artifacts":
    case "annotations":
    case "jobs":
      return [listGuard(base, query.q, query.workflowRunId, null)];
    case "cancelledJobs":
      return [listGuard(base, "jobs", query.workflowRunId, null)];
    case "outboxEvent":
      return [guardOfRow(base, { ...eventOf(query), on: "outboxEvent", expect: ABSENT })];
    case "idempotencyKey":
      return [
        guardOfRow(base, {
          on: "idempotencyKey",
          key: query.key,
          commandType: query.commandType,
          expect: ABSENT,
        }),
      ];
    case "job":
      return [
        guardOfRow(base, {
          on: "job",
          workflowRunId: query.workflowRunId,
          ordinal: query.ordinal,
          expect: ABSENT,
        }),
      ];
    case "liveJob": {
      const job = liveJob(base, query);
      if (job === null) return [{ on: "dedupeKey", dedupeKey: query.dedupeKey }];
      const { workflowRunId, ordinal } = job;
      return [guardOfRow(base, { on: "job", workflowRunId, ordinal, expect: ABSENT })];
    }
    default:
      return [];
  }
}

function eventOf({ workflowRunId, sequence }: Extract<Query, { q: "outboxEvent" }>) {
  return { workflowRunId, sequence };
}

function listGuard(
  base: State,
  list: Extract<Guard, { on: "list" }>["list"],
  workflowRunId: string,
  status: Extract<Guard, { on: "list" }>["status"],
): Guard {
  return {
    on: "list",
    list,
    workflowRunId,
    status,
    tokens: listTokens(base, list, workflowRunId, status),
  };
}
