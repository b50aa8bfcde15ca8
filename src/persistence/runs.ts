/** Runs, over a unit of work. */
import { statusField } from "../model/fields.ts";
import { object } from "../model/shape.ts";
import {
  blank,
  encoded,
  encodeInstant,
  encodeJson,
  encodeNullableJson,
  newRunRow,
  PRIORITY_DEFAULT,
  type RunRow,
  runSet,
  toRunRecord,
  unsignedZero,
} from "../model/index.ts";
import { allPages, PAGE_ROWS, type RunPlace } from "../queries/index.ts";
import type {
  CreateRunInput,
  ServiceError,
  UpdateRunInput,
  WorkflowRunRecord,
  WorkflowStatus,
} from "../contract/index.ts";
import { asManyAsFit } from "./as-many-as-fit.ts";
import { checkedChanges, checkedQuery, invalid, requireObject, requireShape } from "./encode.ts";
import { alreadyExists, notFound } from "./faults.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

const BLANK = blank(newRunRow);

/** PENDING runs that a claim fetches together. A caller that loses one goes on with the next. */
const CLAIM_CANDIDATES = 10;

/** The error of every method that names a run. */
export function runNotFound(id: string): ServiceError {
  return notFound("WorkflowRun", id);
}

export async function createRun(
  unit: UnitOfWork,
  data: CreateRunInput,
): Promise<WorkflowRunRecord> {
  requireObject("createRun", data);
  const input = encodeJson(data.input, "input");
  const config = encodeJson(data.config === undefined ? {} : data.config, "config");
  const metadata = encodeNullableJson(data.metadata, "metadata");
  const now = await unit.now();
  const ordinal = unit.ordinal(now);
  const row = {
    ...BLANK,
    id: data.id ?? ordinal,
    ordinal,
    createdAt: now,
    updatedAt: now,
    version: 1,
    workflowId: data.workflowId,
    workflowName: data.workflowName,
    workflowType: data.workflowType,
    status: "PENDING" as const,
    input,
    config,
    totalCost: 0,
    totalTokens: 0,
    priority: unsignedZero(data.priority ?? PRIORITY_DEFAULT),
    metadata,
  };
  const changes = checkedChanges("createRun", [{ kind: "createRun", row }]);
  const written = await unit.write({
    guards: [{ on: "run", id: row.id, expect: { is: "absent" } }],
    changes,
  });
  if (!written.applied) {
    throw alreadyExists("WorkflowRun", row.id);
  }
  return toRunRecord(row);
}

export async function updateRun(unit: UnitOfWork, id: string, data: UpdateRunInput): Promise<void> {
  requireObject("updateRun", data);
  const set = encoded(runSet, data);
  const version = checkedVersion("updateRun", data.expectedVersion);
  const at = await unit.now();
  const changes = checkedChanges("updateRun", [{ kind: "updateRun", id, set, at, bump: 1 }]);
  const written = await unit.write({
    guards: [
      {
        on: "run",
        id,
        expect: version === undefined ? { is: "present" } : { is: "version", version },
      },
    ],
    changes,
  });
  if (written.applied) return;
  if (version === undefined) throw runNotFound(id);
  throw unit.stale("WorkflowRun", id, version, written.violation.actual);
}

/** The expected version of an update, checked; undefined when none is given. */
export function checkedVersion(method: string, version: unknown): number | undefined {
  if (version === undefined || version === null) return undefined;
  if (typeof version === "number" && Number.isSafeInteger(version)) return version;
  throw invalid(`${method}: expectedVersion must be a whole number`, { field: "expectedVersion" });
}

export async function getRun(unit: UnitOfWork, id: string): Promise<WorkflowRunRecord | null> {
  if (id === "") return null;
  const [row] = await unit.read([checkedQuery("getRun", { q: "run", id })]);
  return row === null ? null : toRunRecord(row);
}

export async function getRunStatus(unit: UnitOfWork, id: string): Promise<WorkflowStatus | null> {
  if (id === "") return null;
  const [status] = await unit.read([checkedQuery("getRunStatus", { q: "runStatus", id })]);
  return status;
}

const withStatus = object({ status: statusField });

export async function getRunsByStatus(
  unit: UnitOfWork,
  status: WorkflowStatus,
): Promise<WorkflowRunRecord[]> {
  requireShape(withStatus, { status }, "getRunsByStatus");
  const rows = await allPages(async (after: RunPlace | null) => {
    const query = { q: "runs" as const, filters: { status }, after, descending: false };
    const [page] = await unit.read([{ ...query, limit: PAGE_ROWS }]);
    return page;
  });
  return rows.map(toRunRecord);
}

export async function getStuckRuns(
  unit: UnitOfWork,
  stuckSince: Date,
): Promise<WorkflowRunRecord[]> {
  const since = encodeInstant(stuckSince, "stuckSince");
  const now = await unit.now();
  const [rows] = await unit.read([{ q: "stuckRuns", since, now }]);
  return rows.map(toRunRecord);
}

export async function claimPendingRun(unit: UnitOfWork, id: string): Promise<boolean> {
  if (id === "") return false;
  return (await claim(unit, "claimPendingRun", id)) !== null;
}

export async function claimNextPendingRun(unit: UnitOfWork): Promise<WorkflowRunRecord | null> {
  for (;;) {
    const [candidates] = await asManyAsFit(CLAIM_CANDIDATES, async (limit) =>
      unit.read([{ q: "pendingRuns", limit }]),
    );
    if (candidates.length === 0) return null;
    for (const candidate of candidates) {
      const row = await claim(unit, "claimNextPendingRun", candidate.id);
      if (row !== null) return toRunRecord(row);
    }
    // Others took all of these; each look finds them gone, so this ends.
  }
}

/**
 * Takes the run from PENDING to RUNNING; null when it is not PENDING any more: the race is lost.
 */
async function claim(unit: UnitOfWork, method: string, id: string): Promise<RunRow | null> {
  const at = await unit.now();
  const changes = checkedChanges(method, [
    { kind: "updateRun", id, set: { status: "RUNNING", startedAt: at }, at, bump: 1 },
  ]);
  const written = await unit.write({
    guards: [{ on: "run", id, expect: { is: "status", status: "PENDING" } }],
    changes,
    reads: () => [{ q: "run", id }],
  });
  return written.applied ? written.results[0] : null;
}
