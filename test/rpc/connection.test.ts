import { beforeEach, describe, expect, it } from "vitest";
import {
  connect,
  type EngineSessionStub,
  type WorkflowEngineBinding,
} from "../../src/client/index.ts";
import { ServiceError } from "../../src/contract/index.ts";
import {
  aJob,
  anAICall,
  anEvent,
  aRun,
  aStage,
  expectCode,
  present,
  rejection,
  seedRun,
  seedStage,
  upTo,
} from "../../src/testing/conformance/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { service } from "../support/env.ts";

beforeEach(async () => {
  await emptyDatabase();
});

/** The service's binding, with its sessions counted and kept. */
function counting() {
  const sessions: EngineSessionStub[] = [];
  const binding: WorkflowEngineBinding = {
    open: async () => {
      const session = await service.open();
      sessions.push(session);
      return session;
    },
  };
  return { binding, sessions };
}

/** Ends a session as a service that is deployed anew does. */
function end(session: EngineSessionStub | undefined): void {
  (session as unknown as Disposable)[Symbol.dispose]();
}

/** A binding whose sessions do `first` instead of their first attempt. */
function disturbing(first: (session: EngineSessionStub) => EngineSessionStub["attempt"]) {
  let disturbed = false;
  let opens = 0;
  const binding: WorkflowEngineBinding = {
    open: async () => {
      opens += 1;
      const session = await service.open();
      return {
        now: () => session.now(),
        read: (queries) => session.read(queries),
        attempt: (commit) => {
          if (disturbed) return session.attempt(commit);
          disturbed = true;
          return first(session)(commit);
        },
        settle: (commit) => session.settle(commit),
      };
    },
  };
  return { binding, opens: () => opens };
}

describe("a connection over RPC", () => {
  it("works for a caller that has nothing but the binding", async () => {
    const { persistence, jobs, aiCalls } = connect(service);
    const { id } = await persistence.createRun(aRun());
    await persistence.withTransaction(async (tx) => {
      await tx.createStage(aStage(id));
      await tx.appendOutboxEvents([anEvent(id)]);
    });
    await jobs.enqueue(aJob(id));
    const job = present(await jobs.dequeue());
    await jobs.complete(job.jobId);
    aiCalls.logCall(anAICall());
    await aiCalls.flush();

    expect(await persistence.claimPendingRun(id)).toBe(true);
    expect(await persistence.getStagesByRun(id)).toHaveLength(1);
    expect(await persistence.getUnpublishedOutboxEvents()).toHaveLength(1);
    expect(await aiCalls.getStats("")).toMatchObject({ totalCalls: 1 });
  });

  it("opens no session before it needs one", () => {
    const { binding, sessions } = counting();
    connect(binding);
    expect(sessions).toHaveLength(0);
  });

  it("opens one session for all its calls", async () => {
    const { binding, sessions } = counting();
    const backend = connect(binding);
    const run = await seedRun(backend);
    await seedStage(backend, run.id);
    await Promise.all(upTo(10).map(() => backend.persistence.getRun(run.id)));
    await backend.persistence.withTransaction((tx) => tx.updateRun(run.id, { totalTokens: 1 }));
    expect(sessions).toHaveLength(1);
  });

  it("opens one session for first calls that are made at once", async () => {
    const { binding, sessions } = counting();
    const { persistence } = connect(binding);
    await Promise.all(upTo(20).map((n) => persistence.getRun(`run-${n}`)));
    expect(sessions).toHaveLength(1);
  });

  it("opens another session after 100 calls, since an invocation may ask D1 only 1,000 times", async () => {
    const { binding, sessions } = counting();
    const { persistence } = connect(binding);
    for (const _ of upTo(100)) await persistence.getRun("run-1");
    expect(sessions).toHaveLength(1);
    await persistence.getRun("run-1");
    expect(sessions).toHaveLength(2);
  });

  it("asks for the service's clock once", async () => {
    let asked = 0;
    const binding: WorkflowEngineBinding = {
      open: async () => {
        const session = await service.open();
        return {
          now: () => {
            asked += 1;
            return session.now();
          },
          read: (queries) => session.read(queries),
          attempt: (commit) => session.attempt(commit),
          settle: (commit) => session.settle(commit),
        };
      },
    };
    const backend = connect(binding);
    await seedRun(backend);
    await seedRun(backend);
    expect(asked).toBe(1);
  });

  it("stamps by the service's clock, whatever its own", async () => {
    const ahead = 5 * 3_600_000;
    const binding: WorkflowEngineBinding = {
      open: async () => {
        const session = await service.open();
        return {
          now: async () => {
            const answer = await session.now();
            return answer.ok ? { ok: true, value: answer.value + ahead } : answer;
          },
          read: (queries) => session.read(queries),
          attempt: (commit) => session.attempt(commit),
          settle: (commit) => session.settle(commit),
        };
      },
    };
    const run = await seedRun(connect(binding));
    expect(run.createdAt.getTime()).toBeGreaterThan(Date.now() + ahead - 60_000);
  });
});

