/** Jobs through a local queue to a handler that does nothing, beside a raw queue with a consumer that does nothing. */
import { dispatcher, embed } from "workflow-engine-cloudflare";
import type { Protocol } from "../protocol.ts";
import { consumeStages } from "./engine.ts";
import type { Env } from "./env.ts";
import { enqueueJobs } from "./jobs.ts";
import { bindings } from "./ours.ts";

type Name = Protocol["/queue"]["ask"]["queue"];

interface Wave {
  readonly total: number;
  handled: number;
  /** Invocations of the consumer that have not returned. */
  running: number;
  readonly done: PromiseWithResolvers<void>;
}

const DONE_WITHIN_MS = 120_000;
/** Of one `sendBatch`. */
const MESSAGES_MAX = 100;
const waves: Record<Name, Wave | null> = { raw: null, engine: null };

const engine = dispatcher<Env>({
  handler: () => ({
    handleJob: async () => {
      if (waves.engine !== null) waves.engine.handled += 1;
      return { status: "completed" };
    },
  }),
});

export async function consume(
  batch: MessageBatch,
  env: Env,
  context: ExecutionContext,
): Promise<void> {
  if (batch.queue === "stages") return consumeStages(batch, env, context);
  const name = batch.queue === "raw" ? "raw" : "engine";
  const wave = waves[name];
  if (wave !== null) wave.running += 1;
  if (name === "engine") await engine.queue(batch, env, context);
  else if (wave !== null) wave.handled += batch.messages.length;
  if (wave === null) return;
  wave.running -= 1;
  // A job is settled before the invocation that worked it returns.
  if (wave.handled >= wave.total && wave.running === 0) wave.done.resolve();
}

export async function timeQueue(env: Env, ask: Protocol["/queue"]["ask"]): Promise<number> {
  const wave = { total: ask.total, handled: 0, running: 0, done: Promise.withResolvers<void>() };
  waves[ask.queue] = wave;
  const started = Date.now();
  await ENQUEUE[ask.queue](env, ask.total);
  const late = scheduler.wait(DONE_WITHIN_MS).then(() => "late");
  const how = await Promise.race([wave.done.promise, late]);
  const ended = Date.now();
  waves[ask.queue] = null;
  if (how === "late") throw new Error(`${wave.handled} of ${wave.total} jobs were handled in time`);
  return ended - started;
}

const ENQUEUE: Record<Name, (env: Env, count: number) => Promise<void>> = {
  async engine(env, count) {
    const { jobs } = embed({ ...bindings(env), JOBS: env.JOBS, WAKE_UPS: "on" });
    await enqueueJobs(jobs, count);
  },
  async raw({ RAW }, count) {
    for (let left = count; left > 0; left -= MESSAGES_MAX) {
      const length = Math.min(left, MESSAGES_MAX);
      await RAW.sendBatch(Array.from({ length }, (_, n) => ({ body: { n }, contentType: "json" })));
    }
  },
};
