/** What an anomaly is to the suite, and how connections are opened with and without what prevents it. */
import { Connection } from "../../src/persistence/connection.ts";
import type { Store } from "../../src/changes/index.ts";
import type { Backend } from "../../src/contract/index.ts";
import { D1Store } from "../../src/store/index.ts";
import { env } from "../support/env.ts";
import { databaseVia, type Line } from "./database.ts";

/** Opens a connection of its own to D1; `line` is what happens to its batches on their way. */
export type Open = (line?: Line) => Backend;

export interface Finding {
  /** What happened, in the order in which it happened: the proof that the race took place. */
  readonly race: readonly string[];
  /** What went wrong; null when nothing did. */
  readonly anomaly: string | null;
}

/** One mechanism taken away, at the place where it works. */
export interface Mutation {
  readonly removes: string;
  database?(db: D1Database): D1Database;
  store?(store: Store): Store;
  backend?(backend: Backend): Backend;
}

export interface Anomaly {
  readonly name: string;
  /** The interleaving that the scenario brings about, with the mechanism and without it. */
  readonly race: readonly string[];
  readonly scenario: (open: Open) => Promise<Finding>;
  /** What the scenario finds when the mechanism is gone. */
  readonly finding: string;
  /** A new one for each use: some keep state. */
  readonly mutation: () => Mutation;
}

const NOTHING: Mutation = { removes: "nothing" };

export function opener(mutation: Mutation = NOTHING): Open {
  return (line) => {
    const wire = line === undefined ? env.DB : databaseVia(env.DB, line);
    const store = new D1Store(mutation.database?.(wire) ?? wire);
    const backend = new Connection(mutation.store?.(store) ?? store);
    return mutation.backend?.(backend) ?? backend;
  };
}
