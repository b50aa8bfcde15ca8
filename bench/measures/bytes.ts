/** What a run leaves in the file: how much the databases grow by some runs, in whole pages. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { counted, table } from "../markdown.ts";
import { LARGE, LOAD, type Plan } from "../plan.ts";
import { type Contestant, COUNTED, type Load } from "../protocol.ts";
import { digits } from "../statistics.ts";
import type { Workers } from "../workers.ts";
import { NAMES } from "./contestants.ts";

const WEIGHED = [...COUNTED, "workflows"] as const satisfies Contestant[];
type Weighed = (typeof WEIGHED)[number];

export async function measureBytes(workers: Workers, plan: Plan): Promise<string> {
  const loads = [LOAD, LARGE];
  const weights: Record<Weighed, number[]> = {
    floor: [],
    tanstack: [],
    engine: [],
    embedded: [],
    workflows: [],
  };
  for (const load of loads) {
    for (const contestant of WEIGHED) {
      weights[contestant].push(await weigh(workers, contestant, load, plan.weighed));
    }
  }
  const rows = WEIGHED.map((contestant) => [
    NAMES[contestant],
    ...weights[contestant].map((bytes) => digits(bytes / 1_000)),
  ]);
  const head = ["", ...loads.map(({ valueBytes }) => `${valueBytes} B a step, kB`)];
  return [
    `## Bytes of a run`,
    `A run of ${LOAD.steps} steps that answer values of this size, in the file of the database; the mean of ${counted(plan.weighed, "run")}.`,
    table(head, rows),
  ].join("\n\n");
}

async function weigh(
  workers: Workers,
  contestant: Weighed,
  load: Load,
  atOnce: number,
): Promise<number> {
  const before = await sizeOf(workers, contestant);
  await workers.call("/runs", { ...load, contestant, atOnce });
  return ((await sizeOf(workers, contestant)) - before) / atOnce;
}

async function sizeOf(workers: Workers, contestant: Weighed): Promise<number> {
  if (contestant !== "workflows") return workers.call("/size", { contestant });
  // Each instance is a file.
  const folder = join(workers.state, "v3", "workflows", "miniflare-workflows-bench");
  const names = (await readdir(folder)).filter((name) => name.endsWith(".sqlite"));
  return names.reduce((sum, name) => sum + pagesOf(join(folder, name)), 0);
}

function pagesOf(file: string): number {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    const size = "SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size";
    return Number(db.prepare(size).get()?.["bytes"]);
  } finally {
    db.close();
  }
}
