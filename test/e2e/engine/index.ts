/** A whole Worker: runs of a workflow with a chain, a pair, a retry, a sleep and a poll. */
import * as z from "zod";
import { stage, workflow } from "../../../src/engine.ts";
import { engine, runsIn } from "../../../src/engine-worker.ts";

export { RunCoordinator } from "../../../src/engine-worker.ts";

const work = () => scheduler.wait(50);

const batch = stage({
  input: z.object({ left: z.number(), right: z.number() }),
  run: ({ input, suspend }) => suspend(input, { pollIn: "1s", within: "10m" }),
  poll: (_context, { left, right }) => left + right,
});

const busy = workflow("busy", { input: z.object({ n: z.number() }) })
  .stage(
    "first",
    async ({ input, attempt }) => {
      await work();
      if (attempt === 1 && input.n % 5 === 0) throw new Error("not yet");
      return input;
    },
    { retry: { attempts: 9, backoff: "1s" } },
  )
  .parallel({
    left: stage({
      input: z.object({ n: z.number() }),
      retry: { attempts: 9 },
      run: async ({ input }) => (await work(), input.n),
    }),
    right: stage({
      input: z.object({ n: z.number() }),
      retry: { attempts: 9 },
      run: async ({ input }) => (await work(), input.n * 2),
    }),
  })
  .stage("sum", batch, { retry: { attempts: 9 } })
  .sleep("nap", "1s")
  .stage("last", async ({ input, output }) => [(await output("first")).n, input], {
    retry: { attempts: 9 },
  })
  .build();

export default engine({
  workflows: [busy],
  async fetch(request, env, ctx) {
    const { pathname, searchParams } = new URL(request.url);
    const runs = runsIn(env, ctx);
    const n = Number(searchParams.get("n"));
    switch (pathname) {
      case "/start":
        return Response.json({ id: (await runs.start(busy, { n }, { key: `run ${n}` })).id });
      case "/output":
        return Response.json(await runs.get(busy, searchParams.get("id") ?? "").output());
      case "/wait":
        return Response.json(
          await runs.get(busy, searchParams.get("id") ?? "").output({ within: "20s" }),
        );
      default:
        return new Response("ready");
    }
  },
});
