/** Engines whose workers and callers can be stopped, so that races happen as a test says. */
import type { Run } from "../../../src/engine/runs.ts";
import type { Workflow } from "../../../src/engine/workflow.ts";
import { Connection } from "../../../src/persistence/connection.ts";
import { runsOf } from "../../../src/runner/index.ts";
import { Engine } from "./engine.ts";
import { GatedStore, newGate } from "./gate.ts";

const LEASE_MS = 300_000;

/** An engine whose consumers can be stopped before chosen commits. */
export function gated(...workflows: readonly Workflow[]) {
  let store: GatedStore | undefined;
  const engine = new Engine({ workflows, around: (given) => store ?? given });
  store = new GatedStore(engine.store);
  return { engine, store };
}

/** The run, in the hands of a caller whose commits can be stopped as well. */
export function callerOver<W extends Workflow>(store: GatedStore, of: W, id: string): Run<W> {
  return runsOf(new Connection(store)).get(of, id);
}

/** The leases run out, and the sweep ends it. */
export async function leasesEnd(engine: Engine): Promise<void> {
  engine.now += LEASE_MS + 1;
  await engine.sweep();
}

export async function lateLogs(engine: Engine, id: string): Promise<string[]> {
  const [rows] = await engine.store.read([
    { q: "page", of: "logs", workflowRunId: id, after: null, descending: false, limit: 100 },
  ]);
  return rows.flatMap((row) =>
    "message" in row && /late result/.test(row.message) ? [row.message] : [],
  );
}

/** A stage that stops in its first calls, until the gate is opened. */
export function stopping(calls = 1) {
  const { gate, pass } = newGate();
  let called = 0;
  const stop = async () => {
    called += 1;
    const mine = called;
    if (mine <= calls) await pass();
    return mine;
  };
  return { gate, stop };
}
