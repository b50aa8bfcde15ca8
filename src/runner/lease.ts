/** What a worker holds while it takes a run from stage to stage. Types, and the run's own facts. */
import type { Guard } from "../changes/index.ts";
import type { Status } from "../contract/index.ts";
import type { DeliveredRun } from "../engine/delivery.ts";
import { decodeJson, type NewRunRow, triedIn, type Tried } from "../model/index.ts";
import type { GivenDigests } from "./given.ts";

/** A run of a typed workflow, as far as its transitions need it. */
export interface EngineRun {
  readonly id: string;
  readonly workflowId: string;
  readonly priority: number;
  readonly createdAt: number;
  /** Whether its events wait in the outbox to be published. */
  readonly publishes: boolean;
  readonly tried: Tried;
  readonly delivered: DeliveredRun;
}

/** A job that this attempt has leased. */
export interface Lease {
  readonly run: EngineRun;
  readonly ordinal: string;
  readonly attempt: number;
  /** The concurrency key of which the job holds a slot. */
  readonly key: string | null;
}

/** This attempt has the lease, and nobody has taken the job on from the stage. */
export function leasedAt(stageId: string, { run, ordinal, attempt }: Omit<Lease, "key">): Guard {
  return { on: "job", workflowRunId: run.id, ordinal, expect: { is: "leased", attempt, stageId } };
}

/** The run has this status, and this attempt has the lease at the stage: guards 0 and 1. */
export function whileIn(status: Status, stageId: string, lease: Lease): Guard[] {
  const run: Guard = { on: "run", id: lease.run.id, expect: { is: "status", status } };
  return [run, leasedAt(stageId, lease)];
}

/** What a run's metadata keeps of its definition. */
export interface RunMetadata {
  readonly version: number;
  readonly shape: string;
  readonly publishes: boolean;
}

/** What it keeps of the start, if that had a key. */
interface StartMetadata extends RunMetadata {
  readonly given?: GivenDigests;
}

/** The run; null if no typed workflow started it. `job`: the payload of one of its jobs. */
export function engineRunOf(row: NewRunRow, job?: string): EngineRun | null {
  const metadata = metadataOf(row.metadata);
  if (metadata === null) return null;
  const { id, workflowId, priority, createdAt, config } = row;
  const { version, shape, publishes } = metadata;
  const delivered = { id, workflowId, version, shape, config };
  const tried = job === undefined ? {} : triedIn(job);
  return { id, workflowId, priority, createdAt, publishes, tried, delivered };
}

/** The metadata of a run that a typed workflow starts: what tells its code and its events apart. */
export function runMetadata(metadata: StartMetadata): string {
  return JSON.stringify({ engine: metadata });
}

function metadataOf(text: string | null): RunMetadata | null {
  const engine = engineIn(text);
  if (engine === null || !("version" in engine) || !("shape" in engine)) return null;
  const { version, shape } = engine;
  if (typeof version !== "number" || typeof shape !== "string") return null;
  return { version, shape, publishes: "publishes" in engine && engine.publishes === true };
}

function engineIn(text: string | null): object | null {
  const value: unknown = text === null ? null : decodeJson(text);
  if (typeof value !== "object" || value === null || !("engine" in value)) return null;
  const { engine } = value;
  return typeof engine === "object" ? engine : null;
}

/** The digests of what the run was started with. */
export function givenIn({ metadata }: Pick<NewRunRow, "metadata">): GivenDigests {
  const engine = engineIn(metadata);
  const given = engine === null || !("given" in engine) ? null : engine.given;
  if (typeof given !== "object" || given === null) return {};
  return {
    ...("input" in given && typeof given.input === "string" ? { input: given.input } : {}),
    ...("config" in given && typeof given.config === "string" ? { config: given.config } : {}),
  };
}
