import type { UpdateStageInput } from "../../contract/index.ts";
import type { ConformanceBackend } from "./harness.ts";
import {
  anAICall,
  aJob,
  aLog,
  anAnnotation,
  anArtifact,
  anEvent,
  at,
  forced,
  present,
  seedRun,
  seedStage,
} from "./support.ts";

/** A place where JSON is stored. */
export interface Column {
  readonly name: string;
  /** True where only objects are taken. */
  readonly objectsOnly?: boolean;
  /** Writes through one connection, reads through another. */
  roundTrip(
    writer: ConformanceBackend,
    reader: ConformanceBackend,
    value: unknown,
  ): Promise<unknown>;
}

function stageUpdateColumn(field: keyof UpdateStageInput): Column {
  return {
    name: `a stage's ${field}`,
    async roundTrip(writer, reader, value) {
      const { id } = await seedStage(writer, (await seedRun(writer)).id);
      await writer.persistence.updateStage(id, forced({ [field]: value }));
      return forced<Record<string, unknown>>(await reader.persistence.getStageById(id))[field];
    },
  };
}

/** Every JSON column that the contract lets one read. */
export const COLUMNS: readonly Column[] = [
  ...(["input", "config", "metadata"] as const).map((field): Column => ({
    name: `a run's ${field}`,
    async roundTrip(writer, reader, value) {
      const { id } = await seedRun(writer, { [field]: value });
      return present(await reader.persistence.getRun(id))[field];
    },
  })),
  {
    name: "a run's output",
    async roundTrip(writer, reader, value) {
      const { id } = await seedRun(writer);
      await writer.persistence.updateRun(id, { output: value });
      return present(await reader.persistence.getRun(id)).output;
    },
  },
  ...(["config", "inputData"] as const).map((field): Column => ({
    name: `a new stage's ${field}`,
    async roundTrip(writer, reader, value) {
      const { id } = await seedStage(writer, (await seedRun(writer)).id, { [field]: value });
      return present(await reader.persistence.getStageById(id))[field];
    },
  })),
  stageUpdateColumn("outputData"),
  stageUpdateColumn("config"),
  stageUpdateColumn("suspendedState"),
  stageUpdateColumn("resumeData"),
  stageUpdateColumn("metrics"),
  stageUpdateColumn("embeddingInfo"),
  {
    name: "an artifact's data",
    async roundTrip(writer, reader, value) {
      const { id } = await seedRun(writer);
      await writer.persistence.saveArtifact(anArtifact(id, { data: value }));
      return reader.persistence.loadArtifact(id, "report.json");
    },
  },
  {
    name: "an artifact's metadata",
    async roundTrip(writer, reader, value) {
      const { id } = await seedRun(writer);
      await writer.persistence.saveArtifact(anArtifact(id, { metadata: value }));
      return at(await reader.persistence.listArtifacts(id), 0).metadata;
    },
  },
  {
    name: "a stage's output artifact",
    async roundTrip(writer, reader, value) {
      const { id } = await seedRun(writer);
      const key = await writer.persistence.saveStageOutput(id, "invoices", "extract", value);
      return reader.persistence.loadArtifact(id, key);
    },
  },
  ...(["value", "payload"] as const).map((field): Column => ({
    name: `an annotation's ${field}`,
    async roundTrip(writer, reader, value) {
      const { id } = await seedRun(writer);
      await writer.persistence.appendAnnotations([anAnnotation(id, { [field]: value })]);
      return at(await reader.persistence.listAnnotations(id), 0)[field];
    },
  })),
  {
    name: "an outbox event's payload",
    async roundTrip(writer, reader, value) {
      const runId = crypto.randomUUID();
      await writer.persistence.appendOutboxEvents([anEvent(runId, { payload: value })]);
      const events = await reader.persistence.getUnpublishedOutboxEvents();
      return present(events.find((event) => event.workflowRunId === runId)).payload;
    },
  },
  {
    name: "an idempotency key's result",
    async roundTrip(writer, reader, value) {
      const key = crypto.randomUUID();
      await writer.persistence.completeIdempotencyKey(key, "run.create", value);
      const acquired = await reader.persistence.acquireIdempotencyKey(key, "run.create");
      if (acquired.status !== "replay") throw new Error(`The key is ${acquired.status}.`);
      return acquired.result;
    },
  },
  {
    name: "a job's payload",
    objectsOnly: true,
    async roundTrip(writer, reader, value) {
      const runId = crypto.randomUUID();
      await writer.jobs.enqueue(aJob(runId, { payload: forced(value) }));
      const [listed] = await writer.jobs.getJobsByWorkflowRun(runId);
      const dequeued = present(await reader.jobs.dequeue());
      if (JSON.stringify(listed?.payload) !== JSON.stringify(dequeued.payload)) {
        throw new Error("The queue and the list of jobs disagree about the payload.");
      }
      return dequeued.payload;
    },
  },
];

