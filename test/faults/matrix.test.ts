/**
 * The matrix: every method of the contract, every call to D1 that it makes, every way in which that may fail.
 * Transactions have a file of their own, to run beside this one.
 */
import { describe, expect, it } from "vitest";
import { ConsumerJobs } from "../../src/queue/consumer-jobs.ts";
import { aiCallScenarios } from "./scenarios/ai-calls.ts";
import { nameOf, scenarios } from "./scenarios/index.ts";
import { jobScenarios } from "./scenarios/jobs.ts";
import { recordScenarios } from "./scenarios/records.ts";
import { runScenarios } from "./scenarios/runs.ts";
import { stageScenarios } from "./scenarios/stages.ts";
import { embedded } from "./support/line.ts";
import { describeMatrix } from "./support/matrix.ts";

/** The methods that an object of ours really has, be they its own or its class's. */
function methodsOf(of: object): string[] {
  const prototype: object = Object.getPrototypeOf(of);
  const holder = prototype === Object.prototype ? of : prototype;
  return Object.getOwnPropertyNames(holder).filter((name) => name !== "constructor");
}

describe("the scenarios of the fault matrix", () => {
  it("are about every method of the contract", () => {
    const { persistence, jobs, aiCalls } = embedded().backend;
    const ofPersistence = methodsOf(persistence);
    // `adopt` neither reads nor writes.
    const ofJobs = methodsOf(jobs).filter((name) => name !== "adopt");
    const ofConsumer = Object.getOwnPropertyNames(ConsumerJobs.prototype).filter(
      (name) => name !== "constructor",
    );
    // `flush` is ours: it waits for `logCall`, whose scenario calls it.
    const ofAiCalls = methodsOf(aiCalls).filter((name) => name !== "flush");
    expect([ofPersistence.length, ofJobs.length, ofAiCalls.length]).toEqual([41, 14, 4]);
    expect(ofConsumer).toHaveLength(7);
    expect([...new Set(scenarios.map(({ method }) => method))].toSorted()).toEqual(
      [
        ...ofPersistence.map((name) => `persistence.${name}`),
        ...ofJobs.map((name) => `jobs.${name}`),
        ...ofConsumer.map((name) => `consumer.${name}`),
        ...ofAiCalls.map((name) => `aiCalls.${name}`),
      ].toSorted(),
    );
  });

  it("have names of their own", () => {
    expect(new Set(scenarios.map(nameOf)).size).toBe(scenarios.length);
  });
});

describeMatrix("runs", runScenarios);
describeMatrix("stages", stageScenarios);
describeMatrix("records", recordScenarios);
describeMatrix("jobs", jobScenarios);
describeMatrix("AI calls", aiCallScenarios);
