/** Works stages: the app's side of what the service delivers. Pure. */
import { ServiceError } from "../contract/index.ts";
import { unlessLate } from "../model/deadline.ts";
import { decodeJson } from "../model/json.ts";
import { validated } from "./checked.ts";
import { type Definition, definitionFor, requireBuilt } from "./definition.ts";
import type {
  DeliveredRun,
  GroupAnswer,
  GroupDelivery,
  JsonText,
  Next,
  StageAnswer,
  StageDelivery,
  StageOutcome,
  StageRunner,
  StageTools,
} from "./delivery.ts";
import { durationMs, inWords, shown } from "./duration.ts";
import { Fatal, marked } from "./failure.ts";
import { DECISION_MS_MAX, TIMEOUT_MS_MAX } from "./limits.ts";
import { isMet, nextOf, nextStage, sleepMs } from "./next.ts";
import { Notes } from "./notes.ts";
import { handedOn, OutputReader } from "./outputs.ts";
import type { PlannedElement, PlannedWait } from "./plan.ts";
import { PLAIN_RETRY, retryMs } from "./retry.ts";
import { contextOf, type TryOf } from "./run-context.ts";
import { storedText } from "./stored.ts";
import { reasonOf } from "./thrown.ts";

export interface RunnerOptions {
  /** What stages get as their `env`. */
  readonly env: unknown;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** How long what decides about the next stage may take before it gets a delivery of its own. */
  readonly decisionMs?: number;
  /** Is told of each try of a stage that fails. Default: nobody is. */
  readonly onFailure?: (failure: FailedTry) => void;
}

/** A try of a stage that failed. */
export interface FailedTry {
  readonly delivery: StageDelivery;
  /** As it is stored. */
  readonly error: string;
  /** When it is tried again; null: not. */
  readonly retryInMs: number | null;
  readonly thrown: unknown;
}

type Working = Extract<PlannedElement, { step: unknown }>;

/** What a stage came to, before it is known what comes next. */
type Result =
  | Exclude<StageOutcome, { outcome: "completed" | "passed" | "failed" }>
  | { readonly outcome: "completed"; readonly output: JsonText }
  | { readonly outcome: "passed"; readonly as: "SKIPPED" | "COMPLETED" };

/**
 * Works the stages of these workflows.
 * @throws INVALID_ARGUMENT for two of one id.
 */
export function stageRunner(
  definitions: readonly Definition[],
  { env, now, decisionMs = DECISION_MS_MAX, onFailure = () => {} }: RunnerOptions,
): StageRunner {
  const byId = new Map<string, Definition>();
  for (const each of definitions) {
    requireBuilt(each);
    if (byId.has(each.id)) {
      const message = `There are two workflows with the id ${shown(each.id)}`;
      throw new ServiceError("INVALID_ARGUMENT", message, { field: "workflows" });
    }
    byId.set(each.id, each);
  }
  return {
    async runStage(delivery, tools) {
      const notes = new Notes();
      const how = { env, now, decisionMs, onFailure, notes };
      const outcome = await tried(byId, delivery, tools, how);
      return { ...outcome, notes: notes.taken() } satisfies StageAnswer;
    },
    async afterGroup(delivery, tools) {
      return comingAfter(byId, delivery, tools, decisionMs);
    },
  };
}

/** @throws Fatal, with the reason, when no deployed code knows the run. */
function knownDefinition(byId: ReadonlyMap<string, Definition>, run: DeliveredRun): Definition {
  const current = byId.get(run.workflowId);
  if (current === undefined) {
    throw new Fatal(
      `The deployed code has no workflow ${shown(run.workflowId)}: add it to engine({ workflows }), or to the workflows of the StageWorker`,
    );
  }
  const fitting = definitionFor(current, run.shape);
  if (fitting !== null) return fitting;
  throw new Fatal(
    `The deployed code of the workflow ${shown(run.workflowId)} has no definition of the shape ${shown(run.shape)}, with which the run was started as version ${run.version}: where ids, kinds or order of stages change, raise version, and name the earlier definition in previous`,
  );
}