/** A way to write a text of any length. */
export interface LargeWrite {
  readonly name: string;
  /** The text that the error's own `field` has to contain, without regard to case. */
  readonly field: string;
  write(backend: ConformanceBackend, text: string): Promise<unknown>;
}

/** One for each kind of row, and one for each way to write it. */
export const LARGE_WRITES: readonly LargeWrite[] = [
  ...(["input", "config"] as const).map((field) => ({
    name: `createRun with a large ${field}`,
    field,
    write: (backend: ConformanceBackend, text: string) => seedRun(backend, { [field]: text }),
  })),
  {
    name: "updateRun with a large output",
    field: "output",
    write: async (backend, text) => {
      const { id } = await seedRun(backend);
      await backend.persistence.updateRun(id, { output: text });
    },
  },
  {
    name: "createStage with large inputData",
    field: "inputData",
    write: async (backend, text) =>
      seedStage(backend, (await seedRun(backend)).id, { inputData: text }),
  },
  {
    name: "updateStage with large outputData",
    field: "outputData",
    write: async (backend, text) => {
      const { id } = await seedStage(backend, (await seedRun(backend)).id);
      await backend.persistence.updateStage(id, { outputData: text });
    },
  },
  {
    name: "updateStage with a large errorMessage",
    field: "errorMessage",
    write: async (backend, text) => {
      const { id } = await seedStage(backend, (await seedRun(backend)).id);
      await backend.persistence.updateStage(id, { errorMessage: text });
    },
  },
  {
    name: "createLog with a large message",
    field: "message",
    write: ({ persistence }, text) => persistence.createLog(aLog({ message: text })),
  },
  {
    name: "saveArtifact with large data",
    field: "data",
    write: async (backend, text) => {
      const { id } = await seedRun(backend);
      await backend.persistence.saveArtifact(anArtifact(id, { data: text }));
    },
  },
  {
    name: "appendAnnotations with a large value",
    field: "value",
    write: async (backend, text) => {
      const { id } = await seedRun(backend);
      await backend.persistence.appendAnnotations([anAnnotation(id, { value: text })]);
    },
  },
  {
    name: "appendOutboxEvents with a large payload",
    field: "payload",
    write: ({ persistence }, text) =>
      persistence.appendOutboxEvents([anEvent("run-1", { payload: text })]),
  },
  {
    name: "completeIdempotencyKey with a large result",
    field: "result",
    write: ({ persistence }, text) => persistence.completeIdempotencyKey("key", "run.create", text),
  },
  {
    name: "enqueue with a large payload",
    field: "payload",
    write: ({ jobs }, text) => jobs.enqueue(aJob("run-1", { payload: { text } })),
  },
  {
    name: "logBatchResults with a large prompt",
    field: "prompt",
    write: ({ aiCalls }, text) => aiCalls.logBatchResults("batch", [anAICall({ prompt: text })]),
  },
];
