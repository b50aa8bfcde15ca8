import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Connection } from "../../src/persistence/connection.ts";
import type { Commit } from "../../src/changes/index.ts";
import { CoordinatedStore, type CoordinatorNamespace } from "../../src/coordinator/index.ts";
import { embed } from "../../src/embed.ts";
import { D1Store } from "../../src/store/index.ts";
import { anEvent, aRun, expectCode, upTo } from "../../src/testing/conformance/support.ts";
import { breakingOff } from "../rpc/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { anAppend, eventsOf } from "./support.ts";

const RUN = "run-1";
const BYPASS_MS = 10_000;

beforeEach(async () => {
  await emptyDatabase();
});

afterEach(() => {
  vi.useRealTimers();
});

/** Coordinators that fail when asked, after the commit has landed or before it has been heard of. */
function failing({ landed }: { readonly landed: boolean }) {
  const asked: string[] = [];
  const runs: CoordinatorNamespace = {
    getByName: (name) => ({
      attempt: async (commit: Commit) => {
        asked.push(name);
        if (landed) await new D1Store(env.DB).attempt(commit);
        throw new Error("Durable Object reset because its code was updated.");
      },
    }),
  };
  const store = new CoordinatedStore(new D1Store(env.DB), runs);
  return { asked, store, connection: new Connection(store) };
}

describe.each([
  { when: "cannot be reached", landed: false },
  { when: "fails after the commit has landed", landed: true },
])("with a coordinator that $when", ({ landed }) => {
  it("a commit succeeds and has one effect", async () => {
    const { asked, connection } = failing({ landed });
    await connection.persistence.appendOutboxEvents([anEvent(RUN)]);
    expect(asked).toEqual([RUN]);
    expect(await eventsOf(RUN)).toEqual([{ sequence: 1, type: "stage:completed" }]);
  });

  it("a claim succeeds, and is won once", async () => {
    const { connection } = failing({ landed });
    await connection.persistence.createRun(aRun({ id: RUN }));
    expect(await connection.persistence.claimPendingRun(RUN)).toBe(true);
    expect(await connection.persistence.claimPendingRun(RUN)).toBe(false);
  });

  it("a transaction with events succeeds and has one effect", async () => {
    const { connection } = failing({ landed });
    await connection.persistence.createRun(aRun({ id: RUN }));
    await connection.persistence.withTransaction(async (tx) => {
      await tx.updateRun(RUN, { totalTokens: 1 });
      await tx.appendOutboxEvents([anEvent(RUN)]);
    });
    expect(await connection.persistence.getRun(RUN)).toMatchObject({ version: 2, totalTokens: 1 });
    expect(await eventsOf(RUN)).toHaveLength(1);
  });
});

describe("after a coordinator failed", () => {
  it("its run's commits go straight to D1 for ten seconds, then to it again", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const { asked, store } = failing({ landed: false });
    await expectCode(store.attempt(anAppend(RUN)), "UNAVAILABLE");
    expect(asked).toEqual([RUN]);

    vi.setSystemTime(Date.now() + BYPASS_MS - 1);
    expect(await store.attempt(anAppend(RUN))).toMatchObject({ applied: true });
    expect(asked).toEqual([RUN]);

    vi.setSystemTime(Date.now() + 1);
    await expectCode(store.attempt(anAppend(RUN)), "UNAVAILABLE");
    expect(asked).toEqual([RUN, RUN]);
  });

  it("the commits of other runs still go to theirs", async () => {
    const { asked, store } = failing({ landed: false });
    await expectCode(store.attempt(anAppend("run-1")), "UNAVAILABLE");
    await expectCode(store.attempt(anAppend("run-2")), "UNAVAILABLE");
    expect(asked).toEqual(["run-1", "run-2"]);
  });

  it("a thousand more that failed make it forgotten", async () => {
    const { asked, store } = failing({ landed: false });
    for (let n = 0; n <= 1_000; n += 1) {
      await expectCode(store.attempt(anAppend(`run-${n}`)), "UNAVAILABLE");
    }
    await expectCode(store.attempt(anAppend("run-0")), "UNAVAILABLE");
    expect(asked.at(-1)).toBe("run-0");
  });
});

describe("a commit on its way to its coordinator", () => {
  it("that breaks off is UNAVAILABLE, having written nothing", async () => {
    const answer = await env.RUNS.getByName(RUN).attempt(breakingOff('{"id":"'));
    expect(answer).toMatchObject({ ok: false, error: { code: "UNAVAILABLE" } });
    expect(await eventsOf(RUN)).toEqual([]);
  });

  it("that is too large for a message arrives as a stream", async () => {
    const { persistence } = embed(env);
    const payload = "x".repeat(1_800_000);
    await persistence.appendOutboxEvents(upTo(6).map(() => anEvent(RUN, { payload })));
    expect((await eventsOf(RUN)).map(({ sequence }) => sequence)).toEqual(upTo(6));
  });
});

describe("without a coordinator", () => {
  it("reads, settlements and other commits go", async () => {
    const { asked, connection } = failing({ landed: false });
    const { persistence } = connection;
    await persistence.createRun(aRun({ id: RUN }));
    await persistence.updateRun(RUN, { totalTokens: 1 });
    await persistence.appendOutboxEvents([anEvent("run-1"), anEvent("run-2")]);
    expect(await persistence.getRun(RUN)).toMatchObject({ version: 2 });
    expect(asked).toEqual([]);
  });
});
