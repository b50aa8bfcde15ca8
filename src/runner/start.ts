/** Starts a run: one commit that has the run, its first stages and their jobs. */
import type { Change, Guard } from "../changes/index.ts";
import { ServiceError } from "../contract/index.ts";
import { checkedConfig, checkedInput } from "../engine/checked.ts";
import { type Definition, requireBuilt } from "../engine/definition.ts";
import type { First, NextStage } from "../engine/delivery.ts";
import { firstOf } from "../engine/next.ts";
import type { StartOptions } from "../engine/runs.ts";
import type { InputOf, Workflow } from "../engine/workflow.ts";
import { keyField, wholeField } from "../model/fields.ts";
import {
  encodeJson,
  type NewJobRow,
  type NewRunRow,
  type NewStageRow,
  PRIORITY_DEFAULT,
} from "../model/index.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";
import { checkedAct, gone, requireField } from "./act.ts";
import type { StageCall } from "./delivery.ts";
import type { Finished } from "./drive.ts";
import { inOrder, passedOver } from "./enter.ts";
import { digestsOf, shortDigest } from "./given.ts";
import { engineRunOf, givenIn, runMetadata } from "./lease.ts";
import { event, jobRow, type Moment, stageRow } from "./rows.ts";

/** What begins the first stages of a run at once. */
export interface StartingWorker {
  /** Whether it works this stage too. It then counts the stage. */
  takes(stage: Pick<NextStage, "timeoutMs">): boolean;
  /**
   * Takes the run on from the stage, which this Worker has leased, as far as it works stages. Resolves
   * with what the run gave, if that was to its end.
   */
  drive(workflow: Workflow, unit: OwnUnit, from: StageCall): Promise<Finished | null>;
  readonly waitUntil: (promise: Promise<unknown>) => void;
  /** Milliseconds after which a lease expires that is not renewed, where it is known. */
  readonly leaseMs?: number;
}

/** Where it is known how long leases are, that of a job that is worked at once ends this long after. */
const AT_ONCE_LEASE_MS = 60_000;

interface Starting {
  readonly unit: OwnUnit;
  readonly worker: StartingWorker | undefined;
}

/** A run that is there. `worked`: this invocation works its first stages, until then. */
export interface Started {
  readonly id: string;
  readonly worked?: Promise<Finished | null>;
}

export async function start<W extends Workflow>(
  { unit, worker }: Starting,
  workflow: W,
  input: InputOf<W>,
  { key, priority = PRIORITY_DEFAULT, config }: StartOptions<W> = {},
): Promise<Started> {
  requireBuilt(workflow);
  if (key !== undefined) requireField(keyField, key, "key");
  requireField(wholeField, priority, "priority");
  const given = key === undefined ? null : await digestsOf(input, config);
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
      ...(given === null ? {} : { given }),
    }),
  };
  const first = await firstOf(workflow, checked);
  const leased = worker === undefined ? null : leasedFirst(row, first, moment, worker);
  const changes = checkedAct("start", opening(workflow, row, first, moment, leased));
  const guards: Guard[] = [{ on: "run", id, expect: { is: "absent" } }];
  const written = await unit.write({ guards, changes });
  if (!written.applied) await requireSame(unit, row, key ?? id);
  if (!written.applied || leased === null || worker === undefined) return { id };
  const working = worker.drive(workflow, unit, leased.call);
  // A fault leaves the lease to expire, and the job is delivered again.
  const worked = working.catch((error: unknown) => {
    console.error("wfe-first-stages-not-worked", id, error);
    return null;
  });
  worker.waitUntil(worked);
  return { id, worked };
}

/** The first stage, where the worker that starts the run goes on with it at once. */
interface LeasedFirst {
  readonly job: NewJobRow;
  readonly stage: NewStageRow;
  readonly call: StageCall;
}

