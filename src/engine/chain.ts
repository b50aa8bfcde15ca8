/** Puts a plan together, call by call. The types that callers see are in `workflow.ts`. */
import { ServiceError } from "../contract/index.ts";
import { idField, nameField } from "../model/fields.ts";
import { flag, whole } from "../model/shape.ts";
import { type Definition, previousOf } from "./definition.ts";
import { durationMs, shown } from "./duration.ts";
import { DURATION_MS_MAX } from "./limits.ts";
import {
  EMPTY_PLAN,
  type NewElement,
  ofStage,
  type Plan,
  requireShape,
  requireStages,
  withGroup,
  workingOf,
} from "./plan.ts";
import { shapeOf } from "./shape.ts";
import {
  requireFunction,
  requireSchema,
  type Stage,
  type StageDefinition,
  type StageFunction,
  type StageOptions,
} from "./stage.ts";
import type { StandardSchema } from "./standard-schema.ts";

/** What is used as a stage: one that was made by `stage`, or a plain function. */
type Step = Stage | StageFunction;

export interface ChainOptions {
  readonly input: StandardSchema;
  readonly version?: number;
  readonly name?: string;
  readonly publish?: boolean;
  readonly previous?: readonly Definition[];
}

const versionField = whole({ min: 1 });

/** Each call answers a new chain; the one that it is called on stays as it was. */
export class Chain {
  readonly #head: Omit<Definition, "plan" | "shape">;
  readonly #plan: Plan;

  private constructor(head: Omit<Definition, "plan" | "shape">, plan: Plan) {
    this.#head = head;
    this.#plan = plan;
  }

  /** @throws INVALID_ARGUMENT with `field`. */
  static of(id: string, options: ChainOptions): Chain {
    const { input, name = id, version = 1, publish = false, previous = [] } = options;
    requireShape(idField, id, "The id of a workflow", "id");
    requireShape(nameField, name, "name", "name");
    requireShape(versionField, version, "version", "version");
    requireSchema(input, "input");
    requireShape(flag, publish, "publish", "publish");
    const head = {
      id,
      name,
      version,
      input,
      publishes: publish,
      previous: previousOf(id, version, previous),
    };
    return new Chain(head, EMPTY_PLAN);
  }

  stage(id: string, step: Step, options: StageOptions = {}): Chain {
    return this.#then([{ kind: "stage", ...working(id, step, options) }]);
  }

  stageIf(id: string, when: StageFunction, step: Step, options: StageOptions = {}): Chain {
    ofStage(id, () => requireFunction(when, "when"));
    return this.#then([{ kind: "conditional", ...working(id, step, options), when }]);
  }

  parallel(group: Readonly<Record<string, Step>>): Chain {
    const members = Object.entries(group);
    return this.#then(members.map(([id, step]) => ({ kind: "stage", ...working(id, step, {}) })));
  }

  waitFor(id: string, options: { payload: StandardSchema; within: unknown }): Chain {
    return this.#then([
      ofStage(id, () => {
        requireSchema(options.payload, "payload");
        const range = { min: 1, max: DURATION_MS_MAX };
        const timeoutMs = durationMs(options.within, "within", range);
        return { kind: "wait", id, name: id, payload: options.payload, timeoutMs };
      }),
    ]);
  }

  sleep(id: string, how: unknown): Chain {
    const duration = isFunction(how)
      ? { decide: how }
      : { ms: ofStage(id, () => durationMs(how, "sleep")) };
    return this.#then([{ kind: "sleep", id, name: id, duration }]);
  }

  build() {
    requireStages(this.#plan);
    return {
      ...this.#head,
      plan: this.#plan,
      shape: shapeOf(this.#plan),
      "~types": undefined,
    };
  }

  #then(elements: readonly NewElement[]): Chain {
    return new Chain(this.#head, withGroup(this.#plan, elements));
  }
}

function isFunction(value: unknown): value is StageFunction {
  return typeof value === "function";
}

function working(id: string, step: Step, options: StageOptions) {
  return workingOf(id, definitionOf(id, step), options);
}

function definitionOf(id: string, step: Step): StageDefinition {
  if (isFunction(step)) return { run: step };
  // The compiler sees to it, but not every project has one.
  if (typeof step === "object" && step !== null && "definition" in step) return step.definition;
  const message = `Stage ${shown(id)}: step must be a function, or be made by stage()`;
  throw new ServiceError("INVALID_ARGUMENT", message, { field: "step", stage: id });
}
