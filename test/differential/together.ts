/**
 * Concurrent callers. Which of them comes first is not ours to say, but there must be an order: what D1 answered and
 * what it holds afterwards must be what memory answers and holds when the same calls come one after the other,
 * in one of all possible orders.
 */
import type { Answer, Part, Performed } from "./perform.ts";
import { perform } from "./perform.ts";
import { described, differenceOfAnswers, shownOutcome } from "./outcomes.ts";
import { Pairs } from "./pairs.ts";
import type { Step } from "./steps.ts";
import { createMemoryWorld, TABLES, withoutLateResults, type World } from "./world.ts";

/** A step that has been taken in memory: its parts in the order in which they came. */
export interface Taken {
  readonly step: Step;
  readonly order: readonly number[];
}

export interface Overlap {
  readonly performed: readonly Performed[];
  /** The parts in the order in which they finished. */
  readonly finished: readonly number[];
  /** The most calls that the database had to answer at once. */
  readonly most: number;
}

/** Starts all parts at once; transactions wait for each other before they commit. */
export async function performAtOnce(world: World, parts: readonly Part[]): Promise<Overlap> {
  const finished: number[] = [];
  const meet = meetingOf(parts.filter(({ kind }) => kind === "transaction").length);
  world.traffic.most = 0;
  const performed = await Promise.all(
    parts.map(async (part, index) => {
      const result = await perform(world, part, meet);
      finished.push(index);
      return result;
    }),
  );
  return { performed, finished, most: world.traffic.most };
}

/** Lets no call pass before all have come. A call that comes again, in another run of its callback, passes. */
function meetingOf(expected: number): () => Promise<void> {
  let missing = expected;
  const { promise: complete, resolve } = Promise.withResolvers<void>();
  return async () => {
    missing -= 1;
    if (missing <= 0) resolve();
    await complete;
  };
}

/** A fresh memory world in which these steps were taken. */
export async function replayed(taken: readonly Taken[]): Promise<World> {
  const world = createMemoryWorld();
  for (const { step, order } of taken) await inOrder(world, step, order);
  return world;
}

async function inOrder(world: World, step: Step, order: readonly number[]): Promise<Performed[]> {
  world.clock.now += step.tick;
  const performed: Performed[] = [];
  for (const index of order) {
    const part = step.parts[index];
    if (part !== undefined) performed[index] = await perform(world, part);
  }
  await world.look();
  return performed;
}

export interface Serialized {
  readonly memory: World;
  readonly pairs: Pairs;
  readonly taken: Taken;
  /** Whether the ids of both sides also sort alike, so that what follows can be compared. */
  readonly alike: boolean;
}

/**
 * Finds the order in which memory answers as D1 did.
 * @throws what each order differs in, when there is none
 */
export async function serialize(
  d1: World,
  before: World["tables"],
  { performed, finished }: Overlap,
  step: Step,
  history: readonly Taken[],
): Promise<Serialized> {
  const differences: string[] = [];
  for (const order of ordersFrom(finished)) {
    const memory = await replayed(history);
    const pairs = new Pairs();
    const unlike = pairs.difference(before, memory.tables, "before");
    if (unlike !== null) throw new Error(`A replay came out differently: ${unlike}`);
    const answers = await inOrder(memory, step, order);
    const found = difference(d1, memory, performed, answers, pairs);
    if (found === null) {
      const strict = pairs.copy();
      const alike =
        strict.difference(d1.tables, memory.tables) === null &&
        strict.difference(d1.seen, memory.seen) === null;
      return { memory, pairs: strict, taken: { step, order }, alike };
    }
    differences.push(`${order.join()}: ${found}`);
  }
  const told = performed.map(
    ({ answers }, index) => `${index}: ${answers.map(shownOutcome).join("; ")}`,
  );
  throw new Error(
    `No order of the concurrent parts explains what D1 did.\nD1 answered\n${told.join("\n")}\nDifferences by order\n${differences.join("\n")}`,
  );
}

function difference(
  d1: World,
  memory: World,
  left: readonly Performed[],
  right: readonly Performed[],
  pairs: Pairs,
): string | null {
  for (const [part, { answers }] of left.entries()) {
    const others = right[part]?.answers ?? [];
    const compared = committed(answers) ? answers : answers.slice(-1);
    const from = committed(answers) ? others : others.slice(-1);
    for (const [index, answer] of compared.entries()) {
      const other = from[index];
      if (other === undefined) return `Part ${part} gave no answer ${index} in memory`;
      const found = sameAnswer(answer, other, pairs);
      if (found !== null) return `part ${part}, ${found}`;
    }
  }
  // A callback may run more often than it does alone, and meet what other calls of its connection are given meanwhile.
  const anyTransaction = left.some(({ runs }) => runs > 0);
  const [found, expected] = [d1.tables, memory.tables].map((tables) =>
    anyTransaction ? withoutLateResults(tables) : tables,
  );
  for (const name of TABLES) {
    const a = pairs.masked(found?.[name], "left");
    const b = pairs.masked(expected?.[name], "right");
    if (a !== b) return `${name}: D1 has ${a}, memory has ${b}`;
  }
  return null;
}

/** What a transaction has read is confirmed when it commits; one that is taken back may have read anything. */
function committed(answers: readonly Answer[]): boolean {
  const last = answers.at(-1);
  return last?.method !== "withTransaction" || last.outcome.ok;
}

/** The same, or the same but for the order of rows that only their ids order. */
function sameAnswer(left: Answer, right: Answer, pairs: Pairs): string | null {
  const attempt = pairs.copy();
  const found = differenceOfAnswers(left, right, attempt);
  if (found === null) return differenceOfAnswers(left, right, pairs);
  const a = pairs.masked(described(left.outcome), "left");
  const b = pairs.masked(described(right.outcome), "right");
  return a === b ? null : found;
}

/** All orders, the given one first. */
function* ordersFrom(first: readonly number[]): Iterable<readonly number[]> {
  yield first;
  for (const order of permutations(first)) {
    if (order.join() !== first.join()) yield order;
  }
}

function* permutations(items: readonly number[]): Iterable<readonly number[]> {
  if (items.length <= 1) {
    yield items;
    return;
  }
  for (const item of items) {
    const others = items.filter((other) => other !== item);
    for (const rest of permutations(others)) yield [item, ...rest];
  }
}
