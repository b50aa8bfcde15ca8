/** Starts with a key: the same input answers the same run, another one is a conflict. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { stage, workflow } from "../../src/engine/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { Engine } from "./support/engine.ts";

beforeEach(async () => {
  await emptyDatabase();
});

const KEY = { key: "k" } as const;

/** Each start's input and config have a default that a deploy may change. */
function withDefault(fallback: string, version: number) {
  return workflow("defaulted", {
    input: z.object({
      size: z.string().default(fallback),
      counts: z.record(z.string(), z.number()),
    }),
    version,
  })
    .stage("s", stage({ config: z.object({ model: z.string().default(fallback) }), run: () => 1 }))
    .build();
}

describe.each(["D1", "maps"] as const)("a start by key over %s", (over) => {
  it("answers the same run for members in another order", async () => {
    const flow = withDefault("small", 1);
    const engine = new Engine({ workflows: [flow], over });
    const first = await engine.runs.start(flow, { counts: { x: 1, y: 2 } }, KEY);
    const second = await engine.runs.start(flow, { counts: { y: 2, x: 1 } }, KEY);
    expect(second.id).toBe(first.id);
  });

  it("answers the same run after a deploy that has changed a default", async () => {
    const [before, after] = [withDefault("small", 1), withDefault("large", 2)];
    const engine = new Engine({ workflows: [before], over });
    const given = { counts: { x: 1 } };
    const first = await engine.runs.start(before, given, KEY);
    expect((await engine.runs.start(after, given, KEY)).id).toBe(first.id);
    expect((await engine.runs.start(after, given, { ...KEY, config: {} })).id).toBe(first.id);
  });

  it("answers the same run where a default is another one each time", async () => {
    let made = 0;
    const flow = workflow("numbered", {
      input: z.object({ a: z.number(), id: z.number().default(() => (made += 1)) }),
    })
      .stage("s", () => 1)
      .build();
    const engine = new Engine({ workflows: [flow], over });
    const first = await engine.runs.start(flow, { a: 1 }, KEY);
    expect((await engine.runs.start(flow, { a: 1 }, KEY)).id).toBe(first.id);
    expect(made).toBeGreaterThan(1);
    await expect(engine.runs.start(flow, { a: 2 }, KEY)).rejects.toMatchObject({
      code: "ALREADY_EXISTS",
      details: { field: "input", key: "k", id: first.id },
    });
  });

  it("answers the same run where a default is given for what was left out", async () => {
    const flow = withDefault("small", 1);
    const engine = new Engine({ workflows: [flow], over });
    const first = await engine.runs.start(flow, { counts: {} }, KEY);
    const second = await engine.runs.start(
      flow,
      { counts: {}, size: "small" },
      { ...KEY, config: { s: { model: "small" } } },
    );
    expect(second.id).toBe(first.id);
  });

  it("refuses another input and another config, and names which", async () => {
    const flow = withDefault("small", 1);
    const engine = new Engine({ workflows: [flow], over });
    const given = { counts: { x: 1 } };
    await engine.runs.start(flow, given, { ...KEY, config: { s: { model: "a" } } });
    await expect(
      engine.runs.start(flow, { counts: { x: 2 } }, { ...KEY, config: { s: { model: "a" } } }),
    ).rejects.toMatchObject({ code: "ALREADY_EXISTS", details: { field: "input" } });
    await expect(
      engine.runs.start(flow, given, { ...KEY, config: { s: { model: "b" } } }),
    ).rejects.toMatchObject({ code: "ALREADY_EXISTS", details: { field: "config" } });
  });

  it("tells inputs apart whose members JSON does not show", async () => {
    const flow = workflow("form", {
      input: z.instanceof(FormData).transform((form) => ({ a: form.getAll("a").length })),
    })
      .stage("s", ({ input }) => input.a)
      .build();
    const engine = new Engine({ workflows: [flow], over });
    const formOf = (...values: readonly string[]) => {
      const form = new FormData();
      for (const value of values) form.append("a", value);
      return form;
    };
    const first = await engine.runs.start(flow, formOf("x"), KEY);
    expect((await engine.runs.start(flow, formOf("x"), KEY)).id).toBe(first.id);
    await expect(engine.runs.start(flow, formOf("x", "y"), KEY)).rejects.toMatchObject({
      code: "ALREADY_EXISTS",
      details: { field: "input" },
    });
  });
});
