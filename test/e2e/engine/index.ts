/** A whole Worker: runs of a workflow with a chain, a pair, a retry, a sleep and a poll. */
import * as z from "zod";
import { embed } from "../../../src/embed.ts";
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

const SIBLINGS = 3;
/** Siblings of the stage that blocks, while they are worked in this isolate. */
const beside = new Set<number>();

async function hasBeside(count: number): Promise<void> {
  while (beside.size < count) await scheduler.wait(20);
}

const sibling = workflow("sibling", { input: z.object({ n: z.number() }) })
  .stage("slow", async ({ input }) => {
    beside.add(input.n);
    await scheduler.wait(1_000);
    beside.delete(input.n);
    return input.n;
  })
  .build();

const spins = workflow("spins", { input: z.null() })
  .stage(
    "spin",
    async ({ attempt }) => {
      // At first it has others beside it.
      if (attempt === 1) await hasBeside(SIBLINGS);
      for (;;);
    },
    { retry: { attempts: 2 } },
  )
  .build();

function named(name: string | null) {
  return [sibling, spins].find(({ id }) => id === name) ?? busy;
}

export default engine({
  workflows: [busy, sibling, spins],
  async fetch(request, env, ctx) {
    const { pathname, searchParams } = new URL(request.url);
    const runs = runsIn(env, ctx);
    const n = Number(searchParams.get("n"));
    switch (pathname) {
      case "/start":
        return Response.json({ id: (await runs.start(busy, { n }, { key: `run ${n}` })).id });
      case "/output":
        return Response.json(
          await runs.get(named(searchParams.get("of")), searchParams.get("id") ?? "").output(),
        );
      case "/wait":
        return Response.json(
          await runs.get(busy, searchParams.get("id") ?? "").output({ within: "20s" }),
        );
      case "/spin": {
        const started = await Promise.all([
          runs.start(spins, null),
          ...Array.from({ length: SIBLINGS }, async (_, at) => runs.start(sibling, { n: at })),
        ]);
        const [first = "", ...siblings] = started.map(({ id }) => id);
        return Response.json({ spins: first, siblings });
      }
      case "/audit":
        return Response.json(await embed(env).audit());
      default:
        return new Response("ready");
    }
  },
});
