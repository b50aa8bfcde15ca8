/** What a stage gives is given back as it was, or refused: at run time as by the compiler. */
import * as z from "zod";
import { describe, expect, it } from "vitest";
import { checkedSignal } from "../../src/engine/checked.ts";
import { stage, workflow } from "../../src/engine/index.ts";
import { storedText } from "../../src/engine/stored.ts";
import { stageRunner } from "../../src/engine/work.ts";
import { deliveryOf, toolsWith } from "./tools.ts";
import { refusalOf } from "./support.ts";

class Money {
  readonly cents = 5;
  toJSON() {
    return `${this.cents}c`;
  }
}
class Failed extends Error {
  readonly code = 7;
}

const one = () => 1;

/** Each with what the error calls it. `Storable` refuses its type. */
const INEXACT: readonly [string, unknown][] = [
  ["a Date", new Date(0)],
  ["a Date", new Date(NaN)],
  ["an Error", new Error("gone")],
  ["an Error", new Failed("gone")],
  ["an Error", new DOMException("gone", "AbortError")],
  ["a URL", new URL("https://example.com/")],
  ["an object with toJSON", new Money()],
  ["a Headers", new Headers()],
  ["a Map", new Map()],
  ["a Set", new Set([1])],
  ["a Uint8Array", new Uint8Array(1)],
  ["an object with Symbol(Symbol.asyncIterator)", { [Symbol.asyncIterator]: one }],
  ["an object with then", Object.create(Object.fromEntries(["then"].map((name) => [name, one])))],
  ["a Blob", new Blob(["a"])],
  ["a Number object", Object(1)],
  ["a Boolean object", Object(false)],
  ["a String", Object("a")],
  ["a RegExp", /a/],
  ["a bigint", 1n],
];

describe("what JSON would give back as something else", () => {
  it.each(INEXACT)("is refused where it stands: %s", async (what, value) => {
    const says = "which JSON cannot keep";
    const whole = await refusalOf(() => storedText(value, "output"));
    expect(whole).toMatchObject({ message: `output holds ${what}, ${says}` });
    const inside = await refusalOf(() => storedText({ list: [1, { at: value }] }, "output"));
    expect(inside).toMatchObject({
      code: "INVALID_ARGUMENT",
      message: `output.list[1].at holds ${what}, ${says}`,
      details: { field: "output.list[1].at" },
    });
  });

  it.each([
    ["an item", [1, undefined]],
    ["a hole of billions", Object.assign([1], { length: 4_000_000_000 })],
  ])("is refused: undefined in a list, %s", async (_, list) => {
    expect(await refusalOf(() => storedText({ list }, "output"))).toMatchObject({
      message: "output.list[1] holds undefined, which JSON cannot keep",
      details: { field: "output.list[1]" },
    });
  });

  it.each<[string, unknown, string]>([
    ["a member that is undefined", { a: 1, b: undefined }, '{"a":1}'],
    ["nothing at all", undefined, "null"],
    [
      "an object with an error's text",
      { name: "Error", message: "m" },
      '{"name":"Error","message":"m"}',
    ],
    ["an object without a prototype", Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    [
      "members that are named as methods",
      JSON.parse('{"toJSON":1,"then":[],"arrayBuffer":null}'),
      '{"toJSON":1,"then":[],"arrayBuffer":null}',
    ],
    ["the same object twice", ((same) => [same, same])({ a: 1 }), '[{"a":1},{"a":1}]'],
  ])("is not %s", (_, value, text) => {
    expect(storedText(value, "output")).toBe(text);
  });
});

const base = workflow("w", { input: z.any() });
const at = new Date(0) as unknown;

/** The reason for which a stage of this function fails at once. */
async function reasonOf(run: (context: never) => unknown): Promise<unknown> {
  const definition = base
    .stage("a", stage({ run: run as () => null, poll: () => null, retry: { attempts: 5 } }))
    .build();
  const runner = stageRunner([definition], { env: {}, now: () => 0 });
  const answer = await runner.runStage(deliveryOf(definition, "a"), toolsWith());
  return answer.outcome === "failed" ? answer.error : answer;
}

type Context = Parameters<NonNullable<Parameters<typeof stage>[0]>["run"]>[0];

describe("a Date", () => {
  it.each<[string, (context: Context) => unknown, string]>([
    ["an output", () => ({ at }), "output.at"],
    ["a state", ({ suspend }) => suspend({ at }, { pollIn: "1s", within: "1d" }), "state.at"],
    ["a result of once", async ({ once }) => once("k", () => ({ at })), "result.at"],
  ])("ends the run in %s", async (_, run, field) => {
    expect(await reasonOf(run)).toBe(`${field} holds a Date, which JSON cannot keep`);
  });

  it("is text where a stage says it, whose type may be anything", async () => {
    const definition = base
      .stage("a", ({ log, annotate, artifacts }) => {
        log("begun", { at });
        annotate("at", at);
        artifacts.save("at", [at, undefined], { at });
      })
      .build();
    const runner = stageRunner([definition], { env: {}, now: () => 0 });
    const text = JSON.stringify(at);
    expect(await runner.runStage(deliveryOf(definition, "a"), toolsWith())).toMatchObject({
      outcome: "completed",
      notes: {
        logs: [{ data: `{"at":${text}}` }],
        annotations: [{ value: text }],
        artifacts: [{ data: `[${text},null]`, metadata: `{"at":${text}}` }],
      },
    });
  });

  it("is refused as what a wait would give, and taken as what its schema makes text of", async () => {
    const payload = z.object({ at: z.any() });
    const coerced = payload.extend({ at: z.coerce.date() });
    const waits = (schema: z.ZodType) =>
      base.waitFor("go", { payload: schema as typeof payload, within: "1d" }).build();
    const error = await refusalOf(() => checkedSignal(waits(coerced), "go", { at }));
    expect(error.message).toBe("payload.at holds a Date, which JSON cannot keep");
    const text = z.object({ at: z.coerce.date().transform((date) => date.toISOString()) });
    expect(await checkedSignal(waits(text), "go", { at })).toEqual({
      at: JSON.parse(JSON.stringify(at)),
    });
  });
});
