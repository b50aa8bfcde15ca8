/** Takes a sequence on both sides and compares after each step. */
import { emptyDatabase } from "../support/database.ts";
import { METHODS } from "./calls.ts";
import { Coverage } from "./coverage.ts";
import { FURNITURE } from "./furniture.ts";
import { differenceOfPerformed, requireFault } from "./outcomes.ts";
import { Pairs } from "./pairs.ts";
import { perform, type Performed } from "./perform.ts";
import type { Sequence, Step } from "./steps.ts";
import { performAtOnce, serialize, type Serialized, type Taken } from "./together.ts";
import { differenceFromCalls } from "./transactions.ts";
import { createD1World, createMemoryWorld, type World } from "./world.ts";

/** What all sequences together have come to. */
export class Tally {
  readonly coverage = new Coverage([...METHODS, "withTransaction"]);
  sequences = 0;
  steps = 0;
  transactions = 0;
  /** Steps of several parts. */
  contests = 0;
  /** Those of them in which the database had several calls to answer at once. */
  overlapping = 0;
  /** Times that a callback had to run again. */
  reruns = 0;
  /** Contests after which the ids of both sides no longer sorted alike, so that the sequence ended there. */
  unlike = 0;

  note({ answers, runs }: Performed): void {
    for (const answer of answers) {
      this.coverage.note(answer);
      requireFault(answer);
    }
    if (runs > 0) this.transactions += 1;
    if (runs > 1) this.reruns += runs - 1;
  }
}

/** @throws at the first difference */
export async function compare(sequence: Sequence, tally: Tally): Promise<void> {
  await emptyDatabase();
  const steps = [...(sequence.furnished ? FURNITURE : []), ...sequence.steps];
  const d1 = createD1World();
  let memory = createMemoryWorld();
  let pairs = new Pairs();
  const history: Taken[] = [];
  tally.sequences += 1;
  for (const [index, step] of steps.entries()) {
    tally.steps += 1;
    try {
      d1.clock.now += step.tick;
      if (step.parts.length > 1) {
        const serialized = await contest(d1, step, history, tally);
        ({ memory, pairs } = serialized);
        history.push(serialized.taken);
        if (serialized.alike) continue;
        tally.unlike += 1;
        return;
      }
      memory.clock.now += step.tick;
      await alone(d1, memory, step, pairs, history, tally);
      history.push({ step, order: [0] });
    } catch (error) {
      throw new Error(`Step ${index} of ${steps.length}: ${String(error)}`, { cause: error });
    }
  }
}

async function alone(
  d1: World,
  memory: World,
  { parts: [part] }: Step,
  pairs: Pairs,
  history: readonly Taken[],
  tally: Tally,
): Promise<void> {
  if (part === undefined) return;
  const before = d1.tables;
  const expected = await perform(memory, part);
  const actual = await perform(d1, part);
  tally.note(actual);
  const answers = differenceOfPerformed(actual, expected, pairs);
  if (answers !== null) throw new Error(answers);
  await Promise.all([d1.look(), memory.look()]);
  const rows = pairs.difference(d1.tables, memory.tables, "rows");
  if (rows !== null) throw new Error(rows);
  if (part.kind === "call") return;
  const state = { before, after: d1.tables, now: d1.clock.now };
  const calls = await differenceFromCalls(part, actual, state, history);
  if (calls !== null) throw new Error(calls);
}

async function contest(
  d1: World,
  step: Step,
  history: readonly Taken[],
  tally: Tally,
): Promise<Serialized> {
  const before = d1.tables;
  const overlap = await performAtOnce(d1, step.parts);
  tally.contests += 1;
  if (overlap.most > 1) tally.overlapping += 1;
  for (const performed of overlap.performed) tally.note(performed);
  await d1.look();
  return serialize(d1, before, overlap, step, history);
}
