/** Mistakes in workflows, each with what the compiler says of it. */

/** What the mistakes have at hand. */
export const HEAD = `
  import * as z from "zod";
  import { stage, workflow, type Runs } from "workflow-engine-cloudflare/engine";
  declare const runs: Runs;
  const within = "1d";
  const pause = { pollIn: "1m", within } as const;
  const needs = stage({
    input: z.object({ sections: z.array(z.string()), lang: z.string() }),
    run: ({ input }) => input.lang,
  });
  const w = workflow("w", { input: z.object({ a: z.string(), lang: z.number() }) });
  const built = w
    .stage("extract", () => 1)
    .waitFor("approval", { payload: z.object({ ok: z.boolean() }), within })
    .build();
  const configured = workflow("configured", { input: z.null() })
    .stage("write", stage({
      config: z.object({ model: z.string(), words: z.number().default(9) }),
      run: ({ config }) => config.model,
    }))
    .build();
  export { built, configured, needs, pause, runs, stage, w, within, workflow, z };
`;

export const IMPORTS = `import { built, configured, needs, pause, runs, stage, w, within, workflow, z } from "./head.ts";`;

/** A mistake, and what the compiler says of it, or a part of that. */
export type Mistake = readonly [mistake: string, code: string, says: string];

const json = (path: string) => `"JSON has no such value: ${path}"`;
const quoted = (text: string) => text.replaceAll('"', '\\"');
const needsMember = (id: string, member: string) =>
  quoted(`Stage "${id}" needs "${member}", which does not come before it`);
const needsOther = (id: string, member: string) =>
  quoted(`Stage "${id}" needs another type of "${member}" than comes before it`);

export const FIT: readonly Mistake[] = [
  [
    "a stage needs what does not come before it",
    `w.stage("x", needs);`,
    needsMember("x", "sections"),
  ],
  [
    "a stage needs another type of what comes before it",
    `w.stage("a", () => ({ sections: [1, 2], lang: "en" })).stage("x", needs);`,
    needsOther("x", "sections[]"),
  ],
  [
    "a stage does not take what comes before it, which has no members",
    `const length = stage({ input: z.string(), run: ({ input }) => input.length });
     w.stage("a", () => 1).stage("x", length);`,
    quoted(`Stage "x" does not take what comes before it`),
  ],
  [
    "a stage needs members, and nothing is given",
    `w.stage("a", () => {}).stage("x", needs);`,
    quoted(`Stage "x" does not take what comes before it`),
  ],
  [
    "a stage needs what lies deep within what comes before it",
    `const deep = stage({
       input: z.object({ pages: z.array(z.object({ text: z.string() })) }), run: () => 1,
     });
     w.stage("a", () => ({ pages: [{ txt: "" }] })).stage("x", deep);`,
    needsMember("x", "pages[].text"),
  ],
  [
    "a stage needs what a condition may pass over",
    `const lengthOf = stage({ input: z.object({ k: z.string() }), run: ({ input }) => input.k });
     w.stageIf("c", () => true, () => ({ k: "" })).stage("x", lengthOf);`,
    quoted(`Stage "x" needs "k", which does not always come before it`),
  ],
  [
    "a stage needs what may be absent",
    `const lengthOf = stage({ input: z.object({ k: z.string() }), run: ({ input }) => input.k });
     w.stage("a", (): { k?: string } => ({})).stage("x", lengthOf);`,
    quoted(`Stage "x" needs "k", which does not always come before it`),
  ],
  [
    "a stage needs something, and nobody knows what comes before it",
    `w.stage("a", (): unknown => 1).stage("x", needs);`,
    quoted(`Stage "x" does not take what comes before it, whose type is unknown`),
  ],
  [
    "a member of a group needs what does not come before it",
    `w.parallel({ ok: () => 1, bad: needs });`,
    needsMember("bad", "sections"),
  ],
  [
    "a stage behind a condition needs what does not come before it",
    `w.stageIf("x", () => true, needs);`,
    needsMember("x", "sections"),
  ],
];