function knownElement({ id, plan }: Definition, stageId: string): PlannedElement {
  const element = plan.byId.get(stageId);
  if (element !== undefined) return element;
  throw new Fatal(`The workflow ${shown(id)} has no stage ${shown(stageId)}`);
}

async function tried(
  byId: ReadonlyMap<string, Definition>,
  delivery: StageDelivery,
  tools: StageTools,
  { env, now, decisionMs, onFailure, notes }: Required<RunnerOptions> & { readonly notes: Notes },
): Promise<StageOutcome> {
  let policy = PLAIN_RETRY;
  try {
    const definition = knownDefinition(byId, delivery.run);
    const element = knownElement(definition, delivery.stageId);
    if ("retry" in element) policy = element.retry;
    const input = handedOn(definition, delivery.before);
    const outputs = new OutputReader(definition, delivery.before, async (id) => tools.output(id));
    const over = new AbortController();
    const limitMs = ("step" in element ? element.timeoutMs : null) ?? TIMEOUT_MS_MAX;
    const tryOf = { delivery, tools, notes, env, now, over, made: null };
    const result = await unlessLate(resultOf(element, input, outputs, tryOf), limitMs, () => {
      const late = new Error(`timed out after ${inWords(limitMs)}`);
      over.abort(late);
      return late;
    });
    if (result.outcome !== "completed" && result.outcome !== "passed") return result;
    const given = result.outcome === "completed" ? result.output : null;
    const next = await nextAfter(definition, element, given ?? input, {
      outputs,
      given,
      decisionMs,
    });
    return { ...result, next };
  } catch (error) {
    const reason = reasonOf(error);
    const retryInMs = retryMs(error, policy, delivery.triesLeft);
    onFailure({ delivery, error: reason, retryInMs, thrown: error });
    return { outcome: "failed", error: reason, retryInMs };
  }
}

async function nextAfter(
  definition: Definition,
  element: PlannedElement,
  input: JsonText,
  how: {
    readonly outputs: OutputReader;
    readonly given: JsonText | null;
    readonly decisionMs: number;
  },
): Promise<Next> {
  const { outputs, given, decisionMs } = how;
  const members = definition.plan.groups[element.group - 1] ?? [];
  if (members.length > 1) {
    const others = members.filter(({ id }) => id !== element.id);
    return { kind: "join", siblings: others.map(({ id }) => id) };
  }
  outputs.know(element.id, given);
  return notAgain(() => nextOf(definition, element.group, { input, outputs }, decisionMs));
}

async function comingAfter(
  byId: ReadonlyMap<string, Definition>,
  { run, group, before }: GroupDelivery,
  tools: Pick<StageTools, "output">,
  decisionMs: number,
): Promise<GroupAnswer> {
  try {
    const definition = knownDefinition(byId, run);
    const input = handedOn(definition, before);
    const outputs = new OutputReader(definition, before, async (id) => tools.output(id));
    return {
      outcome: "next",
      next: await nextOf(definition, group, { input, outputs }, decisionMs),
    };
  } catch (error) {
    return { outcome: "failed", error: reasonOf(error) };
  }
}

/** Another try would end in the same. */
async function notAgain<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new Fatal(reasonOf(error), { cause: error });
  }
}

async function resultOf(
  element: PlannedElement,
  input: JsonText,
  outputs: OutputReader,
  tryOf: TryOf,
): Promise<Result> {
  const { occasion } = tryOf.delivery;
  switch (element.kind) {
    case "stage":
    case "conditional":
      if (element.kind === "conditional" && occasion.kind === "decide") {
        return (await isMet(element, { input, outputs }))
          ? { outcome: "met", stage: nextStage(element) }
          : { outcome: "passed", as: "SKIPPED" };
      }
      if (occasion.kind !== "run" && occasion.kind !== "poll") break;
      return worked(element, input, outputs, tryOf);
    case "wait":
      if (occasion.kind === "run") {
        return { outcome: "waiting", for: "signal", ms: element.timeoutMs };
      }
      if (occasion.kind !== "signal") break;
      return { outcome: "completed", output: await waited(element, occasion.payload) };
    case "sleep":
      if (occasion.kind === "run") {
        return { outcome: "waiting", for: "time", ms: await sleepMs(element, { input, outputs }) };
      }
      if (occasion.kind !== "wake") break;
      return { outcome: "passed", as: "COMPLETED" };
  }
  throw new Fatal(
    `Stage ${shown(element.id)} is a ${element.kind}, and was delivered for a ${occasion.kind}`,
  );
}

