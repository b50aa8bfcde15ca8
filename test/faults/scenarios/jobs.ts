import { MINUTE_MS, NOW } from "../support/time.ts";
import type { Scenario } from "./scenario.ts";

const JOB = { workflowRunId: "active", workflowId: "report", stageId: "deliver" };

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
    method: "jobs.dequeue",
    call: ({ jobs }) => jobs.dequeue(),
    repeat: { adds: "it leases the next job; the first one's lease ends by itself" },
  },
  {
    method: "jobs.dequeue",
    title: "with nothing due",
    prepare: async ({ jobs }) => {
      while ((await jobs.dequeue()) !== null);
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
      while ((await other.jobs.dequeue()) !== null);
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
