/** What a project does next: stages made by functions, shared by workflows, and types of its own. `tsc` checks this file. */
import * as z from "zod";
import { describe, expect, expectTypeOf, it } from "vitest";
import {
  type InlineContext,
  type OutputOf,
  type OutputsOf,
  type Run,
  type Runs,
  stage,
  type Stage,
  type StageContext,
  type StandardSchema,
  type InputOf,
  type Workflow,
  workflow,
} from "../../src/engine/index.ts";

type Json =
  | (string | number | boolean | null)
  | readonly Json[]
  | { readonly [name: string]: Json };
const nothing = workflow("nothing", { input: z.null() });
const pause = { pollIn: "1m", within: "1d" } as const;

describe("a function that makes stages", () => {
  it("can be generic in what its stages give, where that is JSON", () => {
    const always = <T extends Json>(value: T) => stage({ run: async () => ({ value }) });
    const built = nothing
      .stage("a", always("text"))
      .stage("b", always([1, 2]))
      .build();
    expectTypeOf<OutputsOf<typeof built>["a"]["value"]>().toExtend<string>();
    expectTypeOf<OutputOf<typeof built>["value"]>().toExtend<readonly number[]>();
    // @ts-expect-error a Date is no JSON
    always(new Date());
    // @ts-expect-error nothing says that it is JSON
    const anything = <T>(value: T) => stage({ run: () => value });
    expectTypeOf(anything).toBeFunction();
  });

  it("can be generic in its schemas", () => {
    const asked = <T extends Json>(schema: StandardSchema<T, T>, ask: () => T) =>
      stage({ output: schema, run: async () => ask() });
    const idOf = <In, Out extends { readonly id: string }>(schema: StandardSchema<In, Out>) =>
      stage({ input: schema, run: ({ input }) => input.id });
    const schema = z.object({ id: z.string(), n: z.number() });
    const built = nothing
      .stage(
        "ask",
        asked(schema, () => ({ id: "a", n: 1 })),
      )
      .stage("id", idOf(schema))
      .build();
    expectTypeOf<OutputsOf<typeof built>["ask"]>().toEqualTypeOf<{ id: string; n: number }>();
    expectTypeOf<OutputOf<typeof built>>().toEqualTypeOf<string>();
  });

  it("can make whole workflows of an input", () => {
    const kept = <T extends Json>(schema: StandardSchema<T, T>) =>
      workflow("kept", { input: schema })
        .stage("length", ({ input }) => JSON.stringify(input).length)
        .build();
    expectTypeOf<OutputOf<ReturnType<typeof kept<string>>>>().toEqualTypeOf<number>();
  });
});

