/**
 * `runs`: starts and steers the runs of typed workflows, over any connection. Each act is one commit,
 * guarded by what it takes for granted; where others were faster, it looks again.
 */
import type { Change, Guard } from "../changes/index.ts";
import { type Backend, ServiceError, type Status } from "../contract/index.ts";
import { checkedConfig, checkedInput, checkedSignal } from "../engine/checked.ts";
import { definitionFor, type Definition } from "../engine/definition.ts";
import { durationMs } from "../engine/duration.ts";
import { firstOf, nextStage } from "../engine/next.ts";
import type { Run, RunOutput, Runs, StartOptions } from "../engine/runs.ts";
import type { InputOf, OutputOf, OutputsOf, SignalsOf, Workflow } from "../engine/workflow.ts";
import { idField, keyField, wholeField } from "../model/fields.ts";
import {
  decodeJson,
  encodeJson,
  type NewRunRow,
  PRIORITY_DEFAULT,
  type RunRow,
  signalId,
  tokenOf,
} from "../model/index.ts";
import { byText } from "../model/order.ts";
import type { Shape } from "../model/shape.ts";
import { isLive } from "../model/status.ts";
import { backOff } from "../persistence/auto-commit.ts";
import { type OwnUnit, unitOf } from "../persistence/connection-core.ts";
import { checkedChanges } from "../persistence/encode.ts";
import { engineRunOf, type EngineRun, runMetadata } from "./lease.ts";
import { event, jobRow, type Moment, stageRow } from "./rows.ts";

/** How often an act is tried whose run others change at the same time. */
const TRIES_MAX = 25;

/**
 * The runs of typed workflows, over a connection: `connect(env.WORKFLOWS)`, `embed(env)`, or one of the
 * others.
 * @throws INVALID_ARGUMENT for a connection that this package did not make.
 * @example
 * const runs = runsOf(connect(env.WORKFLOWS));
 * const run = await runs.start(documents, { markdown: "# Hi" }, { key: "doc-42" });
 * console.log(await run.output({ within: "30s" }));
 */
export function runsOf(connection: Backend): Runs {
  const unit = unitOf(connection);
  return {
    start: async (workflow, input, options) => start(unit, workflow, input, options),
    get: (workflow, id) => runOf(unit, workflow, requireField(idField, id, "id")),
  };
}

function requireField<T>(shape: Shape<T>, value: T, field: string): T {
  const problem = shape.check(value);
  if (problem === null) return value;
  const { message, limit } = problem;
  throw new ServiceError("INVALID_ARGUMENT", `${field} ${message}`, {
    field,
    ...(limit === undefined ? {} : { limit }),
  });
}

async function start<W extends Workflow>(
  unit: OwnUnit,
  workflow: W,
  input: InputOf<W>,
  { key, priority = PRIORITY_DEFAULT, config }: StartOptions<W> = {},
): Promise<Run<W>> {
  if (key !== undefined) requireField(keyField, key, "key");
  requireField(wholeField, priority, "priority");
  const checked = await checkedInput(workflow, input);
  const configs = await checkedConfig(workflow, config);
  const id = key === undefined ? crypto.randomUUID() : await idOfKey(workflow.id, key);
  const at = await unit.now();
  const moment: Moment = { at, ordinal: () => unit.ordinal(at) };
  const row: NewRunRow = {
    id,
    ordinal: moment.ordinal(),
    createdAt: at,
    updatedAt: at,
    version: 1,
    workflowId: workflow.id,
    workflowName: workflow.name,
    workflowType: workflow.id,
    status: "RUNNING",
    startedAt: at,
    completedAt: null,
    duration: null,
    input: encodeJson(checked, "input"),
    output: null,
    config: encodeJson(configs, "config"),
    totalCost: 0,
    totalTokens: 0,
    priority,
    metadata: runMetadata({
      version: workflow.version,
      shape: workflow.shape,
      publishes: workflow.publishes,
    }),
  };
  const changes = checkedChanges("start", await opening(workflow, row, checked, moment));
  const guards: Guard[] = [{ on: "run", id, expect: { is: "absent" } }];
  const written = await unit.write({ guards, changes });
  if (!written.applied) await requireSame(unit, row, key ?? id);
  return runOf(unit, workflow, id);
}