describe("a session that breaks", () => {
  it("is replaced by another before the next read", async () => {
    const { binding, sessions } = counting();
    const backend = connect(binding);
    const run = await seedRun(backend);
    end(sessions[0]);
    expect(await backend.persistence.getRun(run.id)).toMatchObject({ id: run.id });
    expect(sessions).toHaveLength(2);
  });

  it("is replaced by another before the next write", async () => {
    const { binding, sessions } = counting();
    const backend = connect(binding);
    const run = await seedRun(backend);
    end(sessions[0]);
    await backend.persistence.updateRun(run.id, { totalTokens: 1, expectedVersion: 1 });
    expect(await backend.persistence.getRun(run.id)).toMatchObject({ version: 2, totalTokens: 1 });
    expect(sessions).toHaveLength(2);
  });

  it("is replaced by one other, however many calls it broke under", async () => {
    const { binding, sessions } = counting();
    const backend = connect(binding);
    const run = await seedRun(backend);
    end(sessions[0]);
    await Promise.all(upTo(10).map(() => backend.persistence.getRun(run.id)));
    expect(sessions).toHaveLength(2);
  });

  it("under a call that nobody misses yet leaves its successor alone", async () => {
    const late = Promise.withResolvers<never>();
    let opens = 0;
    let reads = 0;
    const binding: WorkflowEngineBinding = {
      open: async () => {
        opens += 1;
        const session = await service.open();
        return {
          now: () => session.now(),
          read: async (queries) => {
            reads += 1;
            if (reads === 1) return late.promise;
            if (reads === 2) throw new Error("Network connection lost.");
            return session.read(queries);
          },
          attempt: (commit) => session.attempt(commit),
          settle: (commit) => session.settle(commit),
        };
      },
    };
    const { persistence } = connect(binding);
    const first = persistence.getRun("run-1");
    await persistence.getRun("run-2");
    expect(opens).toBe(2);
    late.reject(new Error("Network connection lost."));
    await first;
    expect(opens).toBe(2);
  });

  it("after it has written has written once", async () => {
    const { binding, opens } = disturbing((session) => async (commit) => {
      await session.attempt(commit);
      throw new Error("Network connection lost.");
    });
    const { persistence } = connect(binding);
    await persistence.appendOutboxEvents([anEvent("run-1")]);
    expect(await persistence.getUnpublishedOutboxEvents()).toHaveLength(1);
    expect(opens()).toBe(2);
  });

  it("before it has written is repeated in another", async () => {
    const { binding, opens } = disturbing(() => async () => {
      throw new Error("Network connection lost.");
    });
    const { persistence } = connect(binding);
    await persistence.appendOutboxEvents([anEvent("run-1")]);
    expect(await persistence.getUnpublishedOutboxEvents()).toHaveLength(1);
    expect(opens()).toBe(2);
  });

  it("cannot be opened for a moment, and is then", async () => {
    let opens = 0;
    const { persistence } = connect({
      open: async () => {
        opens += 1;
        if (opens === 1) throw new Error("The service is being deployed");
        return service.open();
      },
    });
    expect(await persistence.getRun("run-1")).toBeNull();
    expect(opens).toBe(2);
  });

  it("can never be opened: UNAVAILABLE", async () => {
    const { persistence } = connect({
      open: async () => {
        throw new Error("No such service");
      },
    });
    const error = await expectCode(persistence.getRun("run-1"), "UNAVAILABLE");
    expect(error.message).toContain("No such service");
  });
});

describe("a fault of the service", () => {
  it("is a ServiceError with the code and the details that the service gave it", async () => {
    const backend = connect(service);
    const run = await seedRun(backend);
    const stage = await seedStage(backend, run.id, { inputData: "x".repeat(1_800_000) });
    const error = await rejection(
      backend.persistence.updateStage(stage.id, { outputData: "x".repeat(200_000) }),
    );
    expect(error).toBeInstanceOf(ServiceError);
    expect(error).toMatchObject({
      name: "ServiceError",
      code: "PAYLOAD_TOO_LARGE",
      details: { field: "outputData", size: 200_002, limit: 1_900_000 },
    });
  });

  it("of a version is the caller's own class", async () => {
    class OwnStaleVersion extends Error {
      readonly all: readonly unknown[];
      constructor(entity: string, id: string, expected: number, actual: number) {
        super("stale");
        this.all = [entity, id, expected, actual];
      }
    }
    const backend = connect(service, { StaleVersionError: OwnStaleVersion });
    const run = await seedRun(backend);
    const error = await rejection(backend.persistence.updateRun(run.id, { expectedVersion: 7 }));
    expect(error).toBeInstanceOf(OwnStaleVersion);
    expect(error).toMatchObject({ all: ["WorkflowRun", run.id, 7, 1] });
  });

  it("of a code that this client does not know is INTERNAL", async () => {
    const fault = { ok: false, error: { code: "TEAPOT", message: "Short and stout", details: {} } };
    const answer = async () => fault as never;
    const session = { now: answer, read: answer, attempt: answer, settle: answer };
    const { persistence } = connect({ open: async () => session });
    const error = await expectCode(persistence.getRun("run-1"), "INTERNAL");
    expect(error.message).toBe("Short and stout");
  });
});
