/** Routes of the HTTP API beside the same call over a kept binding. */
import { counted, table } from "../markdown.ts";
import type { Plan } from "../plan.ts";
import { ROUTES, type RouteName, type Way, WAYS } from "../protocol.ts";
import { digits, median, ratio, rotated } from "../statistics.ts";
import type { Workers } from "../workers.ts";

type Samples = Record<Way, number[]>;

export async function measureRoutes(workers: Workers, plan: Plan): Promise<string> {
  const { rounds, calls, warmUps } = plan;
  const rows: string[][] = [];
  for (const route of ROUTES) {
    await take(workers, route, warmUps, 2);
    const { embedded, bound, http } = await take(workers, route, rounds.routes, calls);
    const row = [digits(median(bound)), digits(median(http)), ratio(http, bound)];
    rows.push([`\`${route}\``, digits(median(embedded)), ...row]);
  }
  return [
    "## HTTP",
    `${counted(rounds.routes, "round")} of ${calls} calls, one after the other.`,
    table(["", "embedded, ms", "bound, ms", "HTTP, ms", "HTTP of bound"], rows),
  ].join("\n\n");
}

async function take(
  workers: Workers,
  route: RouteName,
  rounds: number,
  calls: number,
): Promise<Samples> {
  const samples: Samples = { embedded: [], bound: [], http: [] };
  for (let round = 0; round < rounds; round++) {
    for (const way of rotated(WAYS, round)) {
      samples[way].push(await workers.call("/route", { route, way, calls }));
    }
  }
  return samples;
}