/** Nobody may have sent a payload; one that was sent may be older than the schema. */
async function waited(element: PlannedWait, payload: JsonText | null): Promise<JsonText> {
  if (payload === null) return storedText({ received: false }, "output");
  return notAgain(async () =>
    storedText(
      {
        received: true,
        payload: await validated(element.payload, decodeJson(payload), "payload"),
      },
      "output",
    ),
  );
}

async function worked(
  element: Working,
  input: JsonText,
  outputs: OutputReader,
  tryOf: TryOf,
): Promise<Result> {
  const { step } = element;
  const { occasion, run } = tryOf.delivery;
  const value = decodeJson(input);
  const { input: schema } = step;
  const context = contextOf(tryOf, {
    input: schema === undefined ? value : await notAgain(() => validated(schema, value, "input")),
    config: await notAgain(() => configOf(element, run.config)),
    output: outputs.readerFor(element),
  });
  if (occasion.kind !== "poll") {
    const returned: unknown = await Reflect.apply(step.run, step, [context]);
    return marked(returned, "suspended")
      ? suspended(element, returned)
      : completed(element, returned, tryOf);
  }
  if (step.poll === undefined) throw new Fatal(`Stage ${shown(element.id)} has no poll`);
  const returned: unknown = await Reflect.apply(step.poll, step, [
    context,
    decodeJson(occasion.state),
  ]);
  if (!marked(returned, "not-ready")) return completed(element, returned, tryOf);
  const pollInMs = "pollInMs" in returned ? returned.pollInMs : null;
  return {
    outcome: "suspended",
    state: null,
    pollInMs: pollInMs === null ? null : durationMs(pollInMs, "pollIn"),
    withinMs: null,
  };
}

/** As it was checked at the start. A stage that takes a config since then has its defaults. */
async function configOf({ id, step }: Working, config: JsonText): Promise<unknown> {
  if (step.config === undefined) return undefined;
  const all: unknown = decodeJson(config);
  if (typeof all === "object" && all !== null && Object.hasOwn(all, id))
    return Reflect.get(all, id);
  return validated(step.config, {}, "config");
}

function suspended({ id, step }: Working, returned: object): Result {
  if (step.poll === undefined) {
    throw new Fatal(`Stage ${shown(id)} suspended itself, and has no poll`);
  }
  return {
    outcome: "suspended",
    state: storedText(Reflect.get(returned, "state"), "state"),
    pollInMs: durationMs(Reflect.get(returned, "pollInMs"), "pollIn"),
    withinMs: durationMs(Reflect.get(returned, "withinMs"), "within"),
  };
}

async function completed(
  { id, step }: Working,
  returned: unknown,
  { made }: Pick<TryOf, "made">,
): Promise<Result> {
  if (marked(returned, "suspended") || marked(returned, "not-ready")) {
    throw new Fatal(`Stage ${shown(id)} gave an answer that is not one of a run, or of a poll`);
  }
  if (made !== null) {
    throw new Fatal(
      `Stage ${shown(id)} called ${made}(...), and did not return what it made: return ${made}(...)`,
    );
  }
  // Another try may give what the schema takes; what JSON has not, or no row holds, it gives again.
  const output =
    step.output === undefined ? returned : await validated(step.output, returned, "output");
  return { outcome: "completed", output: await notAgain(() => storedText(output, "output")) };
}
