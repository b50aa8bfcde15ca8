/** What the compiler knows of a workflow. `tsc` checks this file; the last test builds what it has. */
import * as z from "zod";
import { describe, expect, expectTypeOf, it } from "vitest";
import {
  type ConfigOf,
  type InputOf,
  type OutputOf,
  type OutputsOf,
  type Run,
  type Runs,
  type SignalsOf,
  stage,
  type Stage,
  type StagesOf,
  type Waited,
  type Workflow,
  workflow,
} from "../../src/engine/index.ts";
import { handWritten } from "./support.ts";

interface Section {
  title: string;
  text: string;
}

const Sections = z.object({
  sections: z.array(z.object({ title: z.string(), text: z.string() })),
  lang: z.string().default("en"),
});

const summarise = stage({
  input: Sections,
  output: z.object({ summary: z.string(), score: z.number() }),
  config: z.object({
    model: z.string().default("small"),
    limits: z.object({ words: z.number(), pages: z.number() }).default({ words: 9, pages: 1 }),
  }),
  async run({ input, config, suspend }) {
    expectTypeOf(input.lang).toEqualTypeOf<string>();
    expectTypeOf(config.limits.words).toEqualTypeOf<number>();
    if (input.sections.length > 100) {
      return suspend({ batch: "b-1" }, { pollIn: "1m", within: "1d" });
    }
    return { summary: "", score: 1 };
  },
  async poll({ notReady }, state) {
    expectTypeOf(state).toEqualTypeOf<{ batch: string }>();
    return state.batch === "" ? notReady() : { summary: "", score: 0 };
  },
});
/** Of no library. */
const links = stage({
  input: handWritten<{ sections: { text: string }[] }>(() => []),
  run: async ({ input }) => ({ urls: input.sections.map(({ text }) => text) }),
});
const words = stage({ input: Sections, run: ({ input }) => input.sections.length });

const documents = workflow("documents", {
  input: z.object({ markdown: z.string(), tries: z.number().default(3) }),
})
  .stage("extract", async ({ input, config, output, run, attempt, signal }) => {
    expectTypeOf(input).toEqualTypeOf<{ markdown: string; tries: number }>();
    expectTypeOf(config).toEqualTypeOf<undefined>();
    expectTypeOf(output).parameter(0).toEqualTypeOf<"No stage comes before this one">();
    expectTypeOf(run).toEqualTypeOf<{
      readonly id: string;
      readonly workflowId: string;
      readonly version: number;
    }>();
    expectTypeOf(attempt).toEqualTypeOf<number>();
    expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
    return { sections: [{ title: "a", text: input.markdown }] };
  })
  .parallel({ links, words, keywords: ({ input }) => input.sections.map(({ title }) => title) })
  .stage("join", async ({ input, output }) => {
    expectTypeOf(input).toEqualTypeOf<{
      links: { urls: string[] };
      words: number;
      keywords: string[];
    }>();
    expectTypeOf(output).parameter(0).toEqualTypeOf<"extract" | "links" | "words" | "keywords">();
    const { sections } = await output("extract");
    expectTypeOf(sections).toEqualTypeOf<Section[]>();
    expectTypeOf(await output("words")).toEqualTypeOf<number>();
    return { sections, n: input.words };
  })
  .stageIf(
    "ocr",
    async ({ input, output }) => input.n === 0 && (await output("words")) > 0,
    ({ input }) => ({ sections: input.sections, n: 1, ocr: true }),
  )
  .stage("after", ({ input }) => {
    expectTypeOf(input).toEqualTypeOf<
      { sections: Section[]; n: number; ocr: boolean } | { sections: Section[]; n: number }
    >();
    return { sections: input.sections };
  })
  .stage("summary", summarise, { retry: { attempts: 5, backoff: "2s" }, timeout: "2m" })
  .sleep("night", async ({ output }) => ((await output("summary")).score > 0 ? "8h" : 0))
  .stage("draft", ({ input }) => {
    expectTypeOf(input).toEqualTypeOf<{ summary: string; score: number }>();
    return { text: input.summary };
  })
  .waitFor("approval", {
    payload: z.object({ by: z.string().default("somebody"), ok: z.boolean() }),
    within: "3d",
  })
  .stage("publish", async ({ input, output }) => {
    expectTypeOf(input).toEqualTypeOf<Waited<{ by: string; ok: boolean }>>();
    if (!input.received) return { published: false, text: "" };
    return { published: input.payload.ok, text: (await output("draft")).text };
  })
  .build();

