/** Commits to a run that is watched, beside those to a run that is not. */
import { setTimeout as sleep } from "node:timers/promises";
import { watchEvents } from "../../src/client/watch.ts";
import { Complaint } from "../../scripts/complaint.ts";
import { counted, table } from "../markdown.ts";
import type { Plan } from "../plan.ts";
import { TOKEN } from "../protocol.ts";
import { digits, median, ratio, rotated } from "../statistics.ts";
import type { Workers } from "../workers.ts";

const RUNS = ["watched", "unwatched"] as const;
/**
 * Pauses between commits, in milliseconds: none, and one that is long enough for the watch to be
 * served before the next commit.
 */
const PAUSES_MS = [0, 20];
const ARRIVED_WITHIN_MS = 10_000;

export async function measureWatched(workers: Workers, plan: Plan): Promise<string> {
  const { rounds, commits, warmUps } = plan;
  const watch = new Watch(workers.url);
  const rows: string[][] = [];
  let committed = 0;
  const turn = async (runId: (typeof RUNS)[number], pauseMs: number, count: number) => {
    if (runId === "watched") committed += count;
    return workers.call("/commits", { runId, commits: count, pauseMs });
  };
  try {
    for (let n = 0; n < warmUps; n++) for (const runId of RUNS) await turn(runId, 0, 2);
    await watch.arrived(committed);
    for (const pauseMs of PAUSES_MS) {
      const samples = { watched: [] as number[], unwatched: [] as number[] };
      for (let round = 0; round < rounds.watched; round++) {
        for (const runId of rotated(RUNS, round)) {
          samples[runId].push(await turn(runId, pauseMs, commits));
        }
        await watch.arrived(committed);
      }
      const { watched, unwatched } = samples;
      const ms = [digits(median(unwatched)), digits(median(watched))];
      rows.push([pauseMs === 0 ? "none" : `${pauseMs} ms`, ...ms, ratio(watched, unwatched)]);
    }
  } finally {
    await watch.end();
  }
  return [
    "## A run that is watched",
    `Commits with one event each, over a binding; ${counted(rounds.watched, "round")} of ${commits} commits to each run.`,
    table(["pause between commits", "unwatched, ms", "watched, ms", "watched of unwatched"], rows),
  ].join("\n\n");
}

/** A watcher of the run, over HTTP. */
class Watch {
  readonly #abort = new AbortController();
  readonly #ended: Promise<void>;
  #seen = 0;

  constructor(url: string) {
    this.#ended = this.#follow(url);
  }

  async #follow(url: string): Promise<void> {
    const { signal } = this.#abort;
    const events = watchEvents({ url, token: TOKEN, runId: "watched", signal });
    for await (const { sequence } of events) this.#seen = sequence;
  }

  /** Resolves when this many events have come: the run is really watched. */
  async arrived(count: number): Promise<void> {
    const deadline = Date.now() + ARRIVED_WITHIN_MS;
    while (this.#seen < count) {
      if (Date.now() > deadline) {
        throw new Complaint(`The watch has seen ${this.#seen} of ${count} events.`);
      }
      await Promise.race([sleep(5), this.#ended]);
    }
  }

  async end(): Promise<void> {
    this.#abort.abort();
    await this.#ended;
  }
}
