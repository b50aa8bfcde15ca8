import { describe, expectTypeOf, it } from "vitest";
import { createMemoryBackend } from "../../src/testing/memory.ts";
import type { connect, WorkflowEngineBinding } from "../../src/client/index.ts";
import type {
  AICallLogger,
  Backend,
  ExtendedJobQueue,
  JobQueue,
  StaleVersionErrorClass,
  WorkflowPersistence,
} from "../../src/contract/index.ts";
import type { embed } from "../../src/embed.ts";
import type { RunCoordinator } from "../../src/coordinator/index.ts";
import type { WorkflowEngineEnv } from "../../src/queue/index.ts";
import type { WorkflowEngine } from "../../src/rpc/workflow-engine.ts";
import type * as handedOver from "./handed-over.ts";

type Connected = ReturnType<typeof connect>;

describe("a connection", () => {
  it("is what every way in returns", () => {
    expectTypeOf<Connected>().toEqualTypeOf<Backend>();
    expectTypeOf<ReturnType<typeof embed>>().toEqualTypeOf<Backend>();
    expectTypeOf<ReturnType<typeof createMemoryBackend>>().toExtend<Backend>();
  });

  it("serves an engine that was built for the interfaces as handed over", () => {
    expectTypeOf<Connected["persistence"]>().toExtend<handedOver.WorkflowPersistence>();
    expectTypeOf<Connected["jobs"]>().toExtend<handedOver.JobQueue>();
    expectTypeOf<Connected["aiCalls"]>().toExtend<handedOver.AICallLogger>();
  });

  it("serves an engine that was built for the current interfaces", () => {
    expectTypeOf<Connected["persistence"]>().toExtend<handedOver.CurrentWorkflowPersistence>();
    expectTypeOf<Connected["jobs"]>().toExtend<handedOver.CurrentJobQueue>();
  });

  it("has a queue that is assignable to that of an engine of 0.8 to 0.12", () => {
    type Given = { [V in keyof handedOver.JobQueues]: Connected["jobs"] };
    expectTypeOf<Given>().toExtend<handedOver.JobQueues>();
    expectTypeOf<Connected["jobs"]>().toExtend<JobQueue>();
  });

  it("has types that a queue, a store and a log of an engine of 0.8 to 0.12 are assignable to", () => {
    type Queues = { [V in keyof handedOver.JobQueues]: JobQueue };
    expectTypeOf<handedOver.JobQueues>().toExtend<Queues>();
    type Persistences = { [V in keyof handedOver.Persistences]: WorkflowPersistence };
    expectTypeOf<handedOver.Persistences>().toExtend<Persistences>();
    expectTypeOf<handedOver.AICallLogger>().toExtend<AICallLogger>();
    // One that lacks what every version has is none.
    expectTypeOf<Omit<handedOver.CurrentJobQueue, "fail">>().not.toExtend<JobQueue>();
  });

  it("has the members of both and no others", () => {
    type Persistence = keyof handedOver.WorkflowPersistence;
    type Jobs = keyof handedOver.JobQueue | keyof handedOver.CurrentJobQueue;
    expectTypeOf<keyof WorkflowPersistence>().toEqualTypeOf<Persistence>();
    expectTypeOf<keyof JobQueue>().toEqualTypeOf<Jobs>();
    expectTypeOf<keyof Connected["aiCalls"]>().toEqualTypeOf<
      keyof handedOver.AICallLogger | "flush"
    >();
  });

  it("returns the records of the interfaces as handed over", () => {
    type Returned<Name extends keyof WorkflowPersistence> = Awaited<
      ReturnType<WorkflowPersistence[Name]>
    >;
    expectTypeOf<Returned<"createRun">>().toEqualTypeOf<handedOver.WorkflowRunRecord>();
    expectTypeOf<Returned<"createStage">>().toEqualTypeOf<handedOver.WorkflowStageRecord>();
    expectTypeOf<Returned<"listArtifacts">>().toEqualTypeOf<handedOver.WorkflowArtifactRecord[]>();
    expectTypeOf<Returned<"listAnnotations">>().toEqualTypeOf<
      handedOver.WorkflowAnnotationRecord[]
    >();
    expectTypeOf<Returned<"getUnpublishedOutboxEvents">>().toEqualTypeOf<
      handedOver.OutboxRecord[]
    >();
    type Job = Awaited<ReturnType<ExtendedJobQueue["getJobsByWorkflowRun"]>>[number];
    type Ours = "dedupeKey" | "concurrencyKey" | "concurrencyLimit";
    expectTypeOf<Job>().toExtend<handedOver.JobRecord>();
    expectTypeOf<Omit<Job, Ours>>().toEqualTypeOf<handedOver.JobRecord>();
  });

  it("is taken where the interfaces as handed over are asked for", () => {
    const { persistence, jobs, aiCalls } = createMemoryBackend();
    const asHandedOver: {
      persistence: handedOver.WorkflowPersistence;
      jobs: handedOver.JobQueue;
      aiCalls: handedOver.AICallLogger;
    } = { persistence, jobs, aiCalls };
    expectTypeOf(asHandedOver.persistence.withTransaction).toBeFunction();
  });
});

describe("a service binding", () => {
  it("of the platform's own types can be connected to", () => {
    expectTypeOf<Service<WorkflowEngine>>().toExtend<WorkflowEngineBinding>();
    expectTypeOf<Service<typeof WorkflowEngine>>().toExtend<WorkflowEngineBinding>();
    expectTypeOf<Service<WorkflowEngine>>().toExtend<Parameters<typeof connect>[0]>();
  });

  it("to something else cannot", () => {
    expectTypeOf<Service>().not.toExtend<WorkflowEngineBinding>();
    expectTypeOf<Fetcher>().not.toExtend<WorkflowEngineBinding>();
    expectTypeOf<DurableObjectStub<RunCoordinator>>().not.toExtend<WorkflowEngineBinding>();
  });
});

describe("the bindings of an embedding Worker", () => {
  it("are those of the platform's own types", () => {
    interface Env {
      DB: D1Database;
      RUNS: DurableObjectNamespace<RunCoordinator>;
      OTHER: KVNamespace;
    }
    expectTypeOf<Env>().toExtend<WorkflowEngineEnv>();
    expectTypeOf<Env>().toExtend<Parameters<typeof embed>[0]>();
  });
});

describe("the class of a stale version's error", () => {
  it("may be the engine's own", () => {
    class Own extends Error {
      readonly entity: string;
      constructor(entity: string, id: string, expected: number, actual: number) {
        super(`${id} ${expected} ${actual}`);
        this.entity = entity;
      }
    }
    expectTypeOf<typeof Own>().toExtend<StaleVersionErrorClass>();
  });
});