export const IDS: readonly Mistake[] = [
  [
    "an id is taken",
    `w.stage("a", () => 1).stage("a", () => 2);`,
    quoted(`There is a stage "a" already`),
  ],
  [
    "a wait's id is taken by a stage's",
    `w.stage("a", () => 1).sleep("a", "1h");`,
    quoted(`There is a stage "a" already`),
  ],
  [
    "the id of a group's member is taken",
    `w.stage("a", () => 1).parallel({ a: () => 2 });`,
    quoted(`There is a stage "a" already`),
  ],
  ["an id is reserved", `w.stage("~a", () => 1);`, quoted(`No stage can have the id "~a"`)],
  [
    "an id is no step in a path",
    `w.stage("..", () => 1);`,
    quoted(`No stage can have the id ".."`),
  ],
  ["an id is empty", `w.stage("", () => 1);`, "The id of a stage is not empty"],
  [
    "an id is not known to the compiler",
    `declare const id: string; w.stage(id, () => 1);`,
    "The id of a stage is written where it is used, as one text",
  ],
  [
    "an earlier output's id is mistyped",
    `w.stage("extract", () => 1).stage("b", async ({ output }) => output("extrct"));`,
    `Argument of type '"extrct"' is not assignable to parameter of type '"extract"'`,
  ],
  [
    "the output of a later stage is read",
    `w.stage("a", async ({ output }) => output("b")).stage("b", () => 1);`,
    `'"b"' is not assignable to parameter of type '"No stage comes before this one"'`,
  ],
  [
    "the output of a stage beside it is read",
    `w.stage("a", () => 1).parallel({ b: () => 1, c: async ({ output }) => output("b") });`,
    `Argument of type '"b"' is not assignable to parameter of type '"a"'`,
  ],
  [
    "an id is one of several",
    `declare const id: "a" | "b"; w.stage(id, () => 1);`,
    "The id of a stage is written where it is used, as one text",
  ],
  [
    "an id is a pattern",
    `declare const n: number; w.stage(\`s\${n}\` as const, () => 1);`,
    "The id of a stage is written where it is used, as one text",
  ],
  [
    "the id of a group's member is reserved",
    `w.parallel({ "~a": () => 1 });`,
    quoted(`No stage can have the id "~a"`),
  ],
  ["a group is empty", `w.parallel({});`, "A group has a stage"],
  ["a workflow is empty", `w.build();`, "A workflow has a stage"],
];

export const JSON_VALUES: readonly Mistake[] = [
  [
    "a Date is deep in what a function returns",
    `w.stage("a", () => ({ at: [{ when: new Date() }] }));`,
    json("output.at[].when"),
  ],
  [
    "a member that may be absent is a bigint",
    `w.stage("a", (): { n?: bigint } => ({}));`,
    json("output.n"),
  ],
  [
    "a Map is returned by a member of a group",
    `w.parallel({ a: () => new Map<string, string>() });`,
    json("output"),
  ],
  [
    "a class with methods is returned",
    `w.stage("a", () => ({ at: new URL("https://example.com/") }));`,
    json("output.at"),
  ],
  ["a Response is returned", `w.stage("a", () => fetch("https://example.com/"));`, json("output")],
  ["a stage is a generator by mistake", `w.stage("a", async function* () {});`, json("output")],
  [
    "an Error is returned",
    `w.stage("a", () => ({ error: new Error("no") }));`,
    json("output.error"),
  ],
  ["a promise is not awaited", `w.stage("a", () => ({ a: fetch("/") }));`, json("output.a")],
  ["a function is returned", `w.stage("a", () => ({ then_: () => 1 }));`, json("output.then_")],
  ["bytes are returned", `w.stage("a", () => ({ a: new Uint8Array(3) }));`, json("output.a")],
  ["a tuple has a Date", `w.stage("a", () => [1, new Date()] as const);`, json("output[1]")],
  ["a record has Dates", `w.stage("a", (): Record<string, Date> => ({}));`, json("output.*")],
  [
    "an interface has a Date, six levels deep",
    `interface Doc { a: { b: { c: { d: { e: { f: Date } } } } } }
     declare const doc: Doc;
     w.stage("a", () => doc);`,
    json("output.a.b.c.d.e.f"),
  ],
  [
    "a recursive type has a bigint in each of its parts",
    `interface A { left: B; right: A; body: A[]; test: B | null }
     interface B { callee: A; args: (A | B)[]; left: B; at: bigint }
     declare const a: A;
     w.stage("a", () => a);`,
    "JSON has no such value: output.left.at",
  ],
  [
    "a Date is returned behind a condition",
    `w.stageIf("a", () => true, () => new Date());`,
    json("output"),
  ],
  ["a list has holes", `w.stage("a", () => [1, undefined]);`, json("output[]")],
  [
    "a stage by itself returns a Date",
    `stage({ run: () => ({ at: new Date() }) });`,
    json("output.at"),
  ],
  [
    "a schema makes a Date of the output",
    `stage({ output: z.object({ at: z.coerce.date() }), run: () => ({ at: "2026" }) });`,
    json("output.at"),
  ],
  [
    "a schema makes a Date of the config",
    `stage({ config: z.object({ at: z.coerce.date() }), run: () => 1 });`,
    json("config.at"),
  ],
  [
    "a schema makes a Date of the input",
    `workflow("d", { input: z.object({ at: z.coerce.date() }) });`,
    json("input.at"),
  ],
  [
    "a schema makes a Date of a signal's payload",
    `w.waitFor("s", { payload: z.object({ at: z.coerce.date() }), within });`,
    json("payload.at"),
  ],
  [
    "a stage suspends with a Date",
    `stage({ run: ({ suspend }) => suspend({ b: new Date() }, pause), poll: () => 1 });`,
    json("state.b"),
  ],
  [
    "a Set is to be remembered",
    `stage({ run: async ({ once }) => { await once("k", () => new Set<string>()); return 1; } });`,
    json("result"),
  ],
];

