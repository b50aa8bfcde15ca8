/** The answer of a transaction's call is true, whenever the call is made. */
import { describe, expect, it } from "vitest";
import { createRun, event, jobInput, outcomeOf, present, ways } from "./ways.ts";

describe.each(ways)("a call that the callback does not await, $name", ({ open }) => {
  it("is written when it answers, and refused otherwise", async () => {
    const { a } = open();
    const runs = [await createRun(a), await createRun(a), await createRun(a)];
    const chains: Promise<readonly [string, string]>[] = [];
    await a.persistence.withTransaction(async (tx) => {
      for (const id of runs) {
        const chain = async () => {
          const run = await tx.getRun(id);
          return [id, await outcomeOf(tx.updateRun(id, { output: run?.version }))] as const;
        };
        chains.push(chain());
      }
    });
    for (const [id, outcome] of await Promise.all(chains)) {
      const run = present(await a.persistence.getRun(id));
      expect(["done", "INVALID_ARGUMENT"]).toContain(outcome);
      expect({ outcome, version: run.version }).toEqual({
        outcome,
        version: outcome === "done" ? 2 : 1,
      });
    }
  });

  it("belongs to the transaction", async () => {
    const { a } = open();
    const run = await createRun(a);
    const calls: Promise<string>[] = [];
    await a.persistence.withTransaction(async (tx) => {
      calls.push(
        outcomeOf(tx.updateRun(run, { output: "not awaited" })),
        outcomeOf(tx.createLog({ workflowRunId: run, level: "INFO", message: "m" })),
        outcomeOf(tx.appendOutboxEvents([event(run)])),
        outcomeOf(tx.markOutboxEventsPublished([`${run}/9`])),
      );
    });
    expect(await Promise.all(calls)).toEqual(["done", "done", "done", "done"]);
    expect((await a.persistence.getRun(run))?.output).toBe("not awaited");
  });
});

describe.each(ways)("what a callback leaves running, $name", ({ open }) => {
  it("acts at once after the commit", async () => {
    const { a } = open();
    const run = await createRun(a);
    const job = await a.jobs.enqueue(jobInput(run));
    const committed = Promise.withResolvers<void>();
    const heartbeats: Promise<readonly string[]>[] = [];
    const heartbeat = async () => {
      await committed.promise;
      return [
        await outcomeOf(a.jobs.touchJob(job)),
        await outcomeOf(a.persistence.withTransaction((tx) => tx.updateRun(run, { output: 1 }))),
      ];
    };
    await a.persistence.withTransaction(async (tx) => {
      await tx.getRun(run);
      heartbeats.push(heartbeat());
    });
    committed.resolve();
    expect(await Promise.all(heartbeats)).toEqual([["done", "done"]]);
    expect((await a.persistence.getRun(run))?.output).toBe(1);
  });
});

describe.each(ways)("a call that a transaction refuses, $name", ({ open }) => {
  it("is refused at once when the row does not fit with what it keeps", async () => {
    const { a } = open();
    const run = await createRun(a);
    const artifact = { workflowRunId: run, key: "k", type: "ARTIFACT", size: 1 } as const;
    await a.persistence.saveArtifact({
      ...artifact,
      data: "old",
      metadata: "m".repeat(1_200_000),
    });
    await a.persistence.withTransaction(async (tx) => {
      const save = tx.saveArtifact({ ...artifact, data: "n".repeat(900_000) });
      expect(await outcomeOf(save)).toBe("PAYLOAD_TOO_LARGE");
      expect(await tx.loadArtifact(run, "k")).toBe("old");
      expect(await tx.loadArtifact(run, "k")).toBe("old");
    });
    expect(await a.persistence.loadArtifact(run, "k")).toBe("old");
  });

  it("takes none of the room of the transaction", async () => {
    const { a } = open();
    const run = await createRun(a);
    const output = "x".repeat(1_800_000);
    await a.persistence.withTransaction(async (tx) => {
      for (let refused = 0; refused < 12; refused += 1) {
        const outcome = await outcomeOf(tx.updateRun(run, { output, expectedVersion: 99 }));
        expect(outcome).toContain("StaleVersionError");
      }
      await tx.updateRun(run, { output: "small" });
    });
    expect(await a.persistence.getRun(run)).toMatchObject({ output: "small", version: 2 });
  });
});

describe.each(ways)("the annotations of a run that has 10,000, $name", ({ open }) => {
  it("are listed by a transaction", async () => {
    const { a } = open();
    const run = await createRun(a);
    const annotation = { workflowRunId: run, scope: "run", key: "k" };
    for (let first = 0; first < 10_000; first += 1_000) {
      await a.persistence.appendAnnotations(
        Array.from({ length: 1_000 }, (_, index) => ({ ...annotation, value: first + index })),
      );
    }
    const listed = await a.persistence.withTransaction((tx) =>
      tx.listAnnotations(run, { limit: 1 }),
    );
    expect(listed.map(({ value }) => value)).toEqual([0]);
  });
});