describe("a stage", () => {
  const upper = stage({
    input: z.object({ text: z.string() }),
    run: ({ input }) => ({ text: input.text.toUpperCase() }),
  });

  it("is used twice in a workflow, and in another one", () => {
    const input = z.object({ text: z.string(), n: z.number() });
    const one = workflow("one", { input }).stage("a", upper).stage("b", upper).build();
    const two = workflow("two", { input }).parallel({ a: upper, b: upper }).build();
    const all: readonly Workflow[] = [one, two];
    expect(all.map(({ plan }) => plan.byId.size)).toEqual([2, 2]);
    expectTypeOf<OutputOf<typeof two>>().toEqualTypeOf<{
      a: { text: string };
      b: { text: string };
    }>();
  });

  it("is a method, or a function whose context is named", () => {
    class Reader {
      async read({ input }: { readonly input: { readonly text: string } }) {
        return input.text.length;
      }
    }
    const text = ({ input, log }: StageContext<{ text: string }>) => {
      log("read");
      return input.text;
    };
    const titled = async ({ output }: InlineContext<unknown, { title: { text: string } }>) =>
      (await output("title")).text;
    const built = workflow("named", { input: z.object({ text: z.string() }) })
      .stage("title", upper)
      .stage("text", text)
      .stage("again", titled)
      .stage("object", ({ input }) => ({ text: input }))
      .stage("read", new Reader().read)
      .build();
    expectTypeOf<OutputOf<typeof built>>().toEqualTypeOf<number>();
  });

  it("takes any of a union, and members that may be absent", () => {
    const either = stage({
      input: z.union([z.object({ a: z.string() }), z.object({ b: z.number() })]),
      run: ({ input }) => ("a" in input ? input.a : String(input.b)),
    });
    const maybe = stage({
      input: z.object({ a: z.string().optional(), b: z.string() }),
      run: ({ input }) => input.a ?? input.b,
    });
    nothing.stage("x", () => ({ a: "" })).stage("y", either);
    nothing.stage("x", (): { a: string } | { b: number } => ({ b: 1 })).stage("y", either);
    nothing.stage("x", () => ({ b: "" })).stage("y", maybe);
    const built = nothing
      .stage("x", (): { a?: string; b: string } => ({ b: "" }))
      .stage("y", maybe)
      .build();
    expectTypeOf<OutputOf<typeof built>>().toEqualTypeOf<string>();
  });

  it("takes lists that the stage before must not change: it gets its own", () => {
    const count = stage({
      input: z.object({ rows: z.array(z.array(z.string())) }),
      run: ({ input }) => input.rows.length,
    });
    nothing.stage("x", () => ({ rows: [["a"]] }) as const).stage("y", count);
    const pair = nothing
      .stage("x", () => ["a", 1] as const)
      .stage("y", ({ input }) => {
        expectTypeOf(input).toEqualTypeOf<readonly ["a", 1]>();
        return input[1];
      })
      .build();
    expectTypeOf<OutputOf<typeof pair>>().toEqualTypeOf<1>();
  });

  it("gives what run or poll gives, where it suspends", () => {
    const both = stage({
      run: ({ suspend, attempt }) =>
        attempt > 1 ? { now: attempt } : suspend({ batch: "b" }, pause),
      poll: (_context, { batch }) => ({ later: batch }),
    });
    expectTypeOf(both).toEqualTypeOf<
      Stage<unknown, { now: number } | { later: string }, undefined>
    >();
    const later = stage({
      run: async ({ suspend }) => suspend({ batch: "b" }, pause),
      poll: async ({ notReady }, { batch }) => (batch === "" ? notReady() : batch),
    });
    expectTypeOf(later).toEqualTypeOf<Stage<unknown, string, undefined>>();
    const grouped = nothing
      .parallel({
        later: stage({ run: ({ suspend }) => suspend(1, pause), poll: () => "there" }),
        now: stage({ run: () => 1 }),
      })
      .build();
    expectTypeOf<OutputOf<typeof grouped>>().toEqualTypeOf<{ later: string; now: number }>();
  });

  it("that never returns is followed by what gets nothing", () => {
    const built = nothing
      .stage("x", (): never => {
        throw new Error("no");
      })
      .stage("y", ({ input }) => {
        expectTypeOf(input).toEqualTypeOf<never>();
        return 1;
      })
      .build();
    expectTypeOf<OutputOf<typeof built>>().toEqualTypeOf<number>();
  });
});

describe("JSON of a project's own types", () => {
  it("is interfaces, recursive types, records, brands and enumerations", () => {
    interface Node {
      readonly type: string;
      readonly left?: Node;
      readonly body: readonly Leaf[];
      readonly test: Leaf | null;
    }
    interface Leaf {
      readonly kind: "leaf" | "other";
      readonly parent: Node;
      readonly params: readonly (Node | Leaf)[];
      readonly data?: Record<string, unknown>;
    }
    type Cents = number & { readonly unit: "cents" };
    const fields = { name: "a", message: "b" };
    const built = nothing
      .stage("json", (): Json => null)
      .stage("tree", (): Node => ({ type: "", body: [], test: null }))
      .stage("record", (): Record<string, number | undefined> => ({}))
      .stage("cents", () => ({ price: 5 as Cents, sum: z.number().brand<"sum">().parse(1) }))
      .stage("unknowns", (): { list: unknown[]; any: object } => ({ list: [], any: {} }))
      .stage("error", () => ({ error: fields }))
      .build();
    expectTypeOf<OutputsOf<typeof built>["json"]>().toEqualTypeOf<Json>();
    expectTypeOf<OutputsOf<typeof built>["tree"]>().toEqualTypeOf<Node>();
    expectTypeOf<OutputsOf<typeof built>["cents"]["price"]>().toEqualTypeOf<Cents>();
  });
});

describe("a function over workflows", () => {
  it("starts, steers and reads runs of any of them", () => {
    const startAll = async <W extends Workflow>(
      runs: Runs,
      of: W,
      inputs: readonly InputOf<W>[],
    ): Promise<Run<W>[]> => {
      const started: Run<W>[] = [];
      for (const input of inputs) started.push(await runs.start(of, input));
      for (const input of inputs) started.push(await runs.start(of, input, { priority: 9 }));
      return started;
    };
    const built = nothing.stage("x", () => 1).build();
    expectTypeOf(startAll<typeof built>).returns.resolves.toEqualTypeOf<Run<typeof built>[]>();
  });
});
