/** What a project has that defines workflows: the entry `engine` of the packed tarball. */
import { describe, expect, it } from "vitest";
import { COMPILING_MS, type Consumer, NAME, run } from "./support.ts";

/** @param consumer is made before the tests run. */
export function describeEngine(consumer: () => Consumer): void {
  describe("workflow-engine-cloudflare/engine", () => {
    const source = `
    import * as z from "zod";
    import { type ConfigOf, type InputOf, stage, type Workflow, workflow } from "${NAME}/engine";
    const count = stage({
      input: z.object({ text: z.string() }),
      config: z.object({ per: z.enum(["word", "line"]).default("word") }),
      run: ({ input, config, signal }) => ({ signal: signal.aborted, n: input.text.split(config.per).length }),
    });
    export const counted = workflow("count", { input: z.object({ text: z.string(), by: z.string().default("me") }) })
      .stage("count", count)
      .parallel({ half: ({ input }) => input.n / 2, double: ({ input }) => input.n * 2 })
      .waitFor("approval", { payload: z.object({ ok: z.boolean() }), within: "3d" })
      .stage("end", async ({ input, output }) => (input.received ? (await output("count")).n : null))
      .build();
    export const asAny: Workflow = counted;
    export const input: InputOf<typeof counted> = { text: "a" };
    export const config: ConfigOf<typeof counted> = { count: { per: "line" } };
  `;

    it.each([
      ["Node's types", { lib: ["es2024"], types: ["node"] }],
      ["Workers' types", { lib: ["es2024"], types: ["@cloudflare/workers-types"] }],
      ["a page's", { lib: ["es2024", "dom"], types: [] }],
    ])(
      "types workflows, and their declarations, in a project with %s",
      (_whose, options) => {
        const declaring = { ...options, declaration: true };
        expect(consumer().typecheck({ "workflow.ts": source }, declaring)).toBe("");
        // The check would tell.
        const wrong = source.replace('per: "line"', 'per: "page"');
        expect(consumer().typecheck({ "workflow.ts": wrong }, declaring)).toContain("TS2322");
      },
      COMPILING_MS,
    );

    it(
      "types workflows, and their declarations, by TypeScript 5.9",
      () => {
        const options = { lib: ["es2024"], types: ["node"], declaration: true };
        expect(consumer().typecheck({ "workflow.ts": source }, options, "TypeScript 5.9")).toBe("");
        const wrong = source.replace('per: "line"', 'per: "page"');
        const says = consumer().typecheck({ "workflow.ts": wrong }, options, "TypeScript 5.9");
        expect(says).toContain("TS2322");
      },
      COMPILING_MS,
    );

    it.each(["TypeScript 7", "TypeScript 5.9"] as const)(
      "types workflows in a project that is not strict, by %s",
      (compiler) => {
        const options = { lib: ["es2024"], types: [], strict: false, skipLibCheck: true };
        const loose = { ...options, exactOptionalPropertyTypes: false };
        expect(consumer().typecheck({ "workflow.ts": source }, loose, compiler)).toBe("");
        const wrong = source.replace("input.n / 2", "input.m / 2");
        const says = consumer().typecheck({ "workflow.ts": wrong }, loose, compiler);
        expect(says).toMatch(/Property 'm' does not exist on type '\{ signal: \w+; n: number; \}'/);
      },
      COMPILING_MS,
    );

    it(
      "knows the bindings that the project has declared, as wrangler does",
      () => {
        const env = `declare namespace Cloudflare { interface Env { readonly MODEL_KEY: string } }`;
        const uses = `
        import { stage, type StageEnv } from "${NAME}/engine";
        export const keyOf = (env: StageEnv): string => env.MODEL_KEY;
        export const length = stage({ run: ({ env }) => env.MODEL_KEY.length });
        // @ts-expect-error: there is no such binding.
        export const none = stage({ run: ({ env }) => env.NO_SUCH_BINDING });
      `;
        const options = { lib: ["es2024"], types: ["@cloudflare/workers-types"] };
        expect(consumer().typecheck({ "env.d.ts": env, "uses.ts": uses }, options)).toBe("");
      },
      COMPILING_MS,
    );

    it("is plain code: bundled for nothing known, it imports nothing and carries no zod", async () => {
      const { ours, modules, imports } = await consumer().bundle(
        `export * from "${NAME}/engine";`,
        {
          platform: "neutral",
        },
      );
      expect(ours).toContain("engine/workflow.js");
      expect(modules.filter((path) => path.includes("node_modules/zod"))).toEqual([]);
      expect(imports).toEqual([]);
    });

    it("defines workflows in Node as it is", () => {
      const script = `
      import { workflow } from "${NAME}/engine";
      import * as z from "zod";
      const { plan } = workflow("w", { input: z.null() }).stage("a", () => 1).sleep("b", "2s").build();
      console.log(plan.groups.flat().map(({ id, kind }) => kind + " " + id).join());
    `;
      const { output } = run(
        consumer().folder,
        process.execPath,
        "--input-type=module",
        "--eval",
        script,
      );
      expect(output.trim()).toBe("stage a,sleep b");
    });

    it("tests them there, whose process then ends by itself", () => {
      const script = `
      import { workflow } from "${NAME}/engine";
      import { testRun } from "${NAME}/engine/testing";
      import * as z from "zod";
      const sleepy = workflow("w", { input: z.null() }).sleep("b", "2d").stage("a", () => 1).build();
      const t = await testRun(sleepy, null, { now: 0, crash: "everywhere" });
      console.log(await t.output(), t.now, t.deaths > 0);
    `;
      const { output } = run(
        consumer().folder,
        process.execPath,
        "--input-type=module",
        "--eval",
        script,
      );
      expect(output.trim()).toBe("1 172800000 true");
    });
  });
}
