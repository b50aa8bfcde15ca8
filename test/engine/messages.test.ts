/**
 * What the compiler says where a workflow does not fit. Each mistake is a file of its own; one `tsc`
 * compiles them all, and what it says of each is compared.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..", "..");
const COMPILING_MS = 120_000;

const HEAD = `
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
  export { built, needs, pause, runs, stage, w, within, workflow, z };
`;

const IMPORTS = `import { built, needs, pause, runs, stage, w, within, workflow, z } from "./head.ts";`;

/** A mistake, and what the compiler says of it, or a part of that. */
type Mistake = readonly [mistake: string, code: string, says: string];

const json = (path: string) => `"JSON has no such value: ${path}"`;
const quoted = (text: string) => text.replaceAll('"', '\\"');
const needsMember = (id: string, member: string) =>
  quoted(`Stage "${id}" needs "${member}", which does not come before it`);

const FIT: readonly Mistake[] = [
  [
    "a stage needs what does not come before it",
    `w.stage("x", needs);`,
    needsMember("x", "sections"),
  ],
  [
    "a stage needs another type of what comes before it",
    `w.stage("a", () => ({ sections: [1, 2], lang: "en" })).stage("x", needs);`,
    needsMember("x", "sections"),
  ],
  [
    "a stage does not take what comes before it, which has no members",
    `const length = stage({ input: z.string(), run: ({ input }) => input.length });
     w.stage("a", () => 1).stage("x", length);`,
    quoted(`Stage "x" does not take what comes before it`),
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

const IDS: readonly Mistake[] = [
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
    "The id of a stage is written where it is used, as text",
  ],
  [
    "an earlier output's id is mistyped",
    `w.stage("extract", () => 1).stage("b", async ({ output }) => output("extrct"));`,
    `Argument of type '"extrct"' is not assignable to parameter of type '"extract"'`,
  ],
  [
    "the output of a later stage is read",
    `w.stage("a", async ({ output }) => output("b")).stage("b", () => 1);`,
    `Argument of type '"b"' is not assignable to parameter of type 'never'`,
  ],
];

const JSON_VALUES: readonly Mistake[] = [
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
    "JSON has no such value: output.at.",
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

const STAGES: readonly Mistake[] = [
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

const RUNS: readonly Mistake[] = [
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

const ALL = [...FIT, ...IDS, ...JSON_VALUES, ...STAGES, ...RUNS];
const folder = mkdtempSync(join(tmpdir(), "workflow-engine-messages-"));
const fileOf = (code: string) => `mistake-${ALL.findIndex((each) => each[1] === code)}.ts`;
/** The errors of each mistake's file. */
let errors: Map<string, string[]>;

beforeAll(() => {
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"), "junction");
  writeFileSync(join(folder, "package.json"), `{ "type": "module" }`);
  writeFileSync(join(folder, "head.ts"), HEAD);
  for (const [, code] of ALL) {
    writeFileSync(
      join(folder, fileOf(code)),
      `${IMPORTS}
${code}`,
    );
  }
  const options = {
    extends: join(ROOT, "tsconfig.json"),
    compilerOptions: {
      types: ["@cloudflare/workers-types"],
      noUnusedLocals: false,
      paths: { "workflow-engine-cloudflare/engine": [join(ROOT, "src/engine/index.ts")] },
    },
    include: ["*.ts"],
    exclude: [],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(options));
  const tsc = join(ROOT, "node_modules", ".bin", "tsc");
  const { stdout, stderr, error } = spawnSync(tsc, ["-p", "."], { cwd: folder, encoding: "utf8" });
  if (error !== undefined) throw error;
  errors = new Map();
  // An error begins at the line's head; what follows indented explains it.
  for (const text of `${stdout}${stderr}`.trim().split(/\n(?! )/)) {
    const [, file = text] = /^(.+?)\(\d+,\d+\): error /.exec(text) ?? [];
    errors.set(file, [...(errors.get(file) ?? []), text]);
  }
}, COMPILING_MS);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe.each([
  ["where stages do not fit", FIT],
  ["of ids", IDS],
  ["of what JSON does not keep", JSON_VALUES],
  ["of stages and their options", STAGES],
  ["of runs", RUNS],
])("the compiler's message %s", (_what, mistakes) => {
  it.each(mistakes)("%s", (_mistake, code, says) => {
    const found = errors.get(fileOf(code)) ?? [];
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(says);
    // It says what is wrong and nothing of the compiler's own settings.
    expect(found[0]).not.toContain("exactOptionalPropertyTypes");
  });
});

it("has no other errors", () => {
  const files = ALL.map(([, code]) => fileOf(code));
  expect([...errors.keys()].filter((file) => !files.includes(file))).toEqual([]);
});
