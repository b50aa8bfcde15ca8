/**
 * When the steps of the runs begin, in the memory that all handlers of the isolate share. A mark costs a reading of the clock and an entry in
 * a list: no I/O, so it does not disturb what it measures. The clock of workerd has whole milliseconds; unlike in production it goes on
 * while JavaScript runs.
 */
import type { D1Call } from "../../src/testing/faulty-d1.ts";

export interface Mark {
  readonly at: number;
  /** How many calls to D1 had been made, where they are counted. */
  readonly calls: number;
}

export interface Marks {
  readonly begun: readonly Mark[];
  readonly created: Mark | null;
}

interface Run {
  readonly begun: Mark[];
  created: Mark | null;
  readonly ended: PromiseWithResolvers<void>;
}

const ENDED_WITHIN_MS = 60_000;
const runs = new Map<string, Run>();
let counted: readonly D1Call[] = [];

/** Counts these calls from now on. */
export function count(calls: readonly D1Call[]): void {
  counted = calls;
}

export function mark(): Mark {
  return { at: Date.now(), calls: counted.length };
}

export function open(id: string): void {
  runs.set(id, { begun: [], created: null, ended: Promise.withResolvers() });
}

/** The run is there; its first step need not have begun. */
export function created(id: string): void {
  runOf(id).created = mark();
}

/** The first line of a step. */
export function begin(id: string, step: number): void {
  const { begun } = runOf(id);
  if (step !== begun.length) throw new Error(`step ${step} of ${id} begins after ${begun.length}`);
  begun.push(mark());
}

/** The last line of a run. */
export function end(id: string): void {
  runOf(id).ended.resolve();
}

/** Resolves when the run has come to its last line. Nobody polls. */
export async function ended(id: string): Promise<void> {
  const abort = new AbortController();
  // The timer also tells the runtime that the request has something to wait for.
  const late = scheduler.wait(ENDED_WITHIN_MS, abort).then(
    () => "late",
    () => "aborted",
  );
  const how = await Promise.race([runOf(id).ended.promise, late]);
  abort.abort();
  if (how === "late") throw new Error(`run ${id} has not ended after ${ENDED_WITHIN_MS} ms`);
}

/** The marks of a run that is over, which are forgotten. */
export function take(id: string, steps: number): Marks {
  const run = runOf(id);
  runs.delete(id);
  if (run.begun.length !== steps) throw new Error(`${id}: ${run.begun.length} of ${steps} steps`);
  return run;
}

function runOf(id: string): Run {
  const run = runs.get(id);
  if (run === undefined) throw new Error(`run ${id} was not opened in this isolate`);
  return run;
}
