/**
 * What a workflow does, in order: groups that follow one another, each of one element or of several
 * that run side by side. Data, but for the functions and schemas that its author gave. Pure.
 */
import { ServiceError } from "../contract/index.ts";
import { idField, keyField, nameField } from "../model/fields.ts";
import {
  JOB_ATTEMPTS_MAX,
  JOB_MAX_ATTEMPTS_DEFAULT,
  RETRY_CAP_MS,
  RETRY_MS_MAX,
} from "../model/limits.ts";
import { type Shape, whole } from "../model/shape.ts";
import { durationMs, shown } from "./duration.ts";
import { BACKOFF_MS_DEFAULT, GROUP_MAX, STAGES_MAX, TIMEOUT_MS_MAX } from "./limits.ts";
import type { RetryPolicy } from "./retry.ts";
import type { StageDefinition, StageFunction, StageOptions } from "./stage.ts";
import type { StandardSchema } from "./standard-schema.ts";

/** Where an element is in its plan. */
interface Placed {
  readonly id: string;
  /** For people. */
  readonly name: string;
  /** 1, 2, 3, ...: the groups follow one another. */
  readonly group: number;
  /** 1, 2, 3, ... through the whole plan. */
  readonly number: number;
}

/** What an element has that runs a stage. */
interface Working extends Placed {
  readonly step: StageDefinition;
  readonly retry: RetryPolicy;
  /** Of one try, or one poll. Null: as long as the Worker may. */
  readonly timeoutMs: number | null;
  readonly concurrency: { readonly key: string; readonly limit: number } | null;
}

export interface PlannedStage extends Working {
  readonly kind: "stage";
}
/** A stage that is skipped unless `when` says otherwise. */
export interface PlannedConditional extends Working {
  readonly kind: "conditional";
  readonly when: StageFunction;
}
/** Waits for the signal of its id. */
export interface PlannedWait extends Placed {
  readonly kind: "wait";
  readonly payload: StandardSchema;
  /** How long it waits at most. */
  readonly timeoutMs: number;
}
export interface PlannedSleep extends Placed {
  readonly kind: "sleep";
  /** A function decides when the run gets there. */
  readonly duration: { readonly ms: number } | { readonly decide: StageFunction };
}

/**
 * One element of a plan, by its `kind`. Others may be added: a switch over the kinds is to be
 * exhaustive.
 */
export type PlannedElement = PlannedStage | PlannedConditional | PlannedWait | PlannedSleep;

export interface Plan {
  /** In order. None is empty. */
  readonly groups: readonly (readonly PlannedElement[])[];
  readonly byId: ReadonlyMap<string, PlannedElement>;
}

export const EMPTY_PLAN: Plan = { groups: [], byId: new Map() };

/** Omit, for each member of a union. */
type Unplaced<T> = T extends Placed ? Omit<T, "group" | "number"> : never;
export type NewElement = Unplaced<PlannedElement>;

/**
 * The plan with another group at its end. The given one stays as it was.
 * @throws INVALID_ARGUMENT for a group that is empty or too large, too many elements, or an id that
 * is malformed, reserved or taken.
 */
export function withGroup(plan: Plan, elements: readonly NewElement[]): Plan {
  requireSize(elements.length, GROUP_MAX, "A parallel group");
  requireSize(plan.byId.size + elements.length, STAGES_MAX, "A workflow");
  const group = plan.groups.length + 1;
  const byId = new Map(plan.byId);
  const placed = elements.map((element): PlannedElement => {
    requireFresh(element.id, byId);
    const here = { ...element, group, number: byId.size + 1 };
    byId.set(element.id, here);
    return here;
  });
  return { groups: [...plan.groups, placed], byId };
}

/** @throws INVALID_ARGUMENT for a plan without elements. */
export function requireStages(plan: Plan): void {
  requireSize(plan.byId.size, STAGES_MAX, "A workflow");
}

function requireSize(size: number, limit: number, what: string): void {
  if (size === 0) throw invalid(`${what} must have a stage`, { field: "stages", size });
  if (size <= limit) return;
  const message = `${what} must have at most ${limit} stages, got ${size}`;
  throw invalid(message, { field: "stages", size, limit });
}

/**
 * Ids are names of members in what a group gives, where "__proto__" would vanish. Those that begin
 * with "~" are left to the engine.
 */
const RESERVED = /^(?:__proto__$|~)/;

function requireFresh(id: string, taken: ReadonlyMap<string, unknown>): void {
  requireShape(idField, id, "The id of a stage", "id");
  if (RESERVED.test(id)) {
    throw invalid(`No stage can have the id ${shown(id)}`, { field: "id" });
  }
  if (taken.has(id)) {
    throw invalid(`There is a stage ${shown(id)} already`, { field: "id" });
  }
}

/** @throws INVALID_ARGUMENT with `field`, and the limit that was exceeded. */
export function requireShape(
  shape: Shape<unknown>,
  value: unknown,
  what: string,
  field: string,
): void {
  const problem = shape.check(value);
  if (problem === null) return;
  const { message, limit, size } = problem;
  throw invalid(`${what} ${message}; got ${shown(value)}`, {
    field,
    ...(limit === undefined ? {} : { limit }),
    ...(size === undefined ? {} : { size }),
  });
}

function invalid(message: string, details: Readonly<Record<string, string | number>>) {
  return new ServiceError("INVALID_ARGUMENT", message, details);
}

const attempts = whole({ min: 1, max: JOB_ATTEMPTS_MAX });
const limit = whole({ min: 1 });

/**
 * What a stage's options come to.
 * @throws INVALID_ARGUMENT with `field`, the limit that was exceeded, and `stage`.
 */
export function workingOf(id: string, step: StageDefinition, options: StageOptions) {
  const { name, retry = {}, timeout, concurrency } = { ...step, ...options };
  return ofStage(id, () => {
    // The id is checked by itself, and is fit to be a name.
    if (name !== undefined) requireShape(nameField, name, "name", "name");
    if (concurrency !== undefined) {
      requireShape(keyField, concurrency.key, "concurrency.key", "concurrency.key");
      requireShape(limit, concurrency.limit, "concurrency.limit", "concurrency.limit");
    }
    return {
      id,
      name: name ?? id,
      step,
      retry: retryPolicyOf(retry),
      timeoutMs:
        timeout === undefined
          ? null
          : durationMs(timeout, "timeout", { min: 1, max: TIMEOUT_MS_MAX }),
      concurrency: concurrency ?? null,
    };
  });
}

function retryPolicyOf(retry: NonNullable<StageOptions["retry"]>): RetryPolicy {
  const tries = retry.attempts ?? JOB_MAX_ATTEMPTS_DEFAULT;
  requireShape(attempts, tries, "retry.attempts", "retry.attempts");
  const range = { min: 0, max: RETRY_MS_MAX };
  const backoffMs = durationMs(retry.backoff ?? BACKOFF_MS_DEFAULT, "retry.backoff", range);
  const capMs =
    retry.cap === undefined
      ? Math.max(RETRY_CAP_MS, backoffMs)
      : durationMs(retry.cap, "retry.cap", { ...range, min: backoffMs });
  return { attempts: tries, backoffMs, capMs };
}

/** Lets an error of `check` say which stage it is about. */
export function ofStage<T>(id: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    const message = `Stage ${shown(id)}: ${error.message}`;
    throw new ServiceError(error.code, message, { ...error.details, stage: id }, error);
  }
}
