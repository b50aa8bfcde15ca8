/** What runs ask of D1. These are counts: they are the same on every machine. */
import { table } from "../markdown.ts";
import { LOAD, type Plan } from "../plan.ts";
import { type Cost, COUNTED } from "../protocol.ts";
import type { Workers } from "../workers.ts";
import { NAMES } from "./contestants.ts";

export async function measureCost(workers: Workers, plan: Plan): Promise<string> {
  const rows: string[][] = [];
  const { steps } = plan.long;
  for (const contestant of COUNTED) {
    const short = await workers.call("/cost", { ...LOAD, contestant });
    const long = await workers.call("/cost", { ...plan.long, contestant });
    const parts: readonly (readonly [string, Cost | undefined])[] = [
      ["start, until the run is there", short.created],
      ["start, until its first step begins", short.start],
      [`the 2nd step of ${steps}`, long.steps[1]],
      [`the ${long.steps.length}th step of ${steps}`, long.steps.at(-1)],
      [`a run of ${LOAD.steps} steps`, short.whole],
      [`a run of ${steps} steps`, long.whole],
    ];
    for (const [part, cost] of parts) {
      if (cost !== undefined) rows.push([NAMES[contestant], part, ...cells(cost)]);
    }
  }
  const head = ["", "", "round trips", "statements", "rows read", "rows written"];
  return ["## What a run asks of D1", table(head, rows)].join("\n\n");
}

function cells({ roundTrips, statements, rowsRead, rowsWritten }: Cost): string[] {
  return [roundTrips, statements, rowsRead, rowsWritten].map((n) => n.toLocaleString("en"));
}
