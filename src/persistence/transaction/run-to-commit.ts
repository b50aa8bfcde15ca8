/**
 * How often a transaction's callback runs: again, on fresh data, after a conflict; again, without
 * assumptions, where an assumption was wrong; and when that is given up.
 */
import { ServiceError, type WorkflowPersistence } from "../../contract/index.ts";
import { TRANSACTION_RUNS_MAX } from "../../model/index.ts";
import type { LoadUnit } from "../../queries/index.ts";
import { type AutoCommit, backOff } from "../auto-commit.ts";
import type { CallChain } from "../call-chain.ts";
import { invalid } from "../encode.ts";
import { persistenceOver } from "../persistence.ts";
import { Transaction } from "./transaction.ts";

/** A transaction under way, and the handle that its callback has. */
export interface Running {
  readonly unit: Transaction;
  readonly persistence: WorkflowPersistence;
}

/**
 * A transaction inside a transaction is part of it: it is committed, or not, with the outer one.
 */
export async function join<T>(
  { unit, persistence }: Running,
  fn: (tx: WorkflowPersistence) => Promise<T>,
): Promise<T> {
  unit.requireOpen();
  unit.nested += 1;
  try {
    return await fn(persistence);
  } finally {
    unit.nested -= 1;
  }
}

type Ended<T> =
  | { readonly outcome: "landed"; readonly value: T }
  | { readonly outcome: "overtaken" | "mistaken" };

/** Runs the callback once, and commits what it has written. */
async function endOf<T>(unit: Transaction, callback: () => Promise<T>): Promise<Ended<T>> {
  let value: T;
  let unfinished = false;
  try {
    value = await callback();
    unfinished = unit.nested > 0;
  } catch (error) {
    await unit.close();
    // A wrong assumption may have misled it. Where nobody can tell, the error is its own.
    if (await unit.isMistaken().catch(() => false)) return { outcome: "mistaken" };
    throw error;
  }
  // Calls that the callback did not await still belong to it.
  await unit.close();
  // Some of its writes may have been made, and others refused. To wait for it could be a
  // deadlock.
  if (unfinished) throw invalid("A nested transaction was not awaited; nothing was written");
  const outcome = await unit.commit();
  return outcome === "landed" ? { outcome, value } : { outcome };
}

/** What the runs of one callback share. */
interface Runs {
  readonly direct: AutoCommit;
  readonly chain: CallChain<Running>;
  /** Whether the first run assumes that a write of a row that it has not read is allowed. */
  readonly assumes: boolean;
}

/** Runs the callback until its commit lands: until everything that it read still holds then. */
export async function runToCommit<T>(
  fn: (tx: WorkflowPersistence) => Promise<T>,
  { direct, chain, assumes: assumesFirst }: Runs,
): Promise<T> {
  let assumes = assumesFirst;
  let expected: LoadUnit[] = [];
  for (let run = 1; run <= TRANSACTION_RUNS_MAX; run += 1) {
    const unit = new Transaction(direct, { assumes, expected, joining: chain.joining });
    const persistence: WorkflowPersistence = persistenceOver(unit, async (nested) =>
      join({ unit, persistence }, nested),
    );
    const ended = await endOf(unit, () =>
      chain.within({ unit, persistence }, () => fn(persistence)),
    );
    if (ended.outcome === "landed") return ended.value;
    if (ended.outcome === "overtaken") await backOff(run, 250);
    else {
      assumes = false;
      expected = unit.assumedOf;
    }
  }
  throw new ServiceError(
    "CONFLICT",
    `Others kept writing what the transaction had read; it was run ${TRANSACTION_RUNS_MAX} times`,
  );
}
