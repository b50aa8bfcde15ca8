/** A whole Worker: POST a text, and get what its workflow makes of it. docs/engine.md tells how it is written. */
import * as z from "zod";
import { stage, workflow } from "workflow-engine-cloudflare/engine";
import { engine, RunCoordinator, runsIn } from "workflow-engine-cloudflare/engine/worker";

const words = (text: string) => text.split(/\s+/).filter((word) => word !== "");

/** Waits for an answer from elsewhere, with no code running. Here the first poll has it. */
const review = stage({
  input: z.object({ counts: z.array(z.number()), longest: z.string() }),
  run: ({ input, suspend }) => suspend(input, { pollIn: "1s", within: "1h" }),
  poll: (_context, { counts, longest }) => ({ longest, words: counts.reduce((a, b) => a + b, 0) }),
});

export const digest = workflow("digest", { input: z.object({ text: z.string() }) })
  .stage(
    "paragraphs",
    ({ input, attempt }) => {
      if (attempt === 1 && input.text.includes("flaky")) throw new Error("not this time");
      return input.text.split("\n\n");
    },
    { retry: { attempts: 3, backoff: "1s" } },
  )
  .parallel({
    counts: ({ input }) => input.map((text) => words(text).length),
    longest: ({ input }) => input.reduce((a, b) => (a.length >= b.length ? a : b), ""),
  })
  .stage("review", review)
  .build();

export { RunCoordinator };
export default engine({
  workflows: [digest],
  async fetch(request, env, ctx) {
    if (request.method !== "POST") return new Response("POST a text\n");
    const run = await runsIn(env, ctx).start(digest, { text: await request.text() });
    return Response.json({ id: run.id, ...(await run.output({ within: "30s" })) });
  },
});
