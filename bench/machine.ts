/** What the figures were measured on. */
import { readFile } from "node:fs/promises";
import { availableParallelism, cpus, loadavg, totalmem, type } from "node:os";
import { join } from "node:path";
import { ROOT } from "../scripts/wrangler.ts";

const PACKAGES = [
  "wrangler",
  "miniflare",
  "workerd",
  "@tanstack/workflow-core",
  "@tanstack/workflow-runtime",
  "@tanstack/workflow-store-cloudflare-d1",
];

export async function machine(): Promise<string> {
  const model = cpus()[0]?.model.trim() ?? "an unknown processor";
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${type()}, ${availableParallelism()} cores of ${model}, ${memory} GiB`;
}

export async function versions(): Promise<string> {
  const installed = await Promise.all(
    PACKAGES.map(async (name) => `${name} ${await version(name)}`),
  );
  return [`Node ${process.versions.node}`, ...installed].join(", ");
}

async function version(name: string): Promise<string> {
  const file = join(ROOT, "node_modules", name, "package.json");
  return String(JSON.parse(await readFile(file, "utf8")).version);
}

/** The load of the machine: how many cores were wanted in the last minute, on average. */
export function load(): string {
  return (loadavg()[0] ?? 0).toFixed(1);
}
