/** What a project has that installs the package: the packed tarball, unpacked, with bundlers and a strict compiler set on it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { runInNewContext } from "node:vm";
import { gzipSync } from "node:zlib";
import type { BuildOptions } from "esbuild";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeEngine } from "./engine.ts";
import { examplesOf } from "./examples.ts";
import { describePages } from "./pages.ts";
import { bin, COMPILING_MS, Consumer, NAME, ROOT, run } from "./support.ts";

const PACKING_MS = 180_000;
let consumer: Consumer;

beforeAll(() => {
  consumer = new Consumer();
}, PACKING_MS);

afterAll(() => {
  consumer.remove();
});

const CONNECTS = `export { connectHttp } from "${NAME}/client";`;
const node = ["node:*"];

describe("the package", () => {
  it("has every file that its exports name", () => {
    const { exports } = JSON.parse(readFileSync(join(consumer.package, "package.json"), "utf8"));
    const named = [...JSON.stringify(exports).matchAll(/"(\.\/dist\/[^"]+)"/g)].map(
      ([, path = ""]) => path,
    );
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((path) => !existsSync(join(consumer.package, path)))).toEqual([]);
  });

  it.each(["page.css", "page.js", "swagger-ui.css", "swagger-ui-bundle.js"])(
    "has the page of the API's document: %s",
    (file) => {
      expect(existsSync(join(consumer.package, "assets", "docs", file))).toBe(true);
    },
  );

  it("runs nothing when it is installed", () => {
    const { scripts } = JSON.parse(readFileSync(join(consumer.package, "package.json"), "utf8"));
    const own = Object.keys(scripts);
    expect(own.filter((name) => /^(pre|post)?install$|^prepare$/.test(name))).toEqual([]);
  });
});

/** Bytes after compression of what a bundler makes of it for production. */
async function sizeOf(contents: string, options: BuildOptions): Promise<number> {
  const { text } = await consumer.bundle(contents, {
    ...options,
    minify: true,
    external: node,
    logLevel: "silent",
  });
  return text === "" ? 0 : gzipSync(text).length;
}

const WORKER: BuildOptions = {
  platform: "browser",
  conditions: ["workerd", "worker", "browser"],
};
const BROWSER: BuildOptions = { platform: "browser" };
const EVERY_ENTRY = [
  "",
  "/client",
  "/engine",
  "/engine/testing",
  "/http",
  "/testing",
  "/testing/memory",
];

