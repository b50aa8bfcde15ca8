import { expect } from "vitest";
import type { Test } from "./harness.ts";
import { race, RACERS } from "./races.ts";
import {
  aJob,
  AN_HOUR_MS,
  anAICall,
  at,
  deliver,
  eventsOf,
  INSTANT,
  present,
  seedEvents,
  shifted,
  theJob,
  upTo,
} from "./support.ts";

/** Races between connections for events, keys, jobs and batches. */
export function queueConcurrency(test: Test): void {
  test("events appended at once are numbered without gaps", async (fixture) => {
    const { errors } = await race(fixture, RACERS, ({ persistence }, index) =>
      persistence.appendOutboxEvents(eventsOf("run-1", `${index}`)),
    );

    const events = await fixture.a.persistence.getUnpublishedOutboxEvents();
    expect(errors).toEqual([]);
    expect(events.map((event) => event.sequence)).toEqual(upTo(RACERS));
    expect(new Set(events.map((event) => event.eventType)).size).toBe(RACERS);
  });

  test("events of one call stay together among others", async (fixture) => {
    const { errors } = await race(fixture, RACERS, ({ persistence }, index) =>
      index % 2 === 0
        ? persistence.appendOutboxEvents(eventsOf("run-1", `${index}`, `${index}`, `${index}`))
        : persistence.withTransaction((tx) =>
            tx.appendOutboxEvents([
              ...eventsOf("run-1", `${index}`, `${index}`, `${index}`),
              ...eventsOf("run-2", `${index}`),
            ]),
          ),
    );

    const events = await fixture.a.persistence.getUnpublishedOutboxEvents(1_000);
    const first = events.filter((event) => event.workflowRunId === "run-1");
    const second = events.filter((event) => event.workflowRunId === "run-2");
    expect(errors).toEqual([]);
    expect(first.map((event) => event.sequence)).toEqual(upTo(3 * RACERS));
    expect(second.map((event) => event.sequence)).toEqual(upTo(RACERS / 2));
    const changes = first.filter((event, i) => event.eventType !== first[i - 1]?.eventType);
    expect(changes).toHaveLength(RACERS);
  });

  test("retries counted at once return distinct counts", async (fixture) => {
    const { id } = at(await seedEvents(fixture.a, "run-1", "a"), 0);

    const { values } = await race(fixture, RACERS, ({ persistence }) =>
      persistence.incrementOutboxRetryCount(id),
    );

    expect(values.toSorted((x, y) => x - y)).toEqual(upTo(RACERS));
  });

  test("replays at once put each event back once", async (fixture) => {
    const events = await seedEvents(fixture.a, "run-1", ...upTo(8).map(String));
    for (const { id } of events) await fixture.a.persistence.moveOutboxEventToDLQ(id);

    const { values } = await race(fixture, RACERS, ({ persistence }) =>
      persistence.replayDLQEvents(3),
    );

    expect(values.reduce((sum, count) => sum + count, 0)).toBe(8);
    expect(await fixture.a.persistence.getUnpublishedOutboxEvents()).toHaveLength(8);
  });

  test("one of many acquires a key", async (fixture) => {
    const { values } = await race(fixture, RACERS, ({ persistence }) =>
      persistence.acquireIdempotencyKey("key", "run.create"),
    );

    const statuses = values.map((result) => result.status).toSorted();
    expect(statuses).toEqual(["acquired", ...upTo(RACERS - 1).map(() => "in_progress")]);
  });

  test("one of many takes over a stale key", async (fixture) => {
    const { persistence: first } = fixture.a;
    await first.acquireIdempotencyKey("key", "run.create", { now: INSTANT });
    const options = { now: shifted(INSTANT, AN_HOUR_MS), staleInProgressAfterMs: AN_HOUR_MS };

    const { values } = await race(fixture, RACERS, ({ persistence }) =>
      persistence.acquireIdempotencyKey("key", "run.create", options),
    );

    const statuses = values.map((result) => result.status).toSorted();
    expect(statuses).toEqual(["acquired", ...upTo(RACERS - 1).map(() => "in_progress")]);
  });

  test("jobs dequeued at once are distinct", async (fixture) => {
    const ids = await fixture.a.jobs.enqueueParallel(upTo(6).map((n) => aJob(`run-${n % 2}`)));

    const { values } = await race(fixture, RACERS, ({ jobs }) => jobs.dequeue());

    const taken = values.flatMap((job) => (job === null ? [] : [job.jobId]));
    expect(taken.toSorted()).toEqual(ids.toSorted());
    for (const job of values) if (job !== null) expect(job.attempt).toBe(1);
  });

  test("as many workers as jobs get one each", async (fixture) => {
    const ids = await fixture.a.jobs.enqueueParallel(upTo(RACERS).map(() => aJob("run-1")));

    const { values } = await race(fixture, RACERS, ({ jobs }) => jobs.dequeue());

    expect(values.map((job) => present(job).jobId).toSorted()).toEqual(ids.toSorted());
    const stored = await fixture.a.jobs.getJobsByWorkflowRun("run-1");
    expect(new Set(stored.map((job) => job.workerId)).size).toBe(RACERS);
  });

  test("jobs enqueued at once are all there", async (fixture) => {
    const { values } = await race(fixture, RACERS, ({ jobs }) =>
      jobs.enqueueParallel([aJob("run-1"), aJob("run-1")]),
    );

    const stored = (await fixture.a.jobs.getJobsByWorkflowRun("run-1")).map((job) => job.id);
    expect(stored.toSorted()).toEqual(values.flat().toSorted());
  });

  test("a stale job is released once, however many release it", async (fixture) => {
    for (const n of upTo(4)) await deliver(fixture.a, aJob(`run-${n}`));

    const { values } = await race(fixture, RACERS, ({ jobs }) =>
      jobs.releaseStaleJobs(-AN_HOUR_MS),
    );

    expect(values.reduce((sum, count) => sum + count, 0)).toBe(4);
  });

  test("a job that many settle at once ends once", async (fixture) => {
    const { jobId } = await deliver(fixture.a, aJob("run-1"));

    const { errors } = await race(fixture, RACERS, ({ jobs }, index) =>
      index % 2 === 0 ? jobs.complete(jobId) : jobs.fail(jobId, "no"),
    );

    const job = await theJob(fixture.a, "run-1", jobId);
    expect(errors).toEqual([]);
    expect(job.lastError).toBe(job.status === "FAILED" ? "no" : null);
    expect(["COMPLETED", "FAILED"]).toContain(job.status);
  });

  test("a run's jobs are cancelled once, however many cancel them", async (fixture) => {
    await fixture.a.jobs.enqueueParallel(upTo(5).map(() => aJob("run-1")));

    const { values } = await race(fixture, RACERS, ({ jobs }) => jobs.cancelByRun("run-1"));

    expect(values.reduce((sum, count) => sum + count, 0)).toBe(5);
  });

  test("a batch that many record at once is recorded once", async (fixture) => {
    const results = upTo(3).map((n) => anAICall({ prompt: `${n}` }));

    const { errors } = await race(fixture, RACERS, ({ aiCalls }) =>
      aiCalls.logBatchResults("batch-1", results),
    );

    expect(errors).toEqual([]);
    expect(await fixture.a.aiCalls.getStats("")).toMatchObject({ totalCalls: 3 });
  });
}
