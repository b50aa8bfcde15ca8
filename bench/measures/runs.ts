/** Runs of every contestant: short and long ones, one after the other, and many at once. */
import { counted, table } from "../markdown.ts";
import { LOAD, type Plan } from "../plan.ts";
import { type Contestant, CONTESTANTS, type Load, type Timing } from "../protocol.ts";
import { digits, means, median, ratio, rotated } from "../statistics.ts";
import type { Workers } from "../workers.ts";
import { NAMES } from "./contestants.ts";

type Samples = Record<Contestant, Timing[]>;
type Part = keyof Timing;

interface Turns extends Load {
  readonly rounds: number;
  readonly repeats: number;
  readonly atOnce: number;
}

export async function measureRuns(workers: Workers, plan: Plan): Promise<string> {
  const { warmUps, rounds, repeats, burst } = plan;
  const { steps } = plan.long;
  await take(workers, { ...LOAD, rounds: 1, repeats: warmUps, atOnce: 1 });
  const short = await take(workers, { ...LOAD, rounds: rounds.runs, repeats, atOnce: 1 });
  const long = await take(workers, { ...plan.long, rounds: rounds.long, repeats: 1, atOnce: 1 });
  const many = await take(workers, { ...LOAD, rounds: rounds.burst, repeats: 1, atOnce: burst });
  return [
    `## Runs`,
    `Runs of ${LOAD.steps} steps, one after the other; ${counted(rounds.runs, "round")} of ${counted(repeats, "run")} of each, in turn.`,
    timings(short, ["start", "step", "whole"], repeats),
    `Runs of ${steps} steps; ${counted(rounds.long, "round")}.`,
    timings(long, ["step"]),
    `${burst} runs of ${LOAD.steps} steps at once, from the first call until the last run has ended; ${counted(rounds.burst, "round")}.`,
    timings(many, ["whole"]),
  ].join("\n\n");
}

async function take(workers: Workers, { rounds, repeats, ...ask }: Turns): Promise<Samples> {
  const samples: Samples = {
    floor: [],
    workflows: [],
    tanstack: [],
    engine: [],
    engineBound: [],
    embedded: [],
    bound: [],
  };
  for (let turn = 0; turn < rounds * repeats; turn++) {
    for (const contestant of rotated(CONTESTANTS, turn)) {
      samples[contestant].push(await workers.call("/runs", { ...ask, contestant }));
    }
  }
  return samples;
}

function timings(samples: Samples, parts: readonly Part[], repeats = 1): string {
  const of = (contestant: Contestant, part: Part) =>
    means(
      samples[contestant].map((one) => one[part]),
      repeats,
    );
  return table(
    ["", ...parts.flatMap((part) => [`${part}, ms`, "of the floor"])],
    CONTESTANTS.map((contestant) => [
      NAMES[contestant],
      ...parts.flatMap((part) => [
        digits(median(of(contestant, part))),
        contestant === "floor" ? "" : ratio(of(contestant, part), of("floor", part)),
      ]),
    ]),
  );
}
