/** Claims and completions of jobs, and jobs that come through the queue. */
import { counted, table } from "../markdown.ts";
import { JOB_BATCHES, type Plan } from "../plan.ts";
import { type JobQueueName, type JobTiming, QUEUES } from "../protocol.ts";
import { digits, median, ratio, rotated } from "../statistics.ts";
import type { Workers } from "../workers.ts";

export async function measureJobs(workers: Workers, plan: Plan): Promise<string> {
  const { rounds, jobs, warmUps } = plan;
  const rows: string[][] = [];
  for (const batch of JOB_BATCHES) {
    await timings(workers, batch, batch * 2, warmUps);
    const taken = await timings(workers, batch, jobs[batch], rounds.jobs);
    for (const [what, msOf] of PARTS) {
      const perJob = (queue: JobQueueName) =>
        taken[queue].map((timing) => msOf(timing) / jobs[batch]);
      const floor = perJob("floor");
      const ours = [perJob("embedded"), perJob("bound")];
      rows.push([
        String(batch),
        jobs[batch].toLocaleString("en"),
        what,
        micros(floor),
        ...ours.flatMap((samples) => [micros(samples), ratio(samples, floor)]),
      ]);
    }
  }
  const of = ["embedded, µs a job", "of the floor", "bound, µs a job", "of the floor"];
  return [
    "## Claims and completions",
    `One consumer claims jobs, one or several at a time, and completes them, until all are done; ${counted(rounds.jobs, "round")}.`,
    table(["at a time", "jobs", "", "floor, µs a job", ...of], rows),
  ].join("\n\n");
}

const PARTS: readonly (readonly [string, (timing: JobTiming) => number])[] = [
  ["claim", ({ claim }) => claim],
  ["complete", ({ complete }) => complete],
  ["both", ({ claim, complete }) => claim + complete],
];

const micros = (samples: readonly number[]) => digits(median(samples) * 1_000);

async function timings(workers: Workers, batch: number, total: number, rounds: number) {
  const samples: Record<JobQueueName, JobTiming[]> = { floor: [], embedded: [], bound: [] };
  for (let round = 0; round < rounds; round++) {
    for (const queue of rotated(QUEUES, round)) {
      samples[queue].push(await workers.call("/jobs", { queue, batch, total }));
    }
  }
  return samples;
}

export async function measureQueue(workers: Workers, plan: Plan): Promise<string> {
  const { rounds, queued: total } = plan;
  const samples = { raw: [] as number[], engine: [] as number[] };
  for (const queue of ["raw", "engine"] as const)
    await workers.call("/queue", { queue, total: 20 });
  for (let round = 0; round < rounds.queue; round++) {
    for (const queue of rotated(["raw", "engine"] as const, round)) {
      samples[queue].push(await workers.call("/queue", { queue, total }));
    }
  }
  const { raw, engine } = samples;
  return [
    "## From enqueue to done",
    `${total.toLocaleString("en")} jobs through the local queue to a handler that does nothing, beside as many messages through a raw queue to a consumer that does nothing; ${counted(rounds.queue, "round")}.`,
    table(
      ["", "ms", "of the raw queue"],
      [
        ["raw queue", digits(median(raw)), ""],
        ["this", digits(median(engine)), ratio(engine, raw)],
      ],
    ),
  ].join("\n\n");
}
