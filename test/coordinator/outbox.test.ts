import { beforeEach, describe, expect, it } from "vitest";
import { embed } from "../../src/embed.ts";
import { anEvent, aRun, eventsOf as inputs, upTo } from "../../src/testing/conformance/support.ts";
import { databaseVia } from "../anomalies/database.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import {
  aClaim,
  anAppend,
  count,
  eventsOf,
  outcomeOf,
  signal,
  withCoordinators,
} from "./support.ts";

const RUN = "run-1";

beforeEach(async () => {
  await emptyDatabase();
});

async function sequencesOf(workflowRunId = RUN): Promise<number[]> {
  return (await eventsOf(workflowRunId)).map(({ sequence }) => sequence);
}

describe("commits with outbox events", () => {
  it("get the sequences 1 to 30, thirty connections at once", async () => {
    const connections = upTo(30).map(() => embed(env));

    await Promise.all(
      connections.map(({ persistence }) => persistence.appendOutboxEvents([anEvent(RUN)])),
    );

    expect(await sequencesOf()).toEqual(upTo(30));
  });

  it("keep the events of each commit together and in their order", async () => {
    await Promise.all(
      upTo(20).map((n) =>
        embed(env).persistence.appendOutboxEvents(inputs(RUN, `${n}:a`, `${n}:b`, `${n}:c`)),
      ),
    );

    const types = (await eventsOf(RUN)).map(({ type }) => type);
    const commits = Array.from({ length: 20 }, (_, index) => types.slice(3 * index, 3 * index + 3));
    expect(await sequencesOf()).toEqual(upTo(60));
    expect(commits.map((commit) => commit.map((type) => type.split(":")[1]).join(""))).toEqual(
      upTo(20).map(() => "abc"),
    );
    expect(commits.filter((commit) => new Set(commit.map(commitOf)).size !== 1)).toEqual([]);
  });

  it("are numbered in the order in which their transactions were committed", async () => {
    const { persistence } = embed(env);
    await persistence.createRun(aRun({ id: RUN }));
    const step = async (backend: ReturnType<typeof embed>) =>
      backend.persistence.withTransaction(async (tx) => {
        const tokens = ((await tx.getRun(RUN))?.totalTokens ?? 0) + 1;
        await tx.updateRun(RUN, { totalTokens: tokens });
        await tx.appendOutboxEvents([anEvent(RUN, { eventType: String(tokens) })]);
      });

    await Promise.all(upTo(8).map(() => step(embed(env))));

    const events = await eventsOf(RUN);
    expect(events).toEqual(upTo(8).map((n) => ({ sequence: n, type: String(n) })));
  });

  it("of several runs at once have sequences of their own", async () => {
    const runs = ["run-1", "run-2", "run-3"];
    await Promise.all(
      upTo(30).map((n) =>
        embed(env).persistence.appendOutboxEvents([anEvent(runs[n % 3] ?? "run-1")]),
      ),
    );
    for (const run of runs) expect(await sequencesOf(run)).toEqual(upTo(10));
  });

  it("of two runs in one commit are numbered in both", async () => {
    await Promise.all(
      upTo(10).map(() =>
        embed(env).persistence.appendOutboxEvents([anEvent("run-1"), anEvent("run-2")]),
      ),
    );
    expect(await sequencesOf("run-1")).toEqual(upTo(10));
    expect(await sequencesOf("run-2")).toEqual(upTo(10));
  });
});

describe("a coordinator", () => {
  it("sends the commits of its run to D1 one after the other, in the order of their arrival", async () => {
    let underWay = 0;
    let most = 0;
    const watched = databaseVia(env.DB, async (batch, send) => {
      underWay += 1;
      most = Math.max(most, underWay);
      try {
        return await send(batch);
      } finally {
        underWay -= 1;
      }
    });

    await withCoordinators(async (create) => {
      const coordinator = create(watched);
      await Promise.all(upTo(30).map((n) => coordinator.attempt(anAppend(RUN, String(n)))));
    });

    expect(most).toBe(1);
    expect(await eventsOf(RUN)).toEqual(upTo(30).map((n) => ({ sequence: n, type: String(n) })));
  });

  it("goes on after a commit that fails, which takes no sequence", async () => {
    const outcomes = await withCoordinators(async (create) => {
      const coordinator = create();
      const stale = {
        ...anAppend(RUN, "refused"),
        guards: [{ on: "run", id: RUN, expect: { is: "present" } } as const],
      };
      return Promise.all([
        coordinator.attempt(anAppend(RUN, "first")),
        coordinator.attempt(stale),
        coordinator.attempt(anAppend(RUN, "second")),
      ]);
    });

    expect(outcomes.map(outcomeOf)).toEqual(["applied", "refused", "applied"]);
    expect(await eventsOf(RUN)).toEqual([
      { sequence: 1, type: "first" },
      { sequence: 2, type: "second" },
    ]);
  });
});

describe("two coordinators of one run at once", () => {
  it("number thirty commits 1 to 30, each event once", async () => {
    let underWay = 0;
    let most = 0;
    const watched = databaseVia(env.DB, async (batch, send) => {
      underWay += 1;
      most = Math.max(most, underWay);
      const answers = await send(batch);
      underWay -= 1;
      return answers;
    });

    const outcomes = await withCoordinators(async (create) => {
      const coordinators = [create(watched), create(watched)];
      return Promise.all(
        upTo(30).map((n) => {
          const coordinator = coordinators[n % 2] ?? create(watched);
          return coordinator.attempt(anAppend(RUN, String(n)));
        }),
      );
    });

    expect(most).toBe(2);
    expect(count(outcomes.map(outcomeOf), "applied")).toBe(30);
    expect(await sequencesOf()).toEqual(upTo(30));
    const types = (await eventsOf(RUN)).map(({ type }) => type);
    expect(new Set(types).size).toBe(30);
  });

  it("let one of their claims win", async () => {
    const { persistence } = embed(env);
    await persistence.createRun(aRun({ id: RUN }));
    const both = signal();
    let waiting = 0;
    const meeting = databaseVia(env.DB, async (batch, send) => {
      waiting += 1;
      if (waiting === 2) both.give();
      await both.given;
      return send(batch);
    });

    const outcomes = await withCoordinators(async (create) => {
      const coordinators = [create(meeting), create(meeting)];
      return Promise.all(
        coordinators.flatMap((one) => upTo(5).map(() => one.attempt(aClaim(RUN)))),
      );
    });

    expect(count(outcomes.map(outcomeOf), "applied")).toBe(1);
    expect(count(outcomes.map(outcomeOf), "refused")).toBe(9);
    expect(await persistence.getRun(RUN)).toMatchObject({ status: "RUNNING", version: 2 });
  });
});

function commitOf(type: string): string {
  return type.split(":")[0] ?? "";
}
