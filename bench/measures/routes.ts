/** Routes of the HTTP API beside the same call over a kept binding. */
import { counted, table } from "../markdown.ts";
import type { Plan } from "../plan.ts";
import { ROUTES, type Way, WAYS } from "../protocol.ts";
import { digits, median, ratio } from "../statistics.ts";
import type { Workers } from "../workers.ts";

export async function measureRoutes(workers: Workers, plan: Plan): Promise<string> {
  const { rounds, calls, warmUps } = plan;
  const rows: string[][] = [];
  for (const route of ROUTES) {
    await workers.call("/route", { route, calls: warmUps });
    const samples: Record<Way, number[]> = { embedded: [], bound: [], http: [] };
    for (let round = 0; round < rounds.routes; round++) {
      const means = await workers.call("/route", { route, calls });
      for (const way of WAYS) samples[way].push(means[way]);
    }
    const { embedded, bound, http } = samples;
    const row = [embedded, bound, http].map((ms) => digits(median(ms)));
    rows.push([`\`${route}\``, ...row, ratio(http, bound)]);
  }
  return [
    "## HTTP",
    `${counted(rounds.routes, "round")} of ${calls} calls of each way, in turn.`,
    table(["", "embedded, ms", "bound, ms", "HTTP, ms", "HTTP of bound"], rows),
  ].join("\n\n");
}
