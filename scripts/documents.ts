/** Reads the documents that the example works on from disk. */
import { readdir, readFile, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { DocumentInput } from "../examples/documents/src/stages/parse.ts";
import {
  CORPUS_BYTES_MAX,
  corpusTooLarge,
  DOCUMENT_BYTES_MAX,
  DOCUMENTS_MAX,
  documentTooLarge,
  FILES_MAX,
} from "../examples/documents/src/api.ts";
import { Complaint } from "./complaint.ts";
import { ROOT } from "./wrangler.ts";

/** Packages that are installed here and have a README of some size. */
const PACKAGES = [
  "hono",
  "zod",
  "drizzle-orm",
  "miniflare",
  "fast-check",
  "undici",
  "ws",
  "cookie",
  "semver",
  "tinybench",
];
const PACKAGES_MAX = 8;
const NOT_LISTED = new Set(["node_modules", ".git"]);

/** The READMEs of some installed packages. */
export async function installedReadmes(): Promise<DocumentInput[]> {
  const documents: DocumentInput[] = [];
  for (const name of PACKAGES) {
    const file = join(ROOT, "node_modules", name, "README.md");
    if (documents.length === PACKAGES_MAX || !(await isFile(file))) continue;
    documents.push(await readDocument(file, `${name}/README.md`));
  }
  if (documents.length === 0) throw new Complaint("No packages are installed. Run `npm ci` first.");
  return documents;
}

/** The user's own documents. @throws Complaint with the file that cannot be used. */
export async function readDocuments(files: readonly string[]): Promise<DocumentInput[]> {
  if (files.length > DOCUMENTS_MAX) {
    throw new Complaint(`${files.length} files; a corpus has ${DOCUMENTS_MAX} documents at most.`);
  }
  const documents = await Promise.all(files.map((file) => readDocument(resolve(file), file)));
  const bytes = documents.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
  if (bytes > CORPUS_BYTES_MAX) throw new Complaint(`${corpusTooLarge(bytes)}.`);
  return documents;
}

async function readDocument(file: string, path: string): Promise<DocumentInput> {
  const info = await stat(file).catch(() => null);
  if (info === null) throw new Complaint(`There is no file ${path}.`);
  if (!info.isFile()) throw new Complaint(`${path} is not a file.`);
  if (info.size > DOCUMENT_BYTES_MAX) throw new Complaint(`${documentTooLarge(path, info.size)}.`);
  const text = await readFile(file, "utf8").catch((error: unknown) => {
    throw new Complaint(`${path} cannot be read: ${String(error)}`);
  });
  return { path, text, files: await listFiles(dirname(file)) };
}

/**
 * The files of a folder and below, so that relative links can be checked. `undefined` when there are
 * too many: with half a list, links to the other half would be called broken.
 */
async function listFiles(folder: string): Promise<string[] | undefined> {
  const found: string[] = [];
  const folders = [""];
  for (let prefix = folders.pop(); prefix !== undefined; prefix = folders.pop()) {
    const entries = await readdir(join(folder, prefix), { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      if (NOT_LISTED.has(entry.name)) continue;
      found.push(prefix + entry.name);
      if (entry.isDirectory()) folders.push(`${prefix}${entry.name}/`);
    }
    if (found.length > FILES_MAX) return undefined;
  }
  return found;
}

async function isFile(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null))?.isFile() === true;
}