describe("what a project carries of the package", () => {
  it.each(["/client", "/engine", "/engine/testing", "/testing/memory"])(
    "is nothing of an unused import of %s",
    async (entry) => {
      expect(await sizeOf(`import "${NAME}${entry}";`, WORKER)).toBe(0);
      expect(await sizeOf(`import * as unused from "${NAME}${entry}";`, BROWSER)).toBe(0);
    },
  );

  it.each(EVERY_ENTRY)(
    "is nothing of a bare import of %s, since no module acts by itself",
    async (entry) => {
      const external = ["node:*", "cloudflare:*", "vitest"];
      const options = { ...WORKER, external, logLevel: "silent" } as const;
      expect((await consumer.bundle(`import "${NAME}${entry}";`, options)).text.trim()).toBe("");
    },
  );

  it.each<[string, BuildOptions, number]>([
    [`export { isServiceError } from "${NAME}/client";`, WORKER, 2_000],
    [`export { isEngineError, StaleVersionError } from "${NAME}/client";`, BROWSER, 2_000],
    [`export { watchEvents } from "${NAME}/client";`, BROWSER, 5_450],
    [`export { stage, workflow } from "${NAME}/engine";`, WORKER, 5_000],
    [`export { connect } from "${NAME}/client";`, WORKER, 30 * 1_024],
    [`export { connectHttp } from "${NAME}/client";`, BROWSER, 30 * 1_024],
  ])("of %s keeps to its budget", async (contents, options, bytesMax) => {
    const size = await sizeOf(contents, options);
    expect(size).toBeGreaterThan(100);
    expect(size).toBeLessThan(bytesMax);
  });

  it("has no zod and no document of the API in it, nor does Node load them", async () => {
    for (const options of [WORKER, BROWSER, { platform: "node" } as const]) {
      const { modules } = await consumer.bundle(`export * from "${NAME}/client";`, {
        ...options,
        external: node,
      });
      expect(modules.filter((path) => /zod|openapi|dist\/http\//.test(path))).toEqual([]);
      expect(modules.some((path) => path.includes("eventsource-parser"))).toBe(true);
    }
  });
});

describe("workflow-engine-cloudflare/client", () => {
  it.each<[string, BuildOptions]>([
    // https://vite.dev/config/shared-options.html#resolve-conditions
    ["Vite", { platform: "browser", conditions: ["module", "browser", "production"] }],
    // https://webpack.js.org/configuration/resolve/#resolveconditionnames
    ["webpack", { platform: "browser", conditions: ["webpack", "production", "browser"] }],
    ["webpack, for a web worker,", { platform: "browser", conditions: ["webpack", "worker"] }],
    ["esbuild", { platform: "browser" }],
  ])("is for browsers where %s bundles for them, and imports nothing", async (_name, options) => {
    const { ours, imports } = await consumer.bundle(CONNECTS, options);
    expect(ours).toContain("client/browser.js");
    expect(ours).not.toContain("client/index.js");
    expect(ours).not.toContain("client/async-local-chain.js");
    expect(imports).toEqual([]);
  });

  it.each<[string, BuildOptions]>([
    // wrangler's own: https://developers.cloudflare.com/workers/wrangler/bundling/
    ["wrangler", { platform: "browser", conditions: ["workerd", "worker", "browser"] }],
    ["a bundler for Node", { platform: "node" }],
    ["a bundler for Deno", { platform: "neutral", conditions: ["deno", "node", "import"] }],
    ["a bundler for Bun", { platform: "neutral", conditions: ["bun", "node", "import"] }],
    ["a bundler for nothing known", { platform: "neutral" }],
  ])("has AsyncLocalStorage where %s resolves it", async (_name, options) => {
    const { ours, imports } = await consumer.bundle(
      `export { connect, connectHttp } from "${NAME}/client";`,
      {
        ...options,
        external: node,
      },
    );
    expect(ours).toContain("client/index.js");
    expect(ours).not.toContain("client/browser.js");
    expect(imports).toEqual(["node:async_hooks"]);
  });

  it("is the full one where Node itself resolves it", () => {
    const script = `import * as client from "${NAME}/client"; console.log(typeof client.connect);`;
    const { output } = run(
      consumer.folder,
      process.execPath,
      "--input-type=module",
      "--eval",
      script,
    );
    expect(output.trim()).toBe("function");
  });

  it("names no global that browsers lack", async () => {
    const rules = { rules: { "no-undef": "error" }, env: { browser: true, es2024: true } };
    consumer.write(
      "globals.json",
      JSON.stringify({ ...rules, categories: { correctness: "off" } }),
    );
    const check = (name: string, text: string) => {
      consumer.write(name, text);
      return run(consumer.folder, bin("oxlint"), "-c", "globals.json", name);
    };
    const { text } = await consumer.bundle(CONNECTS, { platform: "browser" });
    expect(check("with-buffer.js", `${text}\nBuffer.from([]);`).output).toContain("'Buffer'");
    const checked = check("bundle.js", text);
    expect(checked.status, checked.output).toBe(0);
  });

  it("works with nothing but what browsers have", async () => {
    const { text } = await consumer.bundle(CONNECTS, {
      platform: "browser",
      format: "iife",
      globalName: "client",
    });
    const sent: { path: string; body: unknown }[] = [];
    const answers: Readonly<Record<string, unknown>> = {
      "/v1/time": { now: 1_800_000_000_000 },
      "/v1/commits": { results: [] },
    };
    const fetch = async (request: Request) => {
      const path = new URL(request.url).pathname;
      sent.push({ path, body: request.body === null ? null : await request.json() });
      return Response.json(answers[path]);
    };
    // What a page has, of all that it has.
    const platform = { AbortController, AbortSignal, Headers, Request, Response, TextDecoder };
    const more = { TextEncoder, URL, ReadableStream, clearTimeout, console, crypto, setTimeout };
    const page = { ...platform, ...more, performance, fetch };
    await runInNewContext(
      `${text}
      client.connectHttp({ url: "https://engine.example", token: "t" }).persistence
        .withTransaction((tx) => tx.completeIdempotencyKey("key", "command", { any: "JSON" }));`,
      page,
    );
    expect(sent.map(({ path }) => path)).toEqual(["/v1/time", "/v1/commits"]);
    expect(sent[1]?.body).toMatchObject({
      changes: [{ kind: "completeIdempotencyKey", key: "key", commandType: "command" }],
    });
  });

  it(
    "has types for browsers, with no connect, where the compiler is told",
    () => {
      const source = `
      import { connectHttp, type Backend } from "${NAME}/client";
      // @ts-expect-error: there are no service bindings.
      import { connect } from "${NAME}/client";
      export const backend: Backend = connectHttp({ url: "https://engine.example", token: "t" });
      export { connect };
    `;
      const lib = ["es2024", "dom", "dom.iterable"];
      const options = { lib, types: [], customConditions: ["browser"] };
      expect(consumer.typecheck({ "browser.ts": source }, options)).toBe("");
    },
    COMPILING_MS,
  );
});

describeEngine(() => consumer);
describePages(() => consumer);

describe("workflow-engine-cloudflare/testing/memory", () => {
  const source = `
    import { createMemoryBackend, type MemoryBackend } from "${NAME}/testing/memory";
    import type { HandlerContext, JobHandler } from "${NAME}/client";
    const memory: MemoryBackend = createMemoryBackend({ now: () => 0, vars: { LEASE_MS: "60000" } });
    const handler: JobHandler = {
      handleJob: async (job) => ({ status: job.attempt > 1 ? "completed" : "failed", error: "no" }),
    };
    const done: Promise<unknown> = memory.consume(handler, 3);
    const others = memory.connect({ workerId: "w" });
    export { done, others };
    export type { HandlerContext };
  `;

  it.each([
    ["Node's types", { lib: ["es2024"], types: ["node"] }],
    ["a page's", { lib: ["es2024", "dom"], types: [] }],
  ])(
    "has types in a project of vitest with %s, and none of Workers",
    (_whose, options) => {
      expect(consumer.typecheck({ "memory.test.ts": source }, options)).toBe("");
      // The check would tell.
      const wrong = `${source}\nmemory.consume("no");`;
      expect(consumer.typecheck({ "memory.test.ts": wrong }, options)).toContain("TS2345");
    },
    COMPILING_MS,
  );
});

/** Every operation of the API's own document, as the paths and methods of `hc`. */
async function operations(): Promise<{ path: string; method: string }[]> {
  const platform = `export class DurableObject {} export class RpcTarget {} export class WorkerEntrypoint {}`;
  const { text } = await consumer.bundle(`export { app } from "${NAME}/http";`, {
    platform: "node",
    plugins: [
      {
        // Of the platform only the names of its classes are needed to ask for the document.
        name: "platform",
        setup({ onResolve, onLoad }) {
          onResolve({ filter: /^cloudflare:workers$/ }, ({ path }) => ({ path, namespace: "cf" }));
          onLoad({ filter: /.*/, namespace: "cf" }, () => ({ contents: platform }));
        },
      },
    ],
  });
  consumer.write("app.mjs", text);
  const { app } = (await import(pathToFileURL(join(consumer.folder, "app.mjs")).href)) as {
    app: { request(path: string): Promise<Response> };
  };
  const document = (await (await app.request("/openapi.json")).json()) as {
    paths: Record<string, Record<string, unknown>>;
  };
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => ({
      path: path.replaceAll(/\{(\w+)\}/g, ":$1"),
      method: `$${method}`,
    })),
  );
}