export const STAGES: readonly Mistake[] = [
  [
    "a stage suspends and has no poll",
    `stage({ run: ({ suspend }) => suspend({ b: 1 }, pause) });`,
    "Property 'poll' is missing",
  ],
  [
    "a poll gets the state with which its stage suspends",
    `stage({ run: ({ suspend }) => suspend({ batch: 1 }, pause), poll: (_, state) => state.bacth });`,
    "Property 'bacth' does not exist on type '{ batch: number; }'. Did you mean 'batch'?",
  ],
  [
    "a stage does not return what its output schema takes",
    `stage({ output: z.object({ n: z.number() }), run: () => ({ n: "1" }) });`,
    "Type 'string' is not assignable to type 'number'",
  ],
  [
    "an option is mistyped",
    `w.stage("a", () => 1, { timeot: "2m" });`,
    "Did you mean to write 'timeout'?",
  ],
  [
    "what poll gives is not what the output schema takes",
    `stage({
       output: z.object({ n: z.number() }),
       run: ({ suspend }) => suspend({ b: 1 }, pause),
       poll: ({ notReady }, state) => (state.b > 1 ? notReady() : { m: 1 }),
     });`,
    "Type '{ m: number; }' is not assignable to type 'Awaitable<NotReady | { n: number; }>'",
  ],
  [
    "an earlier output is not awaited",
    `w.stage("a", () => ({ n: 1 })).stage("b", ({ output }) => output("a").n);`,
    "Property 'n' does not exist on type 'Promise<{ n: number; }>'",
  ],
  [
    "the output of a stage behind a condition is taken for there",
    `w.stageIf("c", () => true, () => ({ k: 1 }))
      .stage("b", async ({ output }) => (await output("c")).k);`,
    "Object is possibly 'undefined'",
  ],
  [
    "a signal's payload is read that may not have come",
    `w.waitFor("s", { payload: z.object({ ok: z.boolean() }), within })
      .stage("b", ({ input }) => input.payload.ok);`,
    "Property 'payload' does not exist on type '{ readonly received: false; }'",
  ],
  [
    "a stage takes a context that this place has not",
    `w.stage("a", ({ input }: { input: { text: string } }) => input.text);`,
    "Property 'text' is missing in type '{ a: string; lang: number; }'",
  ],
  [
    "a duration has no such unit",
    `w.sleep("a", "1w");`,
    `Argument of type '"1w"' is not assignable`,
  ],
  [
    "a condition is not yes or no",
    `w.stageIf("a", () => "yes", () => 1);`,
    "Type 'string' is not assignable to type 'Awaitable<boolean>'",
  ],
  [
    "a plain function suspends",
    `w.stage("a", ({ suspend }) => typeof suspend);`,
    "Property 'suspend' does not exist",
  ],
  [
    "a stage by itself reads an earlier output",
    `stage({ run: ({ output }) => output });`,
    "Property 'output' does not exist",
  ],
  [
    "a binding is not declared",
    `stage({ run: ({ env }) => env.NO_SUCH_BINDING });`,
    "Property 'NO_SUCH_BINDING' does not exist on type 'Env'",
  ],
];

export const RUNS: readonly Mistake[] = [
  [
    "a run is started of a workflow that is not built",
    `await runs.start(w.stage("a", () => 1), { a: "x", lang: 1 });`,
    "is missing the following properties from type 'Workflow<",
  ],
  [
    "a run is started with half an input",
    `await runs.start(built, { a: "x" });`,
    "Property 'lang' is missing",
  ],
  [
    "a run is started with a config for no stage",
    `await runs.start(built, { a: "x", lang: 1 }, { config: { extract: {} } });`,
    "is not assignable to type 'never'",
  ],
  [
    "a run is started without the config that a stage needs",
    `await runs.start(configured, null);`,
    quoted(`Stage "write" needs a config, which is to be given at start`),
  ],
  [
    "a run is started with half a config",
    `await runs.start(configured, null, { config: { write: { words: 1 } } });`,
    "Property 'model' is missing",
  ],
  [
    "a run is started with a mistyped config",
    `await runs.start(configured, null, { config: { write: { modle: "big" } } });`,
    "Did you mean to write 'model'?",
  ],
  [
    "a signal is sent to a workflow that waits for none",
    `await runs.get(configured, "r").signal("approval", { ok: true });`,
    `'"approval"' is not assignable to parameter of type '"The workflow waits for no signal"'`,
  ],
  [
    "a run's output is taken for there",
    `const output = await runs.get(built, "r").output(); output.value;`,
    "Property 'value' does not exist on type '{ readonly status:",
  ],
  [
    "a run is rerun from a mistyped stage",
    `await runs.get(built, "r").rerun({ from: "extrat" });`,
    `Did you mean '"extract"'?`,
  ],
  [
    "a signal's name is mistyped",
    `await runs.get(built, "r").signal("aproval", { ok: true });`,
    `Argument of type '"aproval"' is not assignable to parameter of type '"approval"'`,
  ],
  [
    "a signal's payload is another",
    `await runs.get(built, "r").signal("approval", { ok: "yes" });`,
    "Type 'string' is not assignable to type 'boolean'",
  ],
];
