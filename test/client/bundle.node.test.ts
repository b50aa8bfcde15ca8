/** What callers bundle. Runs in Node: a bundler needs it. */
import { gzipSync } from "node:zlib";
import { build, type Metafile } from "esbuild";
import { beforeAll, describe, expect, it } from "vitest";

/** All of the client, before compression. */
const MINIFIED_BYTES_MAX = 120_000;
/** All of the service. */
const WORKER_BYTES_MAX = { minified: 560 * 1_024, compressed: 165 * 1_024 };

interface Bundle {
  readonly text: string;
  /** Every module that is reached from its entry. */
  readonly modules: readonly string[];
  /** The packages that have code in it. */
  readonly held: readonly string[];
  /** What it leaves to the platform. */
  readonly imports: readonly string[];
}

async function bundle(entry: string): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    target: "es2024",
    external: ["node:*", "cloudflare:*"],
  });
  const outputs: Metafile["outputs"] = metafile.outputs;
  return {
    text: outputFiles.map((file) => file.text).join(""),
    modules: Object.keys(metafile.inputs),
    held: Object.values(outputs).flatMap(({ inputs }) =>
      Object.entries(inputs).flatMap(([path, { bytesInOutput }]) =>
        bytesInOutput > 0 ? [path] : [],
      ),
    ),
    imports: Object.values(outputs).flatMap((output) => output.imports.map(({ path }) => path)),
  };
}

/** The packages that modules come from. */
function packagesOf(modules: readonly string[]): string[] {
  const names = modules.flatMap((path) => {
    const found = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path);
    return found?.[1] === undefined ? [] : [found[1]];
  });
  return [...new Set(names)].toSorted();
}

function foldersOf(modules: readonly string[]): string[] {
  const names = modules.flatMap((path) => /^src\/(\w+)\//.exec(path)?.[1] ?? []);
  return [...new Set(names)].toSorted();
}

describe("the client's bundle", () => {
  let client: Bundle;

  beforeAll(async () => {
    client = await bundle("src/client/index.ts");
  });

  it("holds a parser of event streams and no other package: no zod, no Hono", () => {
    expect(packagesOf(client.modules)).toEqual(["eventsource-parser"]);
  });

  it("holds nothing of the store, the coordinator, the service or the tests", () => {
    expect(foldersOf(client.modules)).toEqual([
      "changes",
      "client",
      "contract",
      "memory",
      "model",
      "persistence",
      "queries",
    ]);
  });

  it("imports nothing of the platform but AsyncLocalStorage", () => {
    expect([...new Set(client.imports)]).toEqual(["node:async_hooks"]);
  });

  it("holds no SQL", () => {
    expect(client.text).not.toMatch(/\b(SELECT|INSERT INTO|DELETE FROM) /);
  });

  it("is small", () => {
    expect(client.text.length).toBeLessThan(MINIFIED_BYTES_MAX);
  });
});

describe("the in-memory backend's bundle", () => {
  it("holds the consumer and the sweep, and nothing of the database or the platform", async () => {
    const memory = await bundle("src/testing/memory.ts");
    expect(foldersOf(memory.modules)).toEqual([
      "changes",
      "contract",
      "engine",
      "memory",
      "model",
      "persistence",
      "queries",
      "queue",
      "runner",
      "schedule",
      "testing",
    ]);
    expect(packagesOf(memory.modules)).toEqual(["zod"]);
    expect([...new Set(memory.imports)]).toEqual(["node:async_hooks"]);
  });
});

describe("the Worker's bundle", () => {
  let worker: Bundle;

  beforeAll(async () => {
    worker = await bundle("src/index.ts");
  });

  it("holds Hono, jose and zod, so that these would be found, and no drizzle", () => {
    expect(packagesOf(worker.modules)).toEqual(["hono", "jose", "zod"]);
    expect(worker.imports).toContain("cloudflare:workers");
    expect(worker.text).toContain("INSERT INTO ");
  });

  it("is small, and speaks one of zod's languages", () => {
    expect(worker.text.length).toBeLessThan(WORKER_BYTES_MAX.minified);
    expect(gzipSync(worker.text).length).toBeLessThan(WORKER_BYTES_MAX.compressed);
    const languages = worker.held.filter((path) => /zod\/.*\/locales\//.test(path));
    expect(languages.map((path) => path.slice(path.lastIndexOf("/") + 1))).toEqual(["en.js"]);
  });
});
