/** What a callback started and did not wait for. */
import { beforeEach, describe, expect, it } from "vitest";
import { emptyDatabase } from "../support/database.ts";
import { createRun, jobInput, outcomeOf, present, ways } from "./ways.ts";

beforeEach(() => emptyDatabase());

describe.each(ways)("what a callback left running, $name", ({ open }) => {
  it("is given the job that it dequeues, though the callback has failed", async () => {
    const { a } = open();
    const run = await createRun(a);
    const id = await a.jobs.enqueue(jobInput(run));
    const { promise: failed, resolve: goOn } = Promise.withResolvers<void>();
    const leftovers: Promise<string | undefined>[] = [];

    await outcomeOf(
      a.persistence.withTransaction(async () => {
        leftovers.push(failed.then(async () => (await a.jobs.dequeue())?.jobId));
        throw new Error("no");
      }),
    );
    goOn();

    expect(await Promise.all(leftovers)).toEqual([id]);
  });

  it("is given the job that it dequeues while the transaction commits", async () => {
    const { a } = open();
    const run = await createRun(a);
    const id = await a.jobs.enqueue(jobInput(run));
    const leftovers: Promise<string | undefined>[] = [];

    await a.persistence.withTransaction(async (tx) => {
      leftovers.push(a.jobs.dequeue().then((job) => job?.jobId));
      await tx.updateRun(run, { output: 1 });
    });

    expect(await Promise.all(leftovers)).toEqual([id]);
    expect(present(await a.persistence.getRun(run)).output).toBe(1);
  });

  it("is no half of a nested transaction: nothing is written then", async () => {
    const { a } = open();
    const run = await createRun(a);
    const nested: Promise<string>[] = [];

    const outcome = await outcomeOf(
      a.persistence.withTransaction(async (tx) => {
        nested.push(
          outcomeOf(
            tx.withTransaction(async (inner) => {
              await inner.updateRun(run, { output: 1 });
              await inner.updateRun(run, { output: 2 });
            }),
          ),
        );
      }),
    );

    expect([outcome, ...(await Promise.all(nested))]).toEqual([
      "INVALID_ARGUMENT",
      "INVALID_ARGUMENT",
    ]);
    expect(await a.persistence.getRun(run)).toMatchObject({ output: null, version: 1 });
  });
});
