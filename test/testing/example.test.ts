/** How a workflow is tested: this file is the example of `testRun`. */
import { expect, it, vi } from "vitest";
import * as z from "zod";
import { RetryAfter, stage, workflow } from "workflow-engine-cloudflare/engine";
import { type StageFakes, testRun } from "workflow-engine-cloudflare/engine/testing";

/** Would ask the network. */
const links = stage({
  input: z.object({ sections: z.array(z.string()) }),
  output: z.object({ urls: z.array(z.string()) }),
  async run(): Promise<{ urls: string[] }> {
    throw new Error("There is no network in a test");
  },
});

const documents = workflow("documents", { input: z.object({ markdown: z.string() }) })
  .stage("extract", ({ input }) => ({ sections: input.markdown.split("\n\n") }))
  .parallel({ links, words: ({ input }) => input.sections.map((text) => text.split(" ").length) })
  .stage("summary", ({ input, log }) => {
    log("summarised", { sections: input.words.length });
    return { urls: input.links.urls.length, words: input.words.reduce((a, b) => a + b, 0) };
  })
  .waitFor("approval", { payload: z.object({ ok: z.boolean() }), within: "3d" })
  .stage("publish", async ({ input, output }) =>
    input.received && input.payload.ok ? await output("summary") : null,
  )
  .build();

const markdown = "one two\n\nthree";
const stages: StageFakes<typeof documents> = {
  // Gets what the stage would get.
  links: ({ input }) => ({ urls: input.sections.map((text) => `https://${text[0]}.example/`) }),
};

it("lets a run wait for days in no time, and give what it gives", async () => {
  const t = await testRun(documents, { markdown }, { now: 0, stages });
  await t.until("approval");
  await t.advance("1d");
  await t.signal("approval", { ok: true });
  expect(await t.output()).toEqual({ urls: 2, words: 3 });
  expect(t.now).toBe(86_400_000);
  expect(t.logs).toMatchObject([
    { stage: "summary", message: "summarised", data: { sections: 2 } },
  ]);
  expect(t.events.map(({ type, stage: id }) => (id === null ? type : `${type} ${id}`))).toEqual([
    "workflow:started",
    "stage:started extract",
    "stage:completed extract",
    "stage:started links",
    "stage:completed links",
    "stage:started words",
    "stage:completed words",
    "stage:started summary",
    "stage:completed summary",
    "stage:suspended approval",
    "stage:completed approval",
    "stage:started publish",
    "stage:completed publish",
    "workflow:completed",
  ]);
});

it("lets the time of a wait pass, and tells the next stage so", async () => {
  const t = await testRun(documents, { markdown }, { stages });
  await t.until("approval");
  await t.advance("3d");
  expect(await t.output()).toBeNull();
});

it("says why a run gives nothing", async () => {
  const waits = await testRun(documents, { markdown }, { now: 0, stages });
  await expect(waits.output()).rejects.toThrow(
    'The run waits for the signal "approval" until 1970-01-04T00:00:00.000Z: send it with signal()',
  );
  const fails = await testRun(documents, { markdown });
  await expect(fails.output()).rejects.toThrow("The run is FAILED: There is no network in a test");
  expect(fails.stages.find(({ id }) => id === "links")).toMatchObject({ attempt: 3 });
});

it("stops before a stage, so that a test can act while it runs", async () => {
  const t = await testRun(documents, { markdown }, { stages });
  await t.until("summary");
  expect(t.stages.at(-1)).toMatchObject({ id: "summary", status: "RUNNING" });
  await t.run.pause();
  await expect(t.output()).rejects.toThrow("The run is paused");
  await t.run.resume();
  await t.until("approval");
  await t.run.cancel("not needed");
  await expect(t.output()).rejects.toThrow("The run is CANCELLED: not needed");
});

it("lets a worker die at every commit, and the run ends as ever", async () => {
  const t = await testRun(
    documents,
    { markdown },
    {
      stages,
      crash: "everywhere",
      // Drives each of the runs.
      script: async (run) => {
        await run.until("approval");
        await run.signal("approval", { ok: true });
      },
    },
  );
  expect(await t.output()).toEqual({ urls: 2, words: 3 });
  expect(t.deaths).toBeGreaterThan(20);
});

it("shows which death changes what a workflow gives", async () => {
  const counts = workflow("counts", { input: z.null() })
    .stage("ask", ({ attempt }) => attempt)
    .build();
  await expect(testRun(counts, null, { crash: "everywhere" })).rejects.toThrow(
    /^When the worker died after commit 2 of 3 \(.*\): the run ended with .*2.* instead of .*1/,
  );
});

it("passes the pauses of retries at once", async () => {
  let tries = 0;
  const busy = workflow("busy", { input: z.null() })
    .stage("ask", () => {
      tries += 1;
      if (tries === 1) throw new RetryAfter("45m", "busy");
      return "there";
    })
    .build();
  const t = await testRun(busy, null, { now: 0 });
  expect(await t.output()).toBe("there");
  expect(t.now).toBe(45 * 60_000);
});

it("leaves Date to the machine: a test replaces the stage that asks, or sets it to the run's clock", async () => {
  const dated = workflow("dated", { input: z.null() })
    .stage("asked", () => Date.now())
    .sleep("night", "8h")
    .stage("waited", async ({ output }) => Date.now() - (await output("asked")))
    .build();
  const replaced = { asked: () => 0, waited: () => 1 };
  const t = await testRun(dated, null, { now: 0, stages: replaced });
  expect(await t.output()).toBe(1);

  vi.useFakeTimers({ toFake: ["Date"], now: 0 });
  try {
    const u = await testRun(dated, null, { now: 0 });
    await u.until("waited");
    vi.setSystemTime(u.now);
    expect(await u.output()).toBe(8 * 60 * 60_000);
  } finally {
    vi.useRealTimers();
  }
});