/** The run, its first stages and their jobs. */
async function opening(
  workflow: Definition,
  row: NewRunRow,
  input: unknown,
  moment: Moment,
): Promise<Change[]> {
  const { at } = moment;
  const { id, workflowId, priority } = row;
  const run = { id, workflowId, priority, publishes: workflow.publishes, tried: {} };
  const first = await firstOf(workflow, input);
  const started = event(run, at, "workflow:started", { version: workflow.version });
  if (first.then === "finish") {
    const over = {
      status: "COMPLETED",
      output: first.output,
      completedAt: at,
      duration: 0,
    } as const;
    return [
      { kind: "createRun", row: { ...row, ...over } },
      started,
      event(run, at, "workflow:completed", {}),
    ];
  }
  const { stages, skipped } = first;
  const coming = { run, from: [], tried: 0 };
  return [
    { kind: "createRun", row },
    ...skipped.map((stage): Change => {
      const set = { status: "SKIPPED", completedAt: at } as const;
      return {
        kind: "createStage",
        row: stageRow({ ...coming, stage, group: stage.group }, moment, set),
      };
    }),
    ...stages.map((stage): Change => ({
      kind: "createStage",
      row: stageRow({ ...coming, stage, group: first.group }, moment, {}),
    })),
    started,
    ...skipped.map(({ id: stageId }) => event(run, at, "stage:skipped", { stageId })),
    ...stages.map((stage): Change => ({ kind: "enqueueJob", row: jobRow(run, stage, moment) })),
  ];
}

/**
 * A run's id from its key: SHA-256 of the workflow's id and the key, 32 hexadecimal digits of it. So a
 * start with the same key finds its run by the primary key, and no row is written for that.
 */