describe("workflow-engine-cloudflare/http", () => {
  const types = { types: ["@cloudflare/workers-types"], lib: ["es2024"] };

  it(
    "types every operation of the API for hc",
    async () => {
      const all = await operations();
      expect(all.length).toBeGreaterThan(50);
      const lines = all.map(
        ({ path, method }) => `known<Schema["${path}"]["${method}"]["input" | "output"]>(true);`,
      );
      const source = `
      import type { ExtractSchema } from "hono/types";
      import type { App } from "${NAME}/http";
      type Schema = ExtractSchema<App>;
      type IsAny<T> = 0 extends 1 & T ? true : false;
      const known = <T>(yes: IsAny<T> extends true ? false : true) => yes;
      ${lines.join("\n")}
      // @ts-expect-error: there is no such path.
      known<Schema["/v1/nothing"]["$get"]>(true);
    `;
      expect(consumer.typecheck({ "operations.ts": source }, types)).toBe("");
    },
    COMPILING_MS,
  );

  it(
    "types bodies, answers by status, and problems",
    () => {
      const source = `
      import { hc } from "hono/client";
      import type { App, Problem } from "${NAME}/http";
      const { runs, jobs } = hc<App>("https://engine.example").v1;
      const run = { workflowId: "w", workflowName: "W", workflowType: "w", input: { any: ["JSON"] } };
      const created = await runs.$post({ json: run });
      if (created.status === 201) {
        const { id, createdAt, status } = await created.json();
        export_([id satisfies string, createdAt satisfies string]);
        export_([status satisfies "PENDING" | "RUNNING" | "SUSPENDED" | "COMPLETED" | "FAILED" | "CANCELLED" | "SKIPPED"]);
      } else {
        const problem: Problem = await created.json();
        export_(problem.details);
        // @ts-expect-error: there is no such code.
        export_(problem.code === "NO_SUCH_CODE");
      }
      // Instants are text on the way in.
      await jobs.$post({ json: { jobs: [{ workflowRunId: "r", workflowId: "w", stageId: "s", scheduledFor: "2100-01-01T00:00:00Z" }] } });
      // @ts-expect-error: a run has a workflowId.
      await runs.$post({ json: { workflowName: "W", workflowType: "w" } });
      // @ts-expect-error: there is no such status.
      await runs.$get({ query: { status: "DONE" } });
      // @ts-expect-error: the run is to be named.
      await runs[":runId"].$get();
      function export_(_: unknown): void {}
    `;
      expect(consumer.typecheck({ "requests.ts": source }, types)).toBe("");
    },
    COMPILING_MS,
  );

  it(
    "compiles with the example of the documentation, which is the one that is run",
    () => {
      const page = readFileSync(join(ROOT, "docs", "http.md"), "utf8");
      const example = readFileSync(join(ROOT, "examples", "typed-client", "digest.ts"), "utf8");
      expect(page).toContain(`\`\`\`ts\n${example}\`\`\`\n`);
      expect(consumer.typecheck({ "digest.ts": example }, types)).toBe("");
    },
    COMPILING_MS,
  );

  it(
    "has the app, to be mounted in a Worker that has the bindings",
    () => {
      const source = `
      import { Hono } from "hono";
      import { app, type HttpEnv } from "${NAME}/http";
      export { RunCoordinator } from "${NAME}";
      const own = new Hono<{ Bindings: HttpEnv }>().mount("/engine", app.fetch);
      export default { fetch: own.fetch } satisfies ExportedHandler<HttpEnv>;
    `;
      expect(consumer.typecheck({ "worker.ts": source }, types)).toBe("");
    },
    COMPILING_MS,
  );
});

