/**
 * Transactions: the callback's unit of work (`transaction.ts`) over a local copy of rows, its read
 * set and write set, and the loop that runs it until it commits (`run-to-commit.ts`). Not here:
 * what a method means (`persistence/`). Imports `persistence/`, and what that may import.
 */
export { join, type Running, runToCommit } from "./run-to-commit.ts";
