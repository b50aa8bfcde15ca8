/**
 * `npm run bench`: the contestants side by side in one local workerd, and the figures in docs/benchmarks.md, below the text that explains
 * them.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Complaint, command, whenAbandoned } from "../scripts/complaint.ts";
import { ROOT } from "../scripts/wrangler.ts";
import { load, machine, versions } from "./machine.ts";
import { measureBytes } from "./measures/bytes.ts";
import { measureCost } from "./measures/cost.ts";
import { measureJobs, measureQueue } from "./measures/jobs.ts";
import { measureRoutes } from "./measures/routes.ts";
import { measureRuns } from "./measures/runs.ts";
import { measureWatched } from "./measures/watched.ts";
import { FULL, type Plan, QUICK } from "./plan.ts";
import { Workers } from "./workers.ts";

const USAGE = `Usage: npm run bench -- [options]

  --quick      few samples of everything, in less than a minute: it shows that everything works
  --only NAME  one part: runs, cost, bytes, jobs, queue, routes or watched; printed, and not written
  --out FILE   writes the figures there, instead of into docs/benchmarks.md
  --help       print this`;

const PAGE = join(ROOT, "docs", "benchmarks.md");
/** A person writes the text above this line, and this program the text below it. */
const MARKER = "<!-- What follows is written by `npm run bench`. -->";

type Measure = (workers: Workers, plan: Plan) => Promise<string>;

/** The routes leave jobs behind that others would claim. */
const MEASURES: Readonly<Record<string, Measure>> = {
  runs: measureRuns,
  cost: measureCost,
  bytes: measureBytes,
  jobs: measureJobs,
  queue: measureQueue,
  routes: measureRoutes,
  watched: measureWatched,
};

async function main(args: readonly string[]): Promise<void> {
  const { quick, out, help, only } = parse(args);
  if (help === true) {
    console.log(USAGE);
    return;
  }
  if (only !== undefined) {
    console.log(await measure(quick === true, partNamed(only)));
    return;
  }
  const text = out === undefined ? await textOfPage() : "";
  const figures = await measure(quick === true);
  const file = resolve(out ?? PAGE);
  await writeFile(file, `${text}${figures}\n`);
  console.log(`Written to ${relative(process.cwd(), file)}`);
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        quick: { type: "boolean" },
        only: { type: "string" },
        out: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (error) {
    throw new Complaint(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  }
}

function partNamed(name: string): Readonly<Record<string, Measure>> {
  const part = MEASURES[name];
  if (part !== undefined) return { [name]: part };
  throw new Complaint(`--only ${name}: there is no such part\n\n${USAGE}`);
}

async function measure(quick: boolean, measures = MEASURES): Promise<string> {
  const plan = quick ? QUICK : FULL;
  const loadBefore = load();
  const workers = await Workers.start();
  stopOnSignals(workers);
  try {
    await workers.ready();
    const sections: string[] = [];
    for (const [name, measured] of Object.entries(measures)) {
      const began = performance.now();
      sections.push(await measured(workers, plan));
      console.log(`${name}: ${((performance.now() - began) / 1_000).toFixed(0)} s`);
    }
    const loads = `load ${loadBefore} before and ${load()} after`;
    const kind = quick ? "A quick run: it shows that everything works, and no more. " : "";
    return [
      `${kind}${new Date().toISOString().slice(0, 10)}. ${await machine()}; ${loads}. ${await versions()}.`,
      ...sections,
    ].join("\n\n");
  } catch (error) {
    console.error(workers.lastOutput);
    throw error;
  } finally {
    await workers.stop();
  }
}

async function textOfPage(): Promise<string> {
  const [text, ...rest] = (await readFile(PAGE, "utf8")).split(MARKER);
  if (text === undefined || rest.length !== 1) {
    throw new Complaint(`${PAGE} must have the line ${MARKER} once: the figures go below it.`);
  }
  return `${text}${MARKER}\n\n`;
}

function stopOnSignals(workers: Workers): void {
  const stop = (code: number) => void workers.stop().finally(() => process.exit(code));
  process.once("SIGINT", () => stop(130));
  process.once("SIGTERM", () => stop(143));
  process.once("SIGHUP", () => stop(129));
  whenAbandoned(() => stop(143));
}

await command(() => main(process.argv.slice(2)));
