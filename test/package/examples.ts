/** The `@example`s in the declarations of a package, as modules of a project that has installed it. */
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** What a module exports: where it is declared, and whether it is a type alone. */
interface Exported {
  readonly file: string;
  readonly type: boolean;
}
type Exports = ReadonlyMap<string, Exported>;

const DECLARED = /^(export )?(?:declare |abstract )*(interface|type|class|function|const) (\w+)/gm;
const EVERYTHING = /^export \* from "(.+)\.ts";$/gm;
const NAMED = /^export (type )?\{([^}]*)\}(?: from "(.+)\.ts")?;$/gm;

const read = (file: string) => readFileSync(file, "utf8");

/** All that a declaration file exports, by name. */
function exportsOf(file: string): Exports {
  const text = read(file);
  const from = (path: string) => exportsOf(join(dirname(file), `${path}.d.ts`));
  const found = new Map<string, Exported>();
  for (const [, exported, kind = "", name = ""] of text.matchAll(DECLARED)) {
    if (exported === undefined) continue;
    found.set(name, { file, type: kind === "interface" || kind === "type" });
  }
  for (const [, path = ""] of text.matchAll(EVERYTHING)) {
    for (const [name, exported] of from(path)) found.set(name, exported);
  }
  for (const [, types, names = "", path] of text.matchAll(NAMED)) {
    const there = path === undefined ? null : from(path);
    for (const entry of names.split(",").map((each) => each.trim())) {
      const name = entry.replace(/^type /, "");
      const type = types !== undefined || name !== entry;
      const exported = there?.get(name) ?? { file, type };
      found.set(name, { ...exported, type: exported.type || type });
    }
  }
  return found;
}

interface Example {
  /** The export that it belongs to; null at the head of a file. */
  readonly of: string | null;
  readonly line: number;
  readonly code: string;
}

/** What a comment is about, by the text after it. */
const ABOUT =
  /^\n(?:export )?(?:(?:declare |abstract )*(?:interface|type|class|function|const) |\{ )(\w+)/;

/** The examples of a declaration file. One of a member belongs to the export around it. */
function examplesIn(text: string): Example[] {
  const declared = [...text.matchAll(DECLARED)];
  return [...text.matchAll(/^( *)\/\*\*(.*?)\*\//gms)].flatMap(
    ({ 0: whole, 1: indent, 2: body = "", index }) => {
      const around = declared.findLast((each) => each.index < index)?.[3];
      const after = ABOUT.exec(text.slice(index + whole.length))?.[1];
      const about = indent === "" ? after : around;
      // A file begins with a comment about itself.
      const of = index === 0 ? null : (about ?? null);
      const line = text.slice(0, index).split("\n").length;
      const lines = body.split("\n").map((each) => each.replace(/^ *\* ?/, ""));
      const tags = lines.join("\n").split(/^@(?=\w)/m);
      return tags
        .filter((tag) => tag.startsWith("example"))
        .map((tag) => ({ of, line, code: tag.slice("example".length).trim() }));
    },
  );
}

/** The example with imports of the exports that it names and does not import or declare itself. */
function asModule(code: string, entries: readonly (readonly [string, Exports])[]): string {
  const own = code.match(/^import [^;]+;$/gm) ?? [];
  const body = own.reduce((rest, line) => rest.replace(line, ""), code);
  const names = (text: string, name: string) => new RegExp(`(?<![\\w.])${name}\\b`).test(text);
  const added = new Map<string, string>();
  for (const [entry, exports] of entries) {
    for (const [name, { type }] of exports) {
      const declares = new RegExp(`(?:const|class|function) ${name}\\b`).test(body);
      const known = declares || added.has(name) || own.some((line) => names(line, name));
      if (known || !names(body, name)) continue;
      added.set(name, `import ${type ? "type " : ""}{ ${name} } from "${entry}";`);
    }
  }
  const inside = /^export /m.test(body) ? body : `export async function example() {\n${body}\n}`;
  return [...own, ...added.values(), inside, ""].join("\n");
}

/**
 * The examples of all that is exported, each as the text of a module. Its file's name says where
 * the example is.
 * @param dist the folder of the declarations.
 * @param entries the name under which each is imported, and its declaration file.
 */
export function examplesOf(
  dist: string,
  entries: readonly (readonly [name: string, file: string])[],
): Record<string, string> {
  const exported = entries.map(([entry, file]) => [entry, exportsOf(join(dist, file))] as const);
  const files = new Map<string, Set<string | null>>();
  // The head of an entry has examples, too.
  for (const [, file] of entries) files.set(join(dist, file), new Set([null]));
  for (const [, exports] of exported) {
    for (const [name, { file }] of exports) {
      files.set(file, (files.get(file) ?? new Set()).add(name));
    }
  }
  const modules: Record<string, string> = {};
  for (const [file, documented] of files) {
    for (const { of, line, code } of examplesIn(read(file))) {
      if (!documented.has(of)) continue;
      const place = relative(dist, file).replaceAll("/", "-").replace(".d.ts", "");
      const name = `example-${Object.keys(modules).length}-${place}-${line}.ts`;
      modules[name] = asModule(code, exported);
    }
  }
  return modules;
}
