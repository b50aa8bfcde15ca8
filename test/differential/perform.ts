/** Carries out one part of a sequence in a world, and tells all that its caller saw. */
import type { Backend, WorkflowPersistence } from "../../src/contract/index.ts";
import type { Call, Method } from "./calls.ts";
import type { Ref } from "./values.ts";
import { NOTHING_SEEN, type Row, type Seen, type World } from "./world.ts";

export interface CallPart {
  readonly kind: "call";
  readonly connection: number;
  readonly call: Call;
  /** The database turns the call away. */
  readonly outage: boolean;
}

export interface TransactionCall {
  readonly call: Call;
  /** The callback goes on when the call fails. */
  readonly caught: boolean;
  /** In a transaction of its own, which joins. */
  readonly nested: boolean;
}

export interface TransactionPart {
  readonly kind: "transaction";
  readonly connection: number;
  readonly calls: readonly TransactionCall[];
  /** All calls are made before the first is awaited. */
  readonly together: boolean;
  readonly end: "return" | "throw an Error" | "throw a string" | "throw undefined";
  /** A call through the transaction once it is over. */
  readonly after: Call | null;
}

export type Part = CallPart | TransactionPart;

export type Outcome =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly error: unknown };
export interface Answer {
  readonly method: Method | "withTransaction";
  readonly outcome: Outcome;
}
export interface Performed {
  /** The last one is that of the call or of the transaction itself. */
  readonly answers: readonly Answer[];
  /** How often the callback ran. */
  readonly runs: number;
}

/** What was written to console.error: the only place where a `logCall` may tell that it failed. */
export const reported: unknown[][] = [];

export async function perform(
  world: World,
  part: Part,
  beforeEnd: () => Promise<void> = async () => undefined,
): Promise<Performed> {
  const backend = connectionOf(world, part);
  if (part.kind === "transaction") return performTransaction(world, backend, part, beforeEnd);
  world.outage.on = part.outage;
  try {
    const outcome = await makeCall(world, backend, backend.persistence, part.call, NOTHING_SEEN);
    return { answers: [{ method: part.call.method, outcome }], runs: 0 };
  } finally {
    world.outage.on = false;
  }
}

async function performTransaction(
  world: World,
  backend: Backend,
  part: TransactionPart,
  beforeEnd: () => Promise<void>,
): Promise<Performed> {
  let answers: Answer[] = [];
  let runs = 0;
  let left: WorkflowPersistence | null = null;
  let thrown: { readonly error: unknown } | null = null;

  async function callback(tx: WorkflowPersistence): Promise<unknown> {
    runs += 1;
    left = tx;
    thrown = null;
    const { made, failed } = await makeCalls(world, backend, part, (item, call) =>
      within(item, backend, tx, call),
    );
    answers = [...made];
    if (failed !== null) thrown = failed;
    else if (part.end !== "return") thrown = { error: MARKERS[part.end]() };
    if (thrown !== null) throw thrown.error;
    return { made: answers.length };
  }

  const outcome = await outcomeOf(() =>
    backend.persistence.withTransaction(async (tx) => {
      try {
        return await callback(tx);
      } finally {
        await beforeEnd();
      }
    }),
  );
  requireSameError(thrown, outcome);
  if (part.after !== null && left !== null) {
    const late = await makeCall(world, backend, left, part.after, NOTHING_SEEN);
    answers.push({ method: part.after.method, outcome: late });
  }
  answers.push({ method: "withTransaction", outcome });
  return { answers, runs };
}

/** The calls of a transaction, one by one, without the transaction. */
export async function performWithout(
  world: World,
  part: TransactionPart,
): Promise<readonly Answer[]> {
  const backend = connectionOf(world, part);
  const { made } = await makeCalls(world, backend, part, (_, call) => call(backend.persistence));
  return made;
}

function connectionOf(world: World, part: Part): Backend {
  return world.connections[part.connection === 0 ? 0 : 1];
}

interface Calls {
  readonly made: readonly Answer[];
  /** The failure after which no further calls were made. */
  readonly failed: { readonly error: unknown } | null;
}

async function makeCalls(
  world: World,
  backend: Backend,
  part: TransactionPart,
  through: (
    item: TransactionCall,
    call: (persistence: WorkflowPersistence) => Promise<Outcome>,
  ) => Promise<Outcome>,
): Promise<Calls> {
  const answers: Answer[] = [];
  let own: Seen = NOTHING_SEEN;
  const one = async (item: TransactionCall, index: number): Promise<Outcome> => {
    const { method } = item.call;
    const known = own;
    const outcome = await through(item, (persistence) =>
      makeCall(world, backend, persistence, item.call, known),
    );
    answers[index] = { method, outcome };
    if (outcome.ok) own = withMade(own, method, outcome.value);
    return outcome;
  };
  const fatal = (outcome: Outcome | undefined, item: TransactionCall | undefined) =>
    outcome?.ok === false && item?.caught === false ? outcome : null;

  const started: Promise<Outcome>[] = [];
  for (const [index, item] of part.calls.entries()) {
    const outcome = one(item, index);
    started.push(outcome);
    if (part.together) continue;
    const failed = fatal(await outcome, item);
    if (failed !== null) return { made: answers, failed };
  }
  const outcomes = await Promise.all(started);
  const failures = outcomes.flatMap((outcome, index) => fatal(outcome, part.calls[index]) ?? []);
  return { made: answers, failed: failures[0] ?? null };
}

