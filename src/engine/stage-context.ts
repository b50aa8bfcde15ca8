/** What a stage's function is given, made for one delivery. */
import { ServiceError } from "../contract/index.ts";
import { keyField } from "../model/fields.ts";
import { decodeJson, encodeJson } from "../model/json.ts";
import type { NotReady, StageAICall, StageContext, Suspended } from "./context.ts";
import type { StageDelivery, StageTools } from "./delivery.ts";
import { type Duration, durationMs } from "./duration.ts";
import { MARK } from "./failure.ts";
import { DURATION_MS_MAX } from "./limits.ts";
import { reader } from "./next.ts";
import type { Notes } from "./notes.ts";
import { requireShape } from "./plan.ts";
import { fnv1a64 } from "./shape.ts";

/** What the context of one delivery is made of. */
export interface ContextOptions {
  readonly delivery: StageDelivery;
  readonly tools: StageTools;
  readonly notes: Notes;
  /** Aborted when the time of the try is up. */
  readonly controller: AbortController;
  readonly input: unknown;
  readonly config: unknown;
  readonly env: unknown;
  /** Work that the stage has begun and does not wait for: it ends before the answer is given. */
  readonly pending: Promise<unknown>[];
}

/** Everything that any kind of stage is given. Its types say which may use what. */
export type AnyContext = StageContext<unknown, unknown> & {
  output(id: string): Promise<unknown>;
  suspend(
    state: unknown,
    how: { readonly pollIn: Duration; readonly within: Duration },
  ): Suspended<unknown>;
  notReady(how?: { readonly pollIn?: Duration }): NotReady;
};

/** Instead of `env: StageEnv`, which each app declares for itself. */
export type GivenContext = Omit<AnyContext, "env"> & { readonly env: unknown };

export function contextOf(options: ContextOptions): GivenContext {
  const { delivery, tools, notes, controller, pending } = options;
  const { run, recordId, attempt } = delivery;
  let listens = false;
  return {
    input: options.input,
    config: options.config,
    env: options.env,
    run: { id: run.id, workflowId: run.workflowId, version: run.version },
    attempt,
    get signal() {
      // To listen costs a call of the service: a stage that does not look at the signal pays none.
      if (!listens) {
        listens = true;
        void tools.aborted().then(
          (reason) => controller.abort(new Error(reason)),
          () => undefined,
        );
      }
      return controller.signal;
    },
    get idempotencyKey() {
      return fnv1a64(recordId) + fnv1a64(`key of ${recordId}`);
    },
    output: reader(tools),
    log: (message, data, level) => notes.log(message, data, level),
    annotate: (key, value) => notes.annotate(key, value),
    progress(done, total) {
      requireNumber(done, "done");
      if (total !== undefined) requireNumber(total, "total");
      pending.push(tools.progress(done, total ?? null));
    },
    async once(key, work) {
      requireShape(keyField, key, "once: key", "key");
      const kept = await tools.recall(key);
      if (kept !== null) return JSON.parse(kept);
      const result = encodeJson(await work(), "result");
      return JSON.parse(await tools.keep(key, result));
    },
    artifacts: {
      save: (key, data, metadata) => notes.saveArtifact(key, data, metadata),
      async load(key) {
        const text = notes.artifact(key) ?? (await tools.artifact(key));
        return text === null ? null : decodeJson(text);
      },
    },
    ai: { record: (call: StageAICall) => notes.recordCall(call) },
    suspend(state, { pollIn, within }) {
      // What cannot be stored is told where it is said.
      encodeJson(state, "state");
      const range = { min: 1, max: DURATION_MS_MAX };
      return {
        [MARK]: "suspended",
        state,
        pollInMs: durationMs(pollIn, "pollIn"),
        withinMs: durationMs(within, "within", range),
      };
    },
    notReady: ({ pollIn } = {}) => ({
      [MARK]: "not-ready",
      pollInMs: pollIn === undefined ? null : durationMs(pollIn, "pollIn"),
    }),
  };
}

function requireNumber(value: unknown, field: string): void {
  if (typeof value === "number" && Number.isFinite(value)) return;
  throw new ServiceError("INVALID_ARGUMENT", `progress: ${field} must be a number`, { field });
}