function leasedFirst(
  row: NewRunRow,
  first: First,
  moment: Moment,
  worker: StartingWorker,
): LeasedFirst | null {
  if (first.kind === "finish") return null;
  const [stage, ...others] = first.stages;
  if (stage === undefined || others.length > 0) return null;
  const { concurrency, waits, attempts } = stage;
  // A concurrency key is counted where jobs are claimed.
  if (concurrency !== null || waits !== null || !worker.takes(stage)) return null;
  const { at } = moment;
  const run = engineRunOf(row);
  if (run === null) return null;
  const stageOfRun = stageRow({ run, stage, group: first.group, from: [], tried: 1 }, moment, {
    status: "RUNNING",
    startedAt: at,
  });
  const job: NewJobRow = {
    ...jobRow(run, stage, moment),
    status: "RUNNING",
    attempt: 1,
    startedAt: at,
    lockedAt: at - Math.max((worker.leaseMs ?? 0) - AT_ONCE_LEASE_MS, 0),
  };
  return {
    job,
    stage: stageOfRun,
    call: {
      lease: { run, ordinal: job.ordinal, attempt: 1, key: null },
      stage: {
        stageId: stage.id,
        recordId: stageOfRun.id,
        group: first.group,
        attempt: 1,
        startedAt: at,
        maxWaitUntil: null,
        pollInterval: null,
        hasFailed: false,
        from: [],
        signalId: null,
        triesLeft: attempts - 1,
      },
      occasion: { kind: stage.decides ? "decide" : "run" },
      before: { group: 0, outputs: { "": row.input } },
    },
  };
}

/** The run, its first stages and their jobs. */
function opening(
  workflow: Definition,
  row: NewRunRow,
  first: First,
  moment: Moment,
  leased: LeasedFirst | null,
): Change[] {
  const { at } = moment;
  const { id, workflowId, priority } = row;
  const run = { id, workflowId, priority, publishes: workflow.publishes, tried: {} };
  const started = event(run, at, "workflow:started", { version: workflow.version });
  const coming = { run, from: [], tried: 0 };
  const skipped = first.skipped.flatMap((stage) =>
    passedOver({ ...coming, stage, group: stage.group }, moment),
  );
  if (first.kind === "finish") {
    const over = {
      status: "COMPLETED",
      output: first.output,
      completedAt: at,
      duration: 0,
    } as const;
    return inOrder([
      { kind: "createRun", row: { ...row, ...over } },
      started,
      ...skipped,
      event(run, at, "workflow:completed", {}),
    ]);
  }
  const { stages } = first;
  return inOrder([
    { kind: "createRun", row },
    started,
    ...skipped,
    ...stages.map((stage): Change => ({
      kind: "createStage",
      row: leased?.stage ?? stageRow({ ...coming, stage, group: first.group }, moment, {}),
    })),
    ...(leased === null
      ? []
      : [event(run, at, "stage:started", { stageId: leased.stage.stageId, attempt: 1 })]),
    ...stages.map((stage): Change => ({
      kind: "enqueueJob",
      row: leased?.job ?? jobRow(run, stage, moment),
    })),
  ]);
}

/**
 * A run's id from its key: a digest of the workflow's id and the key. So a start with the same key finds
 * its run by the primary key, and no row is written for that.
 */
async function idOfKey(workflowId: string, key: string): Promise<string> {
  return shortDigest(JSON.stringify([workflowId, key]));
}

/**
 * The same was given, or the schemas make the same of it. What they make of one input may differ: they
 * fill in what is new each time, and change with a deploy.
 * @throws ALREADY_EXISTS where the key's run was started with something else.
 */
async function requireSame(unit: OwnUnit, row: NewRunRow, key: string): Promise<void> {
  const [found] = await unit.read([{ q: "run", id: row.id }]);
  if (found === null) throw gone(row.id);
  const [before, now] = [givenIn(found), givenIn(row)];
  const differs = (["workflowId", "input", "config"] as const).find((name) => {
    if (found[name] === row[name]) return false;
    return name === "workflowId" || before[name] === undefined || before[name] !== now[name];
  });
  if (differs === undefined) return;
  const message = `The key ${JSON.stringify(key)} has a run already, and it was started with another ${differs}`;
  throw new ServiceError("ALREADY_EXISTS", message, { field: differs, key, id: row.id });
}