describe("the examples in the documentation of what the package exports", () => {
  const types = { types: ["@cloudflare/workers-types"], lib: ["es2024"] };
  /** What an example finds in the Worker around it. */
  const around = `
    import type { WorkflowEngineEnv } from "${NAME}";
    import type { Backend, DequeueResult, WorkflowEngineBinding } from "${NAME}/client";
    declare global {
      const persistence: Backend["persistence"];
      const jobs: Backend["jobs"];
      const aiCalls: Backend["aiCalls"];
      const audit: Backend["audit"];
      const env: WorkflowEngineEnv & { readonly WORKFLOWS: WorkflowEngineBinding };
      const ctx: ExecutionContext;
      const job: DequeueResult;
      const url: string;
      const token: string;
      const request: Request;
    }
  `;

  it(
    "compile",
    () => {
      const examples = examplesOf(join(consumer.package, "dist"), [
        [NAME, "embed.d.ts"],
        [`${NAME}/client`, "client/index.d.ts"],
        [`${NAME}/client`, "client/browser.d.ts"],
        [`${NAME}/engine`, "engine.d.ts"],
        [`${NAME}/engine/testing`, "testing/engine/index.d.ts"],
        [`${NAME}/http`, "http/index.d.ts"],
        [`${NAME}/testing`, "testing/index.d.ts"],
        [`${NAME}/testing/memory`, "testing/memory.d.ts"],
      ]);
      expect(Object.keys(examples).length).toBeGreaterThan(100);
      expect(consumer.typecheck({ "around.ts": around, ...examples }, types)).toBe("");
      // The check would tell.
      const [name = "", text = ""] = Object.entries(examples)[0] ?? [];
      const wrong = { "around.ts": around, [name]: `${text}missing();` };
      expect(consumer.typecheck(wrong, types)).toContain(name);
    },
    COMPILING_MS,
  );
});