describe("a workflow's types", () => {
  it("keep apart what starts it and what its stages get", () => {
    expectTypeOf<InputOf<typeof documents>>().toEqualTypeOf<{
      markdown: string;
      tries?: number | undefined;
    }>();
    expectTypeOf<OutputOf<typeof documents>>().toEqualTypeOf<{
      published: boolean;
      text: string;
    }>();
  });

  it("know what each stage gives, by its id", () => {
    type Outputs = OutputsOf<typeof documents>;
    expectTypeOf<keyof Outputs>().toEqualTypeOf<
      | ("extract" | "links" | "words" | "keywords" | "join" | "ocr" | "after")
      | ("summary" | "night" | "draft" | "approval" | "publish")
    >();
    expectTypeOf<Outputs["ocr"]>().toEqualTypeOf<
      { sections: Section[]; n: number; ocr: boolean } | undefined
    >();
    expectTypeOf<Outputs["summary"]>().toEqualTypeOf<{ summary: string; score: number }>();
    expectTypeOf<Outputs["night"]>().toEqualTypeOf<null>();
  });

  it("know the signals and their payloads, defaults left out", () => {
    expectTypeOf<SignalsOf<typeof documents>>().toEqualTypeOf<{
      readonly approval: { by?: string | undefined; ok: boolean };
    }>();
  });

  it("take of a config what its schema takes: what has a default may be left out", () => {
    expectTypeOf<ConfigOf<typeof documents>>().toEqualTypeOf<{
      readonly summary?: {
        model?: string | undefined;
        limits?: { words: number; pages: number } | undefined;
      };
    }>();
    const asks = stage({
      config: z.object({ model: z.string(), words: z.number().default(9) }),
      run: ({ config }) => config.model,
    });
    const built = workflow("asks", { input: z.null() }).stage("a", asks).stage("b", asks).build();
    expectTypeOf<keyof ConfigOf<typeof built>>().toEqualTypeOf<"a" | "b">();
    expectTypeOf<ConfigOf<typeof built>["a"]>().toEqualTypeOf<{
      model: string;
      words?: number | undefined;
    }>();
  });

  it("know what each stage's function gets, and none of waits and sleeps", () => {
    type Stages = StagesOf<typeof documents>;
    expectTypeOf<Exclude<keyof OutputsOf<typeof documents>, keyof Stages>>().toEqualTypeOf<
      "night" | "approval"
    >();
    expectTypeOf<Stages["extract"]["input"]>().toEqualTypeOf<{ markdown: string; tries: number }>();
    expectTypeOf<Stages["extract"]["config"]>().toEqualTypeOf<undefined>();
    expectTypeOf<Stages["links"]["input"]>().toEqualTypeOf<{ sections: { text: string }[] }>();
    expectTypeOf<Stages["summary"]["input"]["lang"]>().toEqualTypeOf<string>();
    expectTypeOf<Stages["summary"]["config"]["model"]>().toEqualTypeOf<string>();
    expectTypeOf<Stages["publish"]["input"]>().toEqualTypeOf<Waited<{ by: string; ok: boolean }>>();
  });

  it("take no config where no stage has one", () => {
    const bare = workflow("bare", { input: z.null() })
      .stage("a", () => 1)
      .build();
    expectTypeOf<{ a: object }>().not.toExtend<ConfigOf<typeof bare>>();
  });

  it("take any config where the workflow is not known", () => {
    expectTypeOf<{ a: object }>().toExtend<ConfigOf<Workflow>>();
  });

  it("leave branded text in a config as it is", () => {
    const id = z.string().brand<"id">();
    const branded = stage({ config: z.object({ at: z.object({ id }) }), run: () => 1 });
    const built = workflow("branded", { input: z.null() }).stage("a", branded).build();
    expectTypeOf<{ a: { at: { id: string } } }>().toExtend<ConfigOf<typeof built>>();
  });

  it("collect the configs of a group's members", () => {
    const plain = stage({ run: () => 1 });
    const grouped = workflow("grouped", { input: z.object({ sections: Sections.shape.sections }) })
      .parallel({ plain, first: words, inline: () => 2 })
      .stage("again", ({ input }) => ({ sections: [], lang: String(input.first) }))
      .parallel({ summarise })
      .build();
    expectTypeOf<keyof ConfigOf<typeof grouped>>().toEqualTypeOf<"summarise">();
  });

  it("are what starts, steers and reads a run", () => {
    type Documents = typeof documents;
    expectTypeOf<Parameters<Run<Documents>["rerun"]>[0]["from"]>().toEqualTypeOf<
      keyof OutputsOf<Documents>
    >();
    const steer = async (runs: Runs) => {
      const run = await runs.start(
        documents,
        { markdown: "# Hello" },
        { key: "doc-42", priority: 7, config: { summary: { limits: { words: 5, pages: 2 } } } },
      );
      expectTypeOf(run).toEqualTypeOf<Run<Documents>>();
      await run.signal("approval", { ok: true }, { key: "mail-7" });
      expectTypeOf(await run.outputOf("words")).toEqualTypeOf<number | undefined>();
    };
    expectTypeOf(steer).toBeFunction();
    type Answer = Awaited<ReturnType<Run<Documents>["output"]>>;
    expectTypeOf<Extract<Answer, { status: "COMPLETED" }>["value"]>().toEqualTypeOf<
      OutputOf<Documents>
    >();
  });
});

