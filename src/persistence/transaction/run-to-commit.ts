/**
 * How often a transaction's callback runs: again, on fresh data, after a conflict; again, without
 * assumptions, where an assumption was wrong; and when that is given up.
 */
import { isServiceError, ServiceError, type WorkflowPersistence } from "../../contract/index.ts";
import { TRANSACTION_RUNS_MAX } from "../../model/index.ts";
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

/**
 * A row that the transaction has not read may grow beyond its limit. Then the callback runs once
 * more, so that the call that makes it grow throws.
 */
async function committed(unit: Transaction): ReturnType<Transaction["commit"]> {
  try {
    return await unit.commit();
  } catch (error) {
    if (isServiceError(error) && error.code === "PAYLOAD_TOO_LARGE" && unit.wroteUnseen) {
      return "mistaken";
    }
    throw error;
  }
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
  for (let run = 1; run <= TRANSACTION_RUNS_MAX; run += 1) {
    const unit = new Transaction(direct, { assumes, joining: chain.joining });
    const persistence: WorkflowPersistence = persistenceOver(unit, async (nested) =>
      join({ unit, persistence }, nested),
    );
    let value: T;
    let unfinished = false;
    try {
      value = await chain.within({ unit, persistence }, () => fn(persistence));
      unfinished = unit.nested > 0;
    } catch (error) {
      await unit.close();
      // A wrong assumption may have misled it. Then it runs again without assumptions, and the
      // call that is refused throws.
      if (await unit.assumedRightly()) throw error;
      assumes = false;
      continue;
    }
    // Calls that the callback did not await still belong to it.
    await unit.close();
    // Some of its writes may have been made, and others refused. To wait for it could be a
    // deadlock.
    if (unfinished) throw invalid("A nested transaction was not awaited; nothing was written");
    const outcome = await committed(unit);
    if (outcome === "landed") return value;
    if (outcome === "mistaken") assumes = false;
    else await backOff(run, 250);
  }
  throw new ServiceError(
    "CONFLICT",
    `Others kept writing what the transaction had read; it was run ${TRANSACTION_RUNS_MAX} times`,
  );
}
