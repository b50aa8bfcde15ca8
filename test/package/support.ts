/** The package as npm would publish it, unpacked where a consumer has it. */
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, type BuildOptions } from "esbuild";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
export const NAME = "workflow-engine-cloudflare";
/** What compiling a project may take. */
export const COMPILING_MS = 60_000;
/** What npm would install beside it, and what its README asks for. */
const INSTALLED = [
  "@cloudflare/workers-types",
  "@types/node",
  "undici-types",
  "eventsource-parser",
  "hono",
  "jose",
  "zod",
];

/** Runs a command in a folder, to its end. */
export function run(cwd: string, command: string, ...args: string[]) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (error !== undefined) throw error;
  return { status, output: `${stdout}${stderr}` };
}

/** A command that is installed here. */
export function bin(name: string): string {
  return join(ROOT, "node_modules", ".bin", name);
}

/** The compilers that a project may have: the one that the package is built with, and the last of JavaScript. */
export const COMPILERS = {
  "TypeScript 7": bin("tsc"),
  "TypeScript 5.9": createRequire(import.meta.url).resolve("typescript-5.9/bin/tsc"),
} as const;

export class Consumer {
  readonly folder = mkdtempSync(join(tmpdir(), "workflow-engine-consumer-"));
  readonly package = join(this.folder, "node_modules", NAME);

  /** Builds and packs the package, and installs it with what it needs, without the network. */
  constructor() {
    const packed = run(ROOT, "npm", "pack", "--pack-destination", this.folder);
    if (packed.status !== 0) throw new Error(packed.output);
    const [tarball = ""] = readdirSync(this.folder).filter((name) => name.endsWith(".tgz"));
    mkdirSync(this.package, { recursive: true });
    const unpacking = ["-xzf", tarball, "--strip-components=1", "-C", join("node_modules", NAME)];
    const unpacked = run(this.folder, "tar", ...unpacking);
    if (unpacked.status !== 0) throw new Error(unpacked.output);
    for (const name of INSTALLED) this.link(name);
    this.write("package.json", JSON.stringify({ private: true, type: "module" }));
  }

  /** Installs a package that is installed here. */
  link(name: string, installedAs = name): void {
    const place = join(this.folder, "node_modules", name);
    mkdirSync(dirname(place), { recursive: true });
    symlinkSync(join(ROOT, "node_modules", installedAs), place, "junction");
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text);
  }

  /** Bundles a module of the consumer's, and tells which files of ours came in and what is left to the platform. */
  async bundle(contents: string, options: BuildOptions) {
    const { outputFiles, metafile } = await build({
      format: "esm",
      target: "es2024",
      ...options,
      stdin: { contents, resolveDir: this.folder },
      absWorkingDir: this.folder,
      bundle: true,
      write: false,
      metafile: true,
    });
    const outputs = Object.values(metafile.outputs);
    return {
      text: outputFiles.map((file) => file.text).join(""),
      modules: Object.keys(metafile.inputs),
      ours: Object.keys(metafile.inputs).flatMap((path) => path.split(`${NAME}/dist/`)[1] ?? []),
      imports: [...new Set(outputs.flatMap(({ imports }) => imports.map(({ path }) => path)))],
    };
  }

  /** What a strict `tsc` says of these files, each by its text. Nothing when they are in order. */
  typecheck(
    files: Readonly<Record<string, string>>,
    options: object = {},
    compiler: keyof typeof COMPILERS = "TypeScript 7",
  ): string {
    const strictest = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noPropertyAccessFromIndexSignature: true,
      verbatimModuleSyntax: true,
      // The package's own declarations are checked, too.
      skipLibCheck: false,
      target: "es2024",
      module: "esnext",
      moduleResolution: "bundler",
      noEmit: true,
      ...options,
    };
    return this.compile(files, strictest, compiler);
  }

  /** The same with these options, and no others. */
  compile(
    files: Readonly<Record<string, string>>,
    compilerOptions: object,
    compiler: keyof typeof COMPILERS,
  ): string {
    for (const [name, text] of Object.entries(files)) this.write(name, text);
    this.write("tsconfig.json", JSON.stringify({ compilerOptions, files: Object.keys(files) }));
    return run(this.folder, COMPILERS[compiler], "-p", ".").output;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
