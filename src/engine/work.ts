/**
 * Works stages: runs the app's code for one delivery, and answers what came of it and what comes next.
 * Whatever the code does (throws, returns what JSON has not, never ends), the answer is an outcome with
 * a reason.
 */
import { isServiceError, ServiceError } from "../contract/index.ts";
import { unlessLate } from "../model/deadline.ts";
import { decodeJson, encodeJson } from "../model/json.ts";
import { validated } from "./checked.ts";
import type { NotReady, Suspended } from "./context.ts";
import { definitionFor, type Definition } from "./definition.ts";
import type {
  Before,
  DeliveredRun,
  GroupAnswer,
  Next,
  StageAnswer,
  StageDelivery,
  StageOutcome,
  StageRunner,
  StageTools,
} from "./delivery.ts";
import { inWords } from "./duration.ts";
import { isFatal, isRetryAfter, MARK, reasonOf } from "./failure.ts";
import { TIMEOUT_MS_MAX } from "./limits.ts";
import { isMet, nextAfter, reader, sleepMs, valueBefore } from "./next.ts";
import { Notes } from "./notes.ts";
import type { PlannedConditional, PlannedElement, PlannedStage } from "./plan.ts";
import { contextOf } from "./stage-context.ts";
import { callOf } from "./stage.ts";

/**
 * Works the stages of these workflows.
 * @param env what the stages are given as `env`.
 * @throws INVALID_ARGUMENT for two workflows of one id.
 */
export function stageRunner(workflows: readonly Definition[], env: unknown): StageRunner {
  const byId = new Map(workflows.map((workflow) => [workflow.id, workflow]));
  if (byId.size < workflows.length) {
    const message = "Two workflows have the same id: an earlier version is named in `previous`";
    throw new ServiceError("INVALID_ARGUMENT", message, { field: "workflows" });
  }
  /** @throws {@link Hopeless} */
  const definitionOf = ({ id, workflowId, version, shape }: DeliveredRun): Definition => {
    const current = byId.get(workflowId);
    if (current === undefined) throw new Hopeless(`This Worker has no workflow "${workflowId}"`);
    const definition = definitionFor(current, shape);
    if (definition !== null) return definition;
    throw new Hopeless(
      `Run ${id} was started with version ${version} of "${workflowId}", whose stages the deployed code does not have. Deploy them again, or name that version in \`previous\`, and run the run again`,
    );
  };
  return {
    async runStage(delivery, tools): Promise<StageAnswer> {
      const notes = new Notes();
      const pending: Promise<unknown>[] = [];
      const outcome = await outcomeOf(delivery, tools, { definitionOf, env, notes, pending });
      await Promise.allSettled(pending);
      return { ...outcome, notes: notes.taken() };
    },
    async afterGroup({ run, group, before }, tools): Promise<GroupAnswer> {
      try {
        const next = await nextAfter(definitionOf(run), group, before, tools);
        return { outcome: "next", next };
      } catch (error) {
        const reason = error instanceof Hopeless ? error.message : reasonOf(error);
        return { outcome: "failed", error: reason };
      }
    },
  };
}

/** A failure that no further try would mend. */
class Hopeless extends Error {
  override readonly name = "Hopeless";
}

interface Working {
  readonly definitionOf: (run: DeliveredRun) => Definition;
  readonly env: unknown;
  readonly notes: Notes;
  readonly pending: Promise<unknown>[];
}

async function outcomeOf(
  delivery: StageDelivery,
  tools: StageTools,
  working: Working,
): Promise<StageOutcome> {
  let element: PlannedElement | undefined;
  try {
    const definition = working.definitionOf(delivery.run);
    element = definition.plan.byId.get(delivery.stageId);
    if (element === undefined) {
      throw new Hopeless(`The workflow "${definition.id}" has no stage "${delivery.stageId}"`);
    }
    return await worked(element, { definition, delivery, tools, working });
  } catch (error) {
    return failedAs(error, delivery, element);
  }
}

interface Work {
  readonly definition: Definition;
  readonly delivery: StageDelivery;
  readonly tools: StageTools;
  readonly working: Working;
}

async function worked(element: PlannedElement, work: Work): Promise<StageOutcome> {
  const { delivery, definition, tools } = work;
  const { occasion, before } = delivery;
  switch (element.kind) {
    case "wait":
      if (occasion.kind !== "signal") {
        return { outcome: "waiting", for: "signal", ms: element.timeoutMs };
      }
      if (occasion.payload === null) return completed({ received: false }, element, work);
      return completed(
        {
          received: true,
          payload: await hopeful(
            validated(element.payload, decodeJson(occasion.payload), "payload"),
          ),
        },
        element,
        work,
      );
    case "sleep": {
      if (occasion.kind === "wake") return passed("COMPLETED", element, work);
      const input = valueBefore(before, definition);
      const ms = await sleepMs(element, { input, output: reader(tools) });
      return { outcome: "waiting", for: "time", ms };
    }
    case "conditional": {
      const input = valueBefore(before, definition);
      const undecided = occasion.kind === "run";
      if (undecided && !(await isMet(element.when, { input, output: reader(tools) }))) {
        return passed("SKIPPED", element, work);
      }
      return called(element, work);
    }
    case "stage":
      return called(element, work);
  }
}

