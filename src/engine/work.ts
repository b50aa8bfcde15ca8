/** TEMPORARY */
import { decodeJson, encodeJson } from "../model/json.ts";
import { definitionFor } from "./definition.ts";
import type {
  StageAnswer,
  StageDelivery,
  StageOutcome,
  StageRunner,
  StageTools,
} from "./delivery.ts";
import { durationMs } from "./duration.ts";
import { isFatal, isRetryAfter, MARK } from "./failure.ts";
import { nextAfter, outputFor, valueOf } from "./next.ts";
import type { Workflow } from "./workflow.ts";

export function stageRunner(workflows: readonly Workflow[], env: unknown): StageRunner {
  const find = (run: StageDelivery["run"]) => {
    const flow = workflows.find(({ id }) => id === run.workflowId);
    return flow === undefined ? null : definitionFor(flow, run.shape);
  };
  const run = async (d: StageDelivery, tools: StageTools, notes: any): Promise<StageOutcome> => {
    const definition = find(d.run);
    const element = definition?.plan.byId.get(d.stageId);
    if (definition == null || element === undefined) {
      return { outcome: "failed", error: `unknown stage ${d.stageId}`, retryInMs: null };
    }
    const members = definition.plan.groups[element.group - 1] ?? [];
    const { occasion } = d;
    const input = valueOf(d.before, definition);
    const output = async (id: string) => outputFor(tools, id);
    const next = async (text: string | null) =>
      members.length > 1
        ? ({
            then: "join",
            siblings: members.map(({ id }) => id).filter((id) => id !== d.stageId),
          } as const)
        : nextAfter(
            definition,
            element.group,
            text === null ? d.before : { group: element.group, outputs: { [d.stageId]: text } },
            tools,
          );
    const completed = async (value: unknown) => {
      const text = encodeJson(value, "output");
      return { outcome: "completed", output: text, next: await next(text) } as const;
    };
    try {
      if (element.kind === "wait") {
        if (occasion.kind !== "signal")
          return { outcome: "waiting", for: "signal", ms: element.timeoutMs };
        return await completed(
          occasion.payload === null
            ? { received: false }
            : { received: true, payload: decodeJson(occasion.payload) },
        );
      }
      if (element.kind === "sleep") {
        if (occasion.kind === "wake")
          return { outcome: "passed", as: "COMPLETED", next: await next(null) };
        const ms = "ms" in element.duration ? element.duration.ms : 0;
        return { outcome: "waiting", for: "time", ms };
      }
      if (element.kind === "conditional" && occasion.kind === "run") {
        if ((await element.when({ input, output } as never)) !== true) {
          return { outcome: "passed", as: "SKIPPED", next: await next(null) };
        }
      }
      const context = {
        input,
        output,
        env,
        run: d.run,
        attempt: d.attempt,
        idempotencyKey: d.recordId,
        signal: new AbortController().signal,
        config: (decodeJson(d.run.config) as any)[d.stageId],
        log: (message: string, data?: unknown, level = "INFO") =>
          notes.logs.push({
            level,
            message,
            data: data === undefined ? null : encodeJson(data, "data"),
          }),
        annotate: (key: string, value: unknown) =>
          notes.annotations.push({ key, value: encodeJson(value, "value") }),
        progress: () => {},
        once: async (key: string, work: () => unknown) => {
          const kept = await tools.recall(key);
          if (kept !== null) return decodeJson(kept);
          return decodeJson(await tools.keep(key, encodeJson(await work(), "result")));
        },
        artifacts: { save: () => {}, load: async () => null },
        ai: { record: (call: unknown) => notes.aiCalls.push(call) },
        suspend: (state: unknown, how: any) => ({
          [MARK]: "suspended",
          state,
          pollInMs: durationMs(how.pollIn, "pollIn"),
          withinMs: durationMs(how.within, "within"),
        }),
        notReady: () => ({ [MARK]: "not-ready", pollInMs: null }),
      };
      const { step } = element;
      const value: any =
        occasion.kind === "poll"
          ? await step.poll?.(context as never, decodeJson(occasion.state) as never)
          : await step.run(context as never);
      if (value?.[MARK] === "suspended") {
        const { state, pollInMs, withinMs } = value;
        return { outcome: "suspended", state: encodeJson(state, "state"), pollInMs, withinMs };
      }
      if (value?.[MARK] === "not-ready") {
        return { outcome: "suspended", state: null, pollInMs: value.pollInMs, withinMs: null };
      }
      return await completed(value);
    } catch (error) {
      const retry = "retry" in element ? element.retry : { attempts: 1, backoffMs: 0, capMs: 0 };
      const n = retry.attempts - d.triesLeft;
      const pause = isRetryAfter(error)
        ? error.afterMs
        : Math.min(retry.backoffMs * 2 ** (n - 1), retry.capMs);
      return {
        outcome: "failed",
        error: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
        retryInMs: isFatal(error) || d.triesLeft <= 0 ? null : pause,
      };
    }
  };
  return {
    async runStage(delivery, tools): Promise<StageAnswer> {
      const notes = { logs: [], annotations: [], artifacts: [], aiCalls: [] };
      return { ...(await run(delivery, tools, notes)), notes };
    },
    async afterGroup({ run: of, group, before }, tools) {
      const definition = find(of);
      if (definition === null) return { outcome: "failed", error: "unknown workflow" };
      return { outcome: "next", next: await nextAfter(definition, group, before, tools) };
    },
  };
}
