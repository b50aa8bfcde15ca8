/** Connections whose calls fail when they are told to. */
import { fromWire } from "../../../src/changes/index.ts";
import { connect } from "../../../src/client/index.ts";
import type { EngineSessionStub } from "../../../src/client/rpc-store.ts";
import { type Backend, toEnvelope } from "../../../src/contract/index.ts";
import type { CoordinatorNamespace } from "../../../src/coordinator/index.ts";
import { embed } from "../../../src/embed.ts";
import { D1Store } from "../../../src/store/index.ts";
import { faultyD1, type FaultyD1 } from "../../../src/testing/faulty-d1.ts";
import { env, service } from "../../support/env.ts";
import { FaultyCalls } from "./calls.ts";
import { NOW } from "./time.ts";

export interface Line {
  readonly backend: Backend;
  readonly d1: FaultyD1;
  /** Calls to coordinators; over a service binding, to the session. */
  readonly others: FaultyCalls;
}

const OPTIONS = { workerId: "worker", now: () => NOW };

/** Embedded, with coordinators in process that use the same faulty database. */
export function embedded(): Line {
  const d1 = faultyD1(env.DB);
  const store = new D1Store(d1.db);
  return over(d1, {
    getByName: () => ({
      attempt: (sent) => toEnvelope(async () => store.attempt(await fromWire(sent))),
    }),
  });
}

/** Embedded, with the real coordinators, which use the real database. */
export function coordinated(): Line {
  return over(faultyD1(env.DB), env.RUNS);
}

function over(d1: FaultyD1, runs: CoordinatorNamespace): Line {
  const others = new FaultyCalls();
  const RUNS: CoordinatorNamespace = {
    getByName: (name) => ({
      attempt: (commit) => others.make("attempt", () => runs.getByName(name).attempt(commit)),
    }),
  };
  return { backend: embed({ DB: d1.db, RUNS }, OPTIONS), d1, others };
}

/** Over the real service binding. Its database is its own: `d1` sees nothing. */
export function bound(): Line {
  const others = new FaultyCalls();
  const open = async (): Promise<EngineSessionStub> => {
    const session = await service.open();
    return {
      now: () => others.make("now", () => session.now()),
      read: (queries) => others.make("read", () => session.read(queries)),
      attempt: (commit) => others.make("attempt", () => session.attempt(commit)),
      settle: (commit) => others.make("settle", () => session.settle(commit)),
    };
  };
  const binding = { open: () => others.make("open", open) };
  return { backend: connect(binding, { workerId: "worker" }), d1: faultyD1(env.DB), others };
}
