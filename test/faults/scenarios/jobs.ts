import { unitOf } from "../../../src/persistence/connection-core.ts";
import { ConsumerJobs } from "../../../src/queue/consumer-jobs.ts";
import type { Backend } from "../../../src/contract/index.ts";
import { untilNone } from "../support/calls.ts";
import { MINUTE_MS, NOW } from "../support/time.ts";
import type { Scenario } from "./scenario.ts";

const JOB = { workflowRunId: "active", workflowId: "report", stageId: "deliver" };

/** What the queue's consumer does over the backend's store. */
function consumerOf(backend: Backend): ConsumerJobs {
  return new ConsumerJobs({ direct: unitOf(backend), workerId: "consumer" });
}

const COMPLETED = { status: "completed" } as const;

export const jobScenarios: readonly Scenario[] = [
  {
    method: "jobs.enqueue",
    call: ({ jobs }) => jobs.enqueue({ ...JOB, payload: { n: 1 } }),
    repeat: { adds: "a job has no key of its caller's" },
  },
  {
    method: "jobs.enqueueParallel",
    call: ({ jobs }) =>
      jobs.enqueueParallel([JOB, { ...JOB, scheduledFor: new Date(NOW + MINUTE_MS) }]),
    repeat: { adds: "a job has no key of its caller's" },
  },
  {
    method: "jobs.enqueue",
    title: "with a dedupe key",
    call: ({ jobs }) => jobs.enqueue({ ...JOB, dedupeKey: "once" }),
    repeat: "the same",
  },
  {
    method: "jobs.enqueueParallel",
    title: "with a dedupe key that a live job has",
    prepare: (_backend, _world, other) => other.jobs.enqueue({ ...JOB, dedupeKey: "once" }),
    call: ({ jobs }) => jobs.enqueueParallel([{ ...JOB, dedupeKey: "once" }]),
    repeat: "the same",
  },
  {
    method: "jobs.dequeueMany",
    call: ({ jobs }) => jobs.dequeueMany(1),
    repeat: { adds: "it leases the next jobs; the first ones' leases end by themselves" },
  },
  {
    method: "consumer.resumeAndDequeue",
    call: (backend) => consumerOf(backend).resumeAndDequeue(1),
    repeat: { adds: "it leases the next jobs; the first ones' leases end by themselves" },
  },
  {
    method: "jobs.completeMany",
    prepare: ({ jobs }) => jobs.dequeue(),
    call: async ({ jobs }, world) => {
      const { ready, leased, completed } = world.jobs;
      const settled = await jobs.completeMany([ready, completed, leased, "active/unknown"]);
      return settled.map(({ outcome }) => outcome);
    },
    repeat: { answers: ["over", "over", "over", "not-found"] },
  },
  {
    method: "jobs.completeMany",
    title: "of a delivery that is over",
    prepare: async ({ jobs }, _world, other) => {
      await jobs.dequeue();
      await other.jobs.releaseStaleJobs(-1);
      await untilNone(() => other.jobs.dequeue());
    },
    call: ({ jobs }, world) => jobs.completeMany([world.jobs.ready]),
    repeat: "the same",
  },
  {
    method: "consumer.giveBackMany",
    call: (backend, world) =>
      consumerOf(backend).giveBackMany([world.jobs.leased, world.jobs.completed], "away"),
    repeat: { answers: 0 },
  },
  {
    method: "consumer.unclaimMany",
    call: (backend, world) =>
      consumerOf(backend).unclaimMany([world.jobs.leased, world.jobs.completed]),
    repeat: { answers: 0 },
  },
  {
    method: "consumer.lostAmong",
    call: (backend, world) =>
      consumerOf(backend).lostAmong([world.jobs.leased, world.jobs.completed]),
    repeat: "the same",
  },
  {
    method: "consumer.endedAmong",
    call: (backend) => consumerOf(backend).endedAmong(["active", "absent"]),
    repeat: "the same",
  },
  {
    method: "consumer.settleMany",
    call: async (backend, world) => {
      const { ready, leased } = world.jobs;
      const settled = await consumerOf(backend).settleMany([
        { jobId: ready, outcome: COMPLETED },
        { jobId: leased, outcome: { status: "failed", error: "No model" } },
      ]);
      return settled.map(({ outcome }) => outcome);
    },
    repeat: { answers: ["over", "settled"] },
  },
  {
    method: "consumer.touchMany",
    prepare: ({ jobs }) => jobs.dequeue(),
    call: (backend, world) =>
      consumerOf(backend).touchMany([world.jobs.ready, world.jobs.completed]),
    repeat: "the same",
  },
  {
    method: "jobs.jobStats",
    call: ({ jobs }) => jobs.jobStats(),
    repeat: "the same",
  },
  {
    method: "jobs.dequeue",
    call: ({ jobs }) => jobs.dequeue(),
    repeat: { adds: "it leases the next job; the first one's lease ends by itself" },
  },
  {
    method: "jobs.dequeue",
    title: "with nothing due",
    prepare: async ({ jobs }) => {
      await untilNone(() => jobs.dequeue());
    },
    call: ({ jobs }) => jobs.dequeue(),
    repeat: "the same",
  },
  {
    method: "jobs.complete",
    call: ({ jobs }, world) => jobs.complete(world.jobs.leased),
    repeat: "the same",
  },
  {
    method: "jobs.complete",
    title: "of this connection's delivery",
    prepare: ({ jobs }) => jobs.dequeue(),
    call: ({ jobs }, world) => jobs.complete(world.jobs.ready),
    repeat: "the same",
  },
  {
    method: "jobs.complete",
    title: "of a delivery that is over",
    prepare: async ({ jobs }, _world, other) => {
      await jobs.dequeue();
      await other.jobs.releaseStaleJobs(-1);
      await untilNone(() => other.jobs.dequeue());
    },
    call: ({ jobs }, world) => jobs.complete(world.jobs.ready),
    repeat: "the same",
  },
  {
    method: "jobs.complete",
    title: "of a completed job",
    call: ({ jobs }, world) => jobs.complete(world.jobs.completed),
    repeat: "the same",
  },
  {
    method: "jobs.complete",
    title: "of no job",
    call: ({ jobs }) => jobs.complete("active/unknown"),
    repeat: "the same",
  },
  {
    method: "jobs.suspend",
    call: ({ jobs }, world) => jobs.suspend(world.jobs.leased, new Date(NOW + MINUTE_MS)),
    repeat: "the same",
  },
  {
    method: "jobs.fail",
    title: "to be retried",
    call: ({ jobs }, world) => jobs.fail(world.jobs.leased, "No model", true),
    repeat: "the same",
  },
  {
    method: "jobs.fail",
    title: "for good",
    call: ({ jobs }, world) => jobs.fail(world.jobs.leased, "No model"),
    repeat: "the same",
  },
  {
    method: "jobs.touchJob",
    call: ({ jobs }, world) => jobs.touchJob(world.jobs.leased),
    repeat: "the same",
  },
  {
    method: "jobs.touchJob",
    title: "of a job that does not run",
    call: ({ jobs }, world) => jobs.touchJob(world.jobs.ready),
    repeat: "the same",
  },
  {
    method: "jobs.getJobsByWorkflowRun",
    call: ({ jobs }) => jobs.getJobsByWorkflowRun("active"),
    repeat: "the same",
  },
  {
    method: "jobs.getSuspendedJobsReadyToPoll",
    call: ({ jobs }) => jobs.getSuspendedJobsReadyToPoll(),
    repeat: "the same",
  },
  {
    method: "jobs.releaseStaleJobs",
    call: ({ jobs }) => jobs.releaseStaleJobs(),
    repeat: { answers: 0 },
  },
  {
    method: "jobs.cancelByRun",
    call: ({ jobs }) => jobs.cancelByRun("active"),
    repeat: { answers: 0 },
  },
  {
    method: "jobs.cancelByRun",
    title: "with nothing to cancel",
    call: ({ jobs }) => jobs.cancelByRun("idle"),
    repeat: "the same",
  },
];
