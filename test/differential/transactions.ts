/**
 * What a transaction is: its calls, one after the other, all of them or none. Both sides run the same code for
 * transactions; this holds that code against calls that are made without one.
 */
import { OUTSIDE } from "./steps.ts";
import { differenceOfAnswers } from "./outcomes.ts";
import { Pairs } from "./pairs.ts";
import { type Performed, performWithout, type TransactionPart } from "./perform.ts";
import { replayed, type Taken } from "./together.ts";
import { type Row, type Tables, TABLES } from "./world.ts";

/** Where the transaction differs from its calls without it; null when nowhere. */
export async function differenceFromCalls(
  part: TransactionPart,
  { answers }: Performed,
  { before, after, now }: { before: Tables; after: Tables; now: number },
  history: readonly Taken[],
): Promise<string | null> {
  // What acts at once does not see what the transaction has not committed yet.
  if (part.calls.some(({ call }) => OUTSIDE.includes(call.method))) return null;
  const last = answers.at(-1);
  if (last?.outcome.ok !== true) {
    return prefixed("taken back", new Pairs().difference(before, after, "rows"));
  }
  // Which of several calls comes first is for nobody to know before they are awaited.
  if (part.together) return null;

  const world = await replayed(history);
  world.clock.now = now;
  const pairs = new Pairs();
  const unlike = pairs.difference(before, world.tables, "before");
  if (unlike !== null) return prefixed("replayed", unlike);
  for (const [index, expected] of (await performWithout(world, part)).entries()) {
    const answer = answers[index];
    if (answer === undefined) return `call ${index} has no answer`;
    if (answer.method === "getStuckRuns" && writesJobs(part.calls.slice(0, index))) continue;
    const found = differenceOfAnswers(answer, expected, pairs);
    if (found !== null) return prefixed(`call ${index}`, found);
  }
  await world.look();
  const rows = pairs.difference(withoutCommits(after), withoutCommits(world.tables), "rows");
  return prefixed("committed", rows);
}

/** In a transaction, runs whose jobs it has written are not stuck. */
function writesJobs(calls: TransactionPart["calls"]): boolean {
  return calls.some(({ call }) => call.on === "jobs" && call.method !== "getJobsByWorkflowRun");
}

function prefixed(what: string, found: string | null): string | null {
  return found === null ? null : `Without a transaction, ${what}: ${found}`;
}

/** One commit or several: that is the difference. */
function withoutCommits(tables: Tables): Record<string, readonly Row[]> {
  return Object.fromEntries(
    TABLES.map((name) => [name, tables[name].map(({ commits: _, ...row }) => row)]),
  );
}
