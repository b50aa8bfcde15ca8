import { MINUTE_MS, NOW } from "../support/time.ts";
import type { Scenario } from "./scenario.ts";

const RUN = { workflowRunId: "active" };
const EVENT = { ...RUN, payload: { n: 1 }, causationId: "test", occurredAt: new Date(NOW) };

export const recordScenarios: readonly Scenario[] = [
  {
    method: "persistence.createLog",
    call: ({ persistence }, { stages }) =>
      persistence.createLog({ workflowStageId: stages.score, level: "WARN", message: "slow" }),
    repeat: { adds: "a log has no key of its caller's" },
  },
  {
    method: "persistence.createLog",
    title: "of a stage that is gone",
    prepare: ({ persistence }, { stages }) => persistence.deleteStage(stages.score),
    call: ({ persistence }, { stages }) =>
      persistence.createLog({ workflowStageId: stages.score, level: "WARN", message: "slow" }),
    repeat: "the same",
  },
  {
    method: "persistence.saveArtifact",
    title: "of a new key",
    call: ({ persistence }) =>
      persistence.saveArtifact({ ...RUN, key: "final.json", type: "ARTIFACT", data: 1, size: 1 }),
    repeat: "the same",
  },
  {
    method: "persistence.saveArtifact",
    title: "of a known key",
    call: ({ persistence }) =>
      persistence.saveArtifact({ ...RUN, key: "draft.json", type: "METADATA", data: 1, size: 1 }),
    repeat: "the same",
  },
  {
    method: "persistence.loadArtifact",
    call: ({ persistence }) => persistence.loadArtifact("active", "draft.json"),
    repeat: "the same",
  },
  {
    method: "persistence.hasArtifact",
    call: ({ persistence }) => persistence.hasArtifact("active", "draft.json"),
    repeat: "the same",
  },
  {
    method: "persistence.deleteArtifact",
    call: ({ persistence }) => persistence.deleteArtifact("active", "draft.json"),
    repeat: { fails: "NOT_FOUND" },
  },
  {
    method: "persistence.listArtifacts",
    call: ({ persistence }) => persistence.listArtifacts("active"),
    repeat: "the same",
  },
  {
    method: "persistence.getStageIdForArtifact",
    call: ({ persistence }) => persistence.getStageIdForArtifact("active", "extract"),
    repeat: "the same",
  },
  {
    method: "persistence.saveStageOutput",
    call: ({ persistence }) =>
      persistence.saveStageOutput("active", "report", "extract", { pages: 3 }),
    repeat: "the same",
  },
  {
    method: "persistence.appendAnnotations",
    call: ({ persistence }, { stages }) =>
      persistence.appendAnnotations([
        { ...RUN, scope: "run", key: "verdict", value: "good" },
        { ...RUN, scope: "stage", workflowStageRecordId: stages.score, key: "note", value: null },
      ]),
    repeat: { adds: "an annotation without an idempotency key is a new one each time" },
  },
  {
    method: "persistence.appendAnnotations",
    title: "some of them known by their key",
    call: ({ persistence }) =>
      persistence.appendAnnotations([
        { ...RUN, scope: "run", key: "verdict", value: "good", idempotencyKey: "once" },
        { ...RUN, scope: "run", key: "verdict", value: "good", idempotencyKey: "twice" },
      ]),
    repeat: "the same",
  },
  {
    method: "persistence.listAnnotations",
    call: ({ persistence }) => persistence.listAnnotations("active"),
    repeat: "the same",
  },
  {
    method: "persistence.appendOutboxEvents",
    call: ({ persistence }) =>
      persistence.appendOutboxEvents([
        { ...EVENT, eventType: "e" },
        { ...EVENT, eventType: "f" },
      ]),
    repeat: { adds: "an event has no key of its caller's" },
  },
  {
    method: "persistence.appendOutboxEvents",
    title: "of several runs",
    call: ({ persistence }) =>
      persistence.appendOutboxEvents([
        { ...EVENT, eventType: "e" },
        { ...EVENT, workflowRunId: "second", eventType: "f" },
      ]),
    repeat: { adds: "an event has no key of its caller's" },
  },
  {
    method: "persistence.getUnpublishedOutboxEvents",
    call: ({ persistence }) => persistence.getUnpublishedOutboxEvents(),
    repeat: "the same",
  },
  {
    method: "persistence.markOutboxEventsPublished",
    call: ({ persistence }, { events }) =>
      persistence.markOutboxEventsPublished([events.waiting, events.dead, events.published]),
    repeat: "the same",
  },
  {
    method: "persistence.incrementOutboxRetryCount",
    call: ({ persistence }, { events }) => persistence.incrementOutboxRetryCount(events.waiting),
    repeat: { adds: "it counts once more" },
  },
  {
    method: "persistence.moveOutboxEventToDLQ",
    call: ({ persistence }, { events }) => persistence.moveOutboxEventToDLQ(events.waiting),
    repeat: "the same",
  },
  {
    method: "persistence.moveOutboxEventToDLQ",
    title: "of a published event",
    call: ({ persistence }, { events }) => persistence.moveOutboxEventToDLQ(events.published),
    repeat: "the same",
  },
  {
    method: "persistence.replayDLQEvents",
    call: ({ persistence }) => persistence.replayDLQEvents(10),
    repeat: { answers: 0 },
  },
  {
    method: "persistence.acquireIdempotencyKey",
    call: ({ persistence }) => persistence.acquireIdempotencyKey("new", "start"),
    repeat: { answers: { status: "in_progress" } },
  },
  {
    method: "persistence.acquireIdempotencyKey",
    title: "taken over",
    call: ({ persistence }) =>
      persistence.acquireIdempotencyKey("held", "start", { staleInProgressAfterMs: MINUTE_MS }),
    repeat: { answers: { status: "in_progress" } },
  },
  {
    method: "persistence.acquireIdempotencyKey",
    title: "of a key that others hold",
    call: ({ persistence }) => persistence.acquireIdempotencyKey("held", "start"),
    repeat: "the same",
  },
  {
    method: "persistence.acquireIdempotencyKey",
    title: "of a completed key",
    call: ({ persistence }) => persistence.acquireIdempotencyKey("done", "start"),
    repeat: "the same",
  },
  {
    method: "persistence.completeIdempotencyKey",
    title: "in progress",
    call: ({ persistence }) => persistence.completeIdempotencyKey("held", "start", { ok: true }),
    repeat: "the same",
  },
  {
    method: "persistence.completeIdempotencyKey",
    title: "absent",
    call: ({ persistence }) => persistence.completeIdempotencyKey("new", "start", { ok: true }),
    repeat: "the same",
  },
  {
    method: "persistence.releaseIdempotencyKey",
    call: ({ persistence }) => persistence.releaseIdempotencyKey("held", "start"),
    repeat: "the same",
  },
  {
    method: "persistence.releaseIdempotencyKey",
    title: "of a completed key",
    call: ({ persistence }) => persistence.releaseIdempotencyKey("done", "start"),
    repeat: "the same",
  },
];