describe("a stage's types", () => {
  it("have what it returns when it does not suspend", () => {
    const now = stage({ run: async () => ({ n: 2 }) });
    expectTypeOf(now).toEqualTypeOf<Stage<unknown, { n: number }, undefined>>();
    const either = stage({
      input: z.object({ a: z.string() }),
      async run({ input, suspend }) {
        if (input.a === "") return suspend({ since: 1 }, { pollIn: 1, within: "1d" });
        return { n: 1 };
      },
      poll: ({ notReady, input }, state) => (state.since > 1 ? notReady() : { n: input.a.length }),
    });
    expectTypeOf(either).toEqualTypeOf<Stage<{ a: string }, { n: number }, undefined>>();
  });

  it("give the function what the input's schema makes of JSON, also what JSON has not", () => {
    const dated = stage({
      input: z.object({ at: z.string().transform((text) => new Date(text)) }),
      run: ({ input }) => input.at.getTime(),
    });
    expectTypeOf(dated).toEqualTypeOf<Stage<{ at: string }, number, undefined, { at: Date }>>();
  });

  it("have what an output schema makes of what it returns", () => {
    const made = stage({ output: z.object({ n: z.number().default(1) }), run: () => ({}) });
    expectTypeOf(made).toEqualTypeOf<Stage<unknown, { n: number }, undefined>>();
  });

  it("have a config as it is given, and show it as the schema makes it", () => {
    const sized = stage({
      config: z.object({ size: z.number().default(1) }),
      run({ config }) {
        expectTypeOf(config).toEqualTypeOf<{ size: number }>();
        return config.size;
      },
    });
    expectTypeOf(sized).toEqualTypeOf<
      Stage<unknown, number, { size?: number | undefined }, unknown, { size: number }>
    >();
  });

  it("take what JSON keeps: optional members, branded text, recursion, any and unknown", () => {
    interface Tree {
      readonly name: string;
      readonly children: readonly Tree[];
    }
    const tree: Tree = { name: "root", children: [] };
    const branded = z.string().brand<"id">();
    const begun = workflow("json", { input: z.object({ id: branded }) });
    const built = begun
      .stage("id", ({ input }) => input.id)
      .stage("tree", () => tree)
      .stage("unknown", (): unknown => tree)
      .stage("any", () => JSON.parse("{}"))
      .stage("optional", (): { a?: string; b: number | undefined } => ({ b: 1 }))
      .build();
    expectTypeOf<OutputsOf<typeof built>["id"]>().toEqualTypeOf<string & z.core.$brand<"id">>();
    expectTypeOf<OutputsOf<typeof built>["tree"]>().toEqualTypeOf<Tree>();
    expectTypeOf<OutputsOf<typeof built>["unknown"]>().toBeUnknown();
    expectTypeOf<OutputsOf<typeof built>["any"]>().toBeAny();
  });

  it("give null for nothing, as JSON does", () => {
    const built = workflow("nothing", { input: z.null() })
      .stage("nothing", () => {})
      .stage("maybe", ({ attempt }) => (attempt > 1 ? { attempt } : undefined))
      .build();
    expectTypeOf<OutputsOf<typeof built>["nothing"]>().toEqualTypeOf<null>();
    expectTypeOf<OutputsOf<typeof built>["maybe"]>().toEqualTypeOf<{ attempt: number } | null>();
  });

  it("remember what JSON gives back of `once`", () => {
    stage({
      async run({ once }) {
        expectTypeOf(await once("batch", async () => ({ id: "b" }))).toEqualTypeOf<{
          id: string;
        }>();
        expectTypeOf(await once("nothing", () => {})).toEqualTypeOf<null>();
        return null;
      },
    });
  });
});

it("is a workflow that can be built, and not only compiled", () => {
  expect([...documents.plan.byId.keys()]).toHaveLength(12);
});