/** Calls the stage's own function, for as long as one try may take. */
async function called(
  element: PlannedStage | PlannedConditional,
  work: Work,
): Promise<StageOutcome> {
  const { definition, delivery, tools, working } = work;
  const { run, poll, input, output, config } = element.step;
  const { occasion } = delivery;
  const given = valueBefore(delivery.before, definition);
  const controller = new AbortController();
  const context = contextOf({
    delivery,
    tools,
    notes: working.notes,
    controller,
    input: input === undefined ? given : await hopeful(validated(input, given, "input")),
    config:
      config === undefined
        ? undefined
        : await hopeful(validated(config, configOf(delivery), "config")),
    env: working.env,
    pending: working.pending,
  });
  const polls = occasion.kind === "poll";
  if (polls && poll === undefined) throw new Hopeless("The stage was suspended, and has no poll");
  const call = async () =>
    polls && poll !== undefined
      ? callOf(poll, context, decodeJson(occasion.state))
      : callOf(run, context);
  const ms = element.timeoutMs ?? TIMEOUT_MS_MAX;
  const value = await unlessLate(call(), ms, () => {
    const late = new Error(`Timed out after ${inWords(ms)}`);
    controller.abort(late);
    return late;
  });
  if (isSuspended(value)) {
    const { state, pollInMs, withinMs } = value;
    return { outcome: "suspended", state: encodeJson(state, "state"), pollInMs, withinMs };
  }
  if (isNotReady(value)) {
    if (!polls) throw new Hopeless("Only a poll answers that it is not ready");
    return { outcome: "suspended", state: null, pollInMs: value.pollInMs, withinMs: null };
  }
  const result = output === undefined ? value : await hopeful(validated(output, value, "output"));
  return completed(result, element, work);
}

/** The config that the run was started with, for this stage. */
function configOf({ run, stageId }: StageDelivery): unknown {
  const all: unknown = decodeJson(run.config);
  return typeof all === "object" && all !== null && Object.hasOwn(all, stageId)
    ? Reflect.get(all, stageId)
    : {};
}

/** What does not fit now will not fit in the next try. */
async function hopeful<T>(checking: Promise<T>): Promise<T> {
  try {
    return await checking;
  } catch (error) {
    if (isServiceError(error)) throw new Hopeless(error.message);
    throw error;
  }
}

async function completed(
  value: unknown,
  element: PlannedElement,
  work: Work,
): Promise<StageOutcome> {
  const output = await hopeful((async () => encodeJson(value, "output"))());
  const before = { group: element.group, outputs: { [element.id]: output } };
  return { outcome: "completed", output, next: await nextOf(element, before, work) };
}

async function passed(
  as: "SKIPPED" | "COMPLETED",
  element: PlannedElement,
  work: Work,
): Promise<StageOutcome> {
  return { outcome: "passed", as, next: await nextOf(element, work.delivery.before, work) };
}

async function nextOf(
  { id, group }: PlannedElement,
  before: Before,
  { definition, tools }: Work,
): Promise<Next> {
  const members = definition.plan.groups[group - 1] ?? [];
  if (members.length > 1) {
    const siblings = members.map((member) => member.id).filter((other) => other !== id);
    return { kind: "join", siblings };
  }
  return nextAfter(definition, group, before, tools);
}

function isSuspended(value: unknown): value is Suspended<unknown> {
  return isMarked(value, "suspended");
}

function isNotReady(value: unknown): value is NotReady {
  return isMarked(value, "not-ready");
}

function isMarked(value: unknown, mark: string): boolean {
  return typeof value === "object" && value !== null && Reflect.get(value, MARK) === mark;
}

function failedAs(
  error: unknown,
  { triesLeft }: StageDelivery,
  element: PlannedElement | undefined,
): StageOutcome {
  const ends = error instanceof Hopeless || isFatal(error) || triesLeft <= 0;
  const reason = error instanceof Hopeless ? error.message : reasonOf(error);
  const failed = { outcome: "failed", error: reason } as const;
  if (ends || element === undefined) return { ...failed, retryInMs: null };
  if (isRetryAfter(error)) return { ...failed, retryInMs: error.afterMs };
  if (element.kind === "wait" || element.kind === "sleep") return { ...failed, retryInMs: 0 };
  const { attempts, backoffMs, capMs } = element.retry;
  const doublings = Math.min(Math.max(attempts - triesLeft - 1, 0), DOUBLINGS_MAX);
  return { ...failed, retryInMs: Math.min(backoffMs * 2 ** doublings, capMs) };
}

/** Beyond it the cap decides anyway, and 2^n would leave the integers. */
const DOUBLINGS_MAX = 20;
