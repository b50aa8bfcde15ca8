/** What a stage's function gets, made for one try. Pure. */
import { artifactKeyField, keyField } from "../model/fields.ts";
import { decodeJson } from "../model/json.ts";
import { number } from "../model/shape.ts";
import type { JsonText, StageDelivery, StageTools } from "./delivery.ts";
import { type Duration, durationMs } from "./duration.ts";
import { MARK } from "./failure.ts";
import { DURATION_MS_MAX, PROGRESS_MS } from "./limits.ts";
import type { Notes } from "./notes.ts";
import { requireShape } from "./plan.ts";
import { fnv1a64 } from "./shape.ts";
import { storedText } from "./stored.ts";
import { reasonOf } from "./thrown.ts";

export interface TryOf {
  readonly delivery: StageDelivery;
  readonly tools: StageTools;
  readonly notes: Notes;
  readonly env: unknown;
  readonly now: () => number;
  /** Aborted by the runner when the time is up. */
  readonly over: AbortController;
  /** The function that has made an answer that means "later", which the stage is to return; null: none. */
  made: "suspend" | "notReady" | null;
}

/** What the workflow gives to the try: values of any type, as the workflow's types say. */
export interface Given {
  readonly input: unknown;
  readonly config: unknown;
  readonly output: (id: string) => Promise<unknown>;
}

/** With no pause at all, no time would pass in which what is waited for could come. */
const POLL_IN = { min: 1, max: DURATION_MS_MAX };

/** The context of a run and of a poll alike: the types tell a stage which members are its own. */
export function contextOf(tried: TryOf, given: Given): object {
  const { delivery, tools, notes, env, over } = tried;
  const { id, workflowId, version } = delivery.run;
  let asked = false;
  return {
    ...given,
    env,
    run: { id, workflowId, version },
    attempt: delivery.attempt,
    /** The service is asked only for a stage that looks. */
    get signal(): AbortSignal {
      if (!asked) {
        asked = true;
        abortWhenTold(tools, over, notes);
      }
      return over.signal;
    },
    get idempotencyKey(): string {
      return idempotencyKeyOf(delivery.recordId);
    },
    log: notes.log.bind(notes),
    annotate: notes.annotate.bind(notes),
    progress: progressOf(tried),
    once: onceOf(tools),
    artifacts: {
      save: notes.saveArtifact.bind(notes),
      async load(key: string): Promise<unknown> {
        requireShape(artifactKeyField, key, "key", "key");
        const text = notes.artifact(key) ?? (await tools.artifact(key));
        return text === null ? null : decodeJson(text);
      },
    },
    ai: { record: notes.recordCall.bind(notes) },
    suspend: (state: unknown, { pollIn, within }: { pollIn: Duration; within: Duration }) => {
      const answer = {
        [MARK]: "suspended",
        state: decodeJson(storedText(state, "state")),
        pollInMs: durationMs(pollIn, "pollIn", POLL_IN),
        withinMs: durationMs(within, "within"),
      };
      tried.made = "suspend";
      return answer;
    },
    notReady: ({ pollIn }: { pollIn?: Duration } = {}) => {
      const pollInMs = pollIn === undefined ? null : durationMs(pollIn, "pollIn", POLL_IN);
      tried.made = "notReady";
      return { [MARK]: "not-ready", pollInMs };
    },
  };
}

function abortWhenTold(tools: StageTools, over: AbortController, notes: Notes): void {
  tools.aborted().then(
    (reason) => over.abort(new DOMException(reason, "AbortError")),
    (error: unknown) => {
      notes.log(`Nobody can tell whether the stage is to stop: ${reasonOf(error)}`, null, "WARN");
    },
  );
}

/** Ids of this form are keys that every service takes. Of others the digest is. */
const FIT = /^[\w.:-]{1,64}$/;

/**
 * The same for each try of one record of a stage. Two digests of 64 bits: Web Crypto would answer
 * later, and most stages do not ask.
 */
function idempotencyKeyOf(recordId: string): string {
  return FIT.test(recordId) ? recordId : fnv1a64(recordId) + fnv1a64(`~${recordId}`);
}

const amount = number({ min: 0 });

function progressOf({ tools, notes, now }: TryOf): (done: number, total?: number) => void {
  let last = -Infinity;
  return (done, total) => {
    requireShape(amount, done, "done", "done");
    if (total !== undefined) requireShape(amount, total, "total", "total");
    const at = now();
    if (at - last < PROGRESS_MS) return;
    last = at;
    // Nothing waits for it: it is for those that watch, and a stage does not fail for it.
    tools.progress(done, total ?? null).catch((error: unknown) => {
      notes.log(`Progress was not stored: ${reasonOf(error)}`, null, "WARN");
    });
  };
}

function onceOf(tools: StageTools) {
  const running = new Map<string, Promise<JsonText>>();
  const remembered = async (key: string, work: () => unknown): Promise<JsonText> => {
    const stored = await tools.recall(key);
    if (stored !== null) return stored;
    return tools.keep(key, storedText(await work(), "result"));
  };
  return async (key: string, work: () => unknown): Promise<unknown> => {
    requireShape(keyField, key, "key", "key");
    // Two calls at once with one key do the work once.
    const same = running.get(key) ?? remembered(key, work);
    running.set(key, same);
    try {
      return decodeJson(await same);
    } catch (error) {
      running.delete(key);
      throw error;
    }
  };
}