const MARKERS = {
  "throw an Error": () => new Error("thrown by the callback"),
  "throw a string": () => "thrown by the callback",
  "throw undefined": () => undefined,
} as const;

/** What the callback throws comes out of the transaction: the very same object. */
function requireSameError(thrown: { readonly error: unknown } | null, outcome: Outcome): void {
  if (thrown === null) return;
  if (outcome.ok || outcome.error !== thrown.error) {
    throw new Error("A transaction did not rethrow what its callback threw", {
      cause: { thrown, outcome },
    });
  }
}

async function within(
  { nested, caught }: TransactionCall,
  backend: Backend,
  tx: WorkflowPersistence,
  call: (persistence: WorkflowPersistence) => Promise<Outcome>,
): Promise<Outcome> {
  if (!nested) return call(tx);
  // Either way in joins; one of them is chosen by what the call is otherwise.
  return (caught ? tx : backend.persistence).withTransaction(call);
}

/** What the callback made, so that its later calls can name it. */
function withMade(before: Seen, method: Method, value: unknown): Seen {
  const id = (value as { id?: unknown } | null)?.id;
  if (method === "createRun") return { ...before, run: [...before.run, String(id)] };
  if (method === "createStage" || method === "upsertStage") {
    return { ...before, stage: [...before.stage, String(id)] };
  }
  if (method === "enqueue") return { ...before, job: [...before.job, String(value)] };
  if (method === "enqueueParallel") {
    return { ...before, job: [...before.job, ...(value as string[])] };
  }
  return before;
}

export async function outcomeOf(call: () => Promise<unknown>): Promise<Outcome> {
  try {
    return { ok: true, value: await call() };
  } catch (error) {
    return { ok: false, error };
  }
}

async function makeCall(
  world: World,
  backend: Backend,
  persistence: WorkflowPersistence,
  { on, method, args }: Call,
  madeSoFar: Seen,
): Promise<Outcome> {
  const target: object = { ...backend, persistence }[on];
  const called = Reflect.get(target, method) as (...given: unknown[]) => unknown;
  const given = resolveAll(args, world, madeSoFar);
  const before = reported.length;
  const outcome = await outcomeOf(async () => Reflect.apply(called, target, given));
  if (method !== "logCall") return outcome;
  if (!outcome.ok) throw new Error("logCall threw, which it never does", { cause: outcome.error });
  await backend.aiCalls.flush();
  const [report] = reported.splice(before);
  return report === undefined ? outcome : { ok: false, error: report[1] };
}

/** The arguments in a world, in which every {@link Ref} is a value. */
function resolveAll(args: readonly unknown[], world: World, madeSoFar: Seen): unknown[] {
  const first = args.map((arg) => resolve(arg, world, madeSoFar, 0));
  const version = versionOf(world, first);
  return args.map((arg) => resolve(arg, world, madeSoFar, version));
}

function versionOf({ tables }: World, [first, second]: readonly unknown[]): number {
  const named = (row: Row) => row["workflowRunId"] === first && row["stageId"] === second;
  const row =
    tables.stages.find(named) ??
    [...tables.stages, ...tables.runs].find((candidate) => candidate["id"] === first);
  return Number(row?.["version"] ?? 1);
}

function resolve(value: unknown, world: World, madeSoFar: Seen, version: number): unknown {
  if (isRef(value)) return resolved(value, world, madeSoFar, version);
  if (Array.isArray(value)) return value.map((item) => resolve(item, world, madeSoFar, version));
  if (!isPlain(value)) return value;
  const copy = {};
  for (const [name, member] of Object.entries(value)) {
    // Not by assignment: `__proto__` is a member like any other.
    Object.defineProperty(copy, name, {
      value: resolve(member, world, madeSoFar, version),
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
  return copy;
}

function isRef(value: unknown): value is Ref {
  return typeof value === "object" && value !== null && Object.hasOwn(value, "ref");
}

function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function resolved(ref: Ref, { clock, seen }: World, madeSoFar: Seen, version: number): unknown {
  switch (ref.ref) {
    case "instant":
      return new Date(clock.now + ref.plus);
    case "version":
      return version + ref.plus;
    case "text":
      return ref.letter.repeat(ref.length);
    case "nested": {
      let value: unknown = 1;
      for (let depth = 0; depth < ref.depth; depth += 1) value = [value];
      return value;
    }
    case "cycle": {
      const cycle: { own?: unknown } = {};
      cycle.own = cycle;
      return cycle;
    }
    default: {
      const ids = [...seen[ref.ref], ...madeSoFar[ref.ref]];
      return ids.at(-1 - (ref.back % Math.max(ids.length, 1))) ?? "nobody";
    }
  }
}