async function idOfKey(workflowId: string, key: string): Promise<string> {
  const text = new TextEncoder().encode(JSON.stringify([workflowId, key]));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  return Array.from(digest.subarray(0, 16), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @throws ALREADY_EXISTS where the key's run was started with something else. */
async function requireSame(unit: OwnUnit, row: NewRunRow, key: string): Promise<void> {
  const [found] = await unit.read([{ q: "run", id: row.id }]);
  if (found === null) throw gone(row.id);
  const differs = (["workflowId", "input", "config"] as const).find(
    (name) => found[name] !== row[name],
  );
  if (differs === undefined) return;
  const message = `The key ${JSON.stringify(key)} has a run already, and it was started with another ${differs}`;
  throw new ServiceError("ALREADY_EXISTS", message, { field: differs, key, id: row.id });
}

function gone(id: string): ServiceError {
  return new ServiceError("NOT_FOUND", `Run ${id} not found`, { entity: "WorkflowRun", id });
}

function runOf<W extends Workflow>(unit: OwnUnit, workflow: W, id: string): Run<W> {
  return {
    id,
    signal: async (name, payload, options) =>
      sendSignal(unit, workflow, id, name, payload, options),
    output: async (options) => outputOf(unit, id, options),
    outputOf: async (stageId) => stageOutput(unit, id, stageId),
    rerun: async ({ from }) => rerun(unit, workflow, id, from),
    cancel: async (reason) => cancel(unit, id, reason),
    pause: async () => pause(unit, id),
    resume: async () => resume(unit, id),
  };
}

/** A run of a typed workflow, with its row. */
interface Found {
  readonly row: RunRow;
  readonly run: EngineRun;
}

/** @throws NOT_FOUND; INVALID_ARGUMENT for a run that no typed workflow started. */
async function foundRun(unit: OwnUnit, id: string): Promise<Found> {
  const [row] = await unit.read([{ q: "run", id }]);
  if (row === null) throw gone(id);
  const run = engineRunOf(row);
  if (run !== null) return { row, run };
  throw new ServiceError("INVALID_ARGUMENT", `Run ${id} was not started by a typed workflow`, {
    field: "id",
  });
}

/** What an act writes, and what must hold besides the run's status. */
interface Asked {
  readonly changes: readonly Change[];
  readonly guards: readonly Guard[];
}

/**
 * Reads the run, and writes what it asks for, guarded by the run's status. Tries again while others
 * change what the act saw.
 * @throws CONFLICT when they keep doing so.
 */
async function act(
  unit: OwnUnit,
  id: string,
  changesFor: (found: Found, moment: Moment) => Promise<Asked | readonly Change[] | null>,
): Promise<void> {
  for (let round = 1; round <= TRIES_MAX; round += 1) {
    const found = await foundRun(unit, id);
    const at = await unit.now();
    const asked = await changesFor(found, { at, ordinal: () => unit.ordinal(at) });
    if (asked === null) return;
    const { changes, guards } = "guards" in asked ? asked : { changes: asked, guards: [] };
    const { status } = found.row;
    const written = await unit.write({
      guards: [{ on: "run", id, expect: { is: "status", status } }, ...guards],
      changes,
    });
    if (written.applied) return;
    await backOff(Math.min(round, 5));
  }
  throw new ServiceError("CONFLICT", `Others kept changing run ${id}`, {
    entity: "WorkflowRun",
    id,
  });
}

/** @throws INVALID_ARGUMENT that says which status the act needs. */
function wrongStatus(id: string, status: Status, what: string): ServiceError {
  return new ServiceError("INVALID_ARGUMENT", `Run ${id} is ${status}, and ${what}`, {
    field: "status",
    status,
  });
}

async function sendSignal<W extends Workflow>(
  unit: OwnUnit,
  workflow: W,
  id: string,
  name: keyof SignalsOf<W> & string,
  payload: SignalsOf<W>[keyof SignalsOf<W> & string],
  { key }: { readonly key?: string } = {},
): Promise<void> {
  const checked = encodeJson(await checkedSignal(workflow, name, payload), "payload");
  if (key !== undefined) requireField(keyField, key, "key");
  await act(unit, id, async ({ row }, { at, ordinal }) => {
    if (!isLive(row)) throw wrongStatus(id, row.status, "takes no signals");
    const made = ordinal();
    const signal = {
      workflowRunId: id,
      id: signalId(name, key ?? made),
      name,
      ordinal: made,
      receivedAt: at,
      payload: checked,
      takenAt: null,
    };
    return checkedChanges("signal", [
      { kind: "sendSignal", row: signal },
      { kind: "dueJobs", workflowRunId: id, stageId: name, wakes: 1, at },
    ]);
  });
}

async function cancel(unit: OwnUnit, id: string, reason?: string): Promise<void> {
  const told = reason ?? "cancelled";
  if (typeof told !== "string") {
    throw new ServiceError("INVALID_ARGUMENT", "reason must be a string", { field: "reason" });
  }
  await act(unit, id, async ({ row, run }, { at }) => {
    if (row.status === "CANCELLED") return null;
    if (!isLive(row)) throw wrongStatus(id, row.status, "cannot be cancelled any more");
    const duration = at - row.createdAt;
    return checkedChanges("cancel", [
      {
        kind: "updateRun",
        id,
        set: { status: "CANCELLED", completedAt: at, duration },
        at,
        bump: 1,
      },
      { kind: "cancelStages", workflowRunId: id, at },
      { kind: "cancelJobs", workflowRunId: id, leased: true, at },
      event(run, at, "workflow:cancelled", { reason: told }),
    ]);
  });
}

async function pause(unit: OwnUnit, id: string): Promise<void> {
  await act(unit, id, async ({ row, run }, { at }) => {
    if (row.status === "SUSPENDED") return null;
    if (row.status !== "RUNNING") throw wrongStatus(id, row.status, "cannot be paused");
    return [
      { kind: "updateRun", id, set: { status: "SUSPENDED" }, at, bump: 1 },
      event(run, at, "workflow:suspended", {}),
    ];
  });
}

/** The jobs that a paused run has left lying are due again: each gets a wake-up. */
async function resume(unit: OwnUnit, id: string): Promise<void> {
  await act(unit, id, async ({ row, run }, { at }) => {
    if (row.status === "RUNNING") return null;
    if (row.status !== "SUSPENDED") throw wrongStatus(id, row.status, "cannot be resumed");
    const [jobs] = await unit.read([{ q: "jobs", workflowRunId: id }]);
    const wakes = jobs.filter(({ status }) => status === "SUSPENDED").length;
    return [
      { kind: "updateRun", id, set: { status: "RUNNING" }, at, bump: 1 },
      { kind: "dueJobs", workflowRunId: id, stageId: null, wakes, at },
      event(run, at, "workflow:resumed", {}),
    ];
  });
}

async function rerun(unit: OwnUnit, workflow: Workflow, id: string, from: string): Promise<void> {
  await act(unit, id, async ({ row, run }, moment) => {
    if (row.status === "RUNNING" || row.status === "PENDING") {
      throw wrongStatus(id, row.status, "can be run again once it has ended or is paused");
    }
    const { shape, version } = run.delivered;
    const definition = definitionFor(workflow, shape);
    if (definition === null) {
      const message = `Run ${id} was started with version ${version} of ${row.workflowId}, whose stages no definition has`;
      throw new ServiceError("INVALID_ARGUMENT", message, { field: "workflow", version, shape });
    }
    const element = definition.plan.byId.get(from);
    if (element === undefined) {
      throw new ServiceError("INVALID_ARGUMENT", `There is no stage ${JSON.stringify(from)}`, {
        field: "from",
      });
    }
    const [stages, jobs] = await unit.read([
      {
        q: "stages",
        workflowRunId: id,
        status: null,
        beforeGroup: null,
        withoutNextPoll: false,
        descending: false,
        limit: null,
        omit: ["outputData", "suspendedState", "errorMessage", "metrics", "config"],
      },
      { q: "jobs", workflowRunId: id },
    ]);
    const before = stages.find(({ stageId }) => stageId === from);
    if (before === undefined) {
      throw new ServiceError("INVALID_ARGUMENT", `The run has not come to stage ${from} yet`, {
        field: "from",
      });
    }
    const { at } = moment;
    const { group } = element;
    const later = stages.filter(({ executionGroup }) => executionGroup > group);
    const carried = {
      // Of stages that an earlier rerun has not come to, the last job knows.
      ...engineRunOf(row, jobs.at(-1)?.payload)?.tried,
      ...Object.fromEntries(later.map(({ stageId, attempt }) => [stageId, attempt])),
    };
    const again = stages.filter(
      ({ executionGroup, stageId, status }) =>
        executionGroup === group &&
        (stageId === from || (status !== "COMPLETED" && status !== "SKIPPED")),
    );
    const inputs = sourcesOf(before.inputData);
    const entries = again.flatMap(({ stageId, attempt: tried }) => {
      const planned = definition.plan.byId.get(stageId);
      if (planned === undefined) return [];
      const stage = { ...nextStage(planned), waits: null };
      const coming = { run, stage, group, from: inputs, tried };
      return [
        {
          stage: stageRow(coming, moment, {}),
          job: jobRow({ ...run, tried: carried }, stage, moment),
        },
      ];
    });
    // A stage of a paused run may end while this is written.
    const tokens = stages.toSorted(byText(({ stageId }) => stageId)).map(tokenOf);
    const guards: Guard[] = [
      { on: "list", list: "stages", workflowRunId: id, status: null, tokens: tokens.join(",") },
    ];
    const changes = checkedChanges("rerun", [
      { kind: "cancelJobs", workflowRunId: id, leased: true, at },
      { kind: "archiveStages", workflowRunId: id, stageId: from, group },
      {
        kind: "updateRun",
        id,
        set: { status: "RUNNING", completedAt: null, duration: null, output: null },
        at,
        bump: 1,
      },
      ...entries.map(({ stage }): Change => ({ kind: "createStage", row: stage })),
      event(run, at, "workflow:rerun", { from }),
      ...entries.map(({ job }): Change => ({ kind: "enqueueJob", row: job })),
    ]);
    return { changes, guards };
  });
}

/** The stages whose outputs a stage took, as its inputData names them. */
function sourcesOf(inputData: string | null): string[] {
  const value: unknown = inputData === null ? null : decodeJson(inputData);
  if (typeof value !== "object" || value === null || !("from" in value)) return [];
  return Array.isArray(value.from) ? value.from.filter((each) => typeof each === "string") : [];
}

async function outputOf<W extends Workflow>(
  unit: OwnUnit,
  id: string,
  { within = 0 }: { readonly within?: Parameters<typeof durationMs>[0] } = {},
): Promise<RunOutput<OutputOf<W>>> {
  const withinMs = durationMs(within, "within");
  const ended = await outputNow<W>(unit, id);
  if (withinMs === 0 || "value" in ended || "reason" in ended) return ended;
  await unit.whenOver(id, withinMs);
  return outputNow<W>(unit, id);
}

async function outputNow<W extends Workflow>(
  unit: OwnUnit,
  id: string,
): Promise<RunOutput<OutputOf<W>>> {
  const [row, [last]] = await unit.read([
    { q: "run", id },
    {
      q: "page",
      of: "outboxEvents",
      workflowRunId: id,
      after: null,
      descending: true,
      limit: 1,
    },
  ]);
  if (row === null) throw gone(id);
  switch (row.status) {
    case "COMPLETED":
    case "SKIPPED":
      // What the workflow gives was checked by its types, and stored as it was.
      return { status: "COMPLETED", value: decodeJson(row.output ?? "null") as OutputOf<W> };
    case "FAILED":
    case "CANCELLED": {
      const payload = last !== undefined && "eventType" in last ? decodeJson(last.payload) : null;
      return { status: row.status, reason: reasonIn(payload) ?? `The run is ${row.status}` };
    }
    case "PENDING":
    case "RUNNING":
    case "SUSPENDED":
      return { status: row.status };
  }
}

function reasonIn(payload: unknown): string | null {
  if (typeof payload !== "object" || payload === null) return null;
  if ("error" in payload && typeof payload.error === "string") return payload.error;
  return "reason" in payload && typeof payload.reason === "string" ? payload.reason : null;
}

async function stageOutput<W extends Workflow, K extends keyof OutputsOf<W> & string>(
  unit: OwnUnit,
  id: string,
  stageId: K,
): Promise<OutputsOf<W>[K] | undefined> {
  requireField(idField, stageId, "id");
  const [[given]] = await unit.read([
    { q: "stageOutputs", workflowRunId: id, stageIds: [stageId] },
  ]);
  const text = given?.outputData ?? null;
  return text === null ? undefined : (decodeJson(text) as OutputsOf<W>[K]);
}
