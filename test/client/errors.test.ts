/** Every error that is thrown at a caller has a code, by which a switch tells them apart. */
import { beforeEach, describe, expect, expectTypeOf, it } from "vitest";
import { connectHttp as connectBrowser } from "../../src/client/browser.ts";
import * as client from "../../src/client/index.ts";
import {
  type Backend,
  connect,
  connectHttp,
  type ConnectionOptions,
  type EngineError,
  type ErrorCode,
  errorOf,
  fromEnvelope,
  isEngineError,
  isServiceError,
  ServiceError,
  StaleVersionError,
  toEnvelope,
} from "../../src/client/index.ts";
import { embed } from "../../src/embed.ts";
import { createMemoryBackend } from "../../src/testing/memory.ts";
import { ADMIN, send, URL_OF_SERVICE } from "../http/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { env, service } from "../support/env.ts";

const RUN = { id: "run", workflowId: "w", workflowName: "", workflowType: "", input: 0 };
const http = { url: URL_OF_SERVICE, token: ADMIN, fetch: (request: Request) => send(request) };

const WAYS: Readonly<Record<string, (options: ConnectionOptions) => Backend>> = {
  embed: (options) => embed(env, options),
  binding: (options) => connect(service, options),
  http: (options) => connectHttp({ ...http, ...options }),
  browser: (options) => connectBrowser({ ...http, ...options }),
  memory: (options) => createMemoryBackend(options),
};

/** What a caller makes of an error. */
function told(error: unknown): string {
  if (!isEngineError(error)) return "not ours";
  switch (error.code) {
    case "STALE_VERSION":
      return `${error.details.entity} has ${error.details.actual}, not ${error.details.expected}`;
    case "NOT_FOUND":
      return "missing";
    default:
      return `another: ${error.code satisfies ErrorCode}`;
  }
}

/** The engine's own: it says nothing of codes. */
class Own extends Error {
  readonly entity: string;
  constructor(entity: string, id: string, expected: number, actual: number) {
    super(`${id} ${expected} ${actual}`);
    this.entity = entity;
  }
}

/** One that has a code of its own, and one that takes no more members. */
class Coded extends Own {
  readonly code = "E_STALE";
}
class Sealed extends Own {
  constructor(...given: ConstructorParameters<typeof Own>) {
    super(...given);
    Object.freeze(this);
  }
}

async function staleOf(backend: Backend): Promise<unknown> {
  const { persistence } = backend;
  if ((await persistence.getRun("run")) === null) await persistence.createRun(RUN);
  return persistence.updateRun("run", { expectedVersion: 7 }).catch((error: unknown) => error);
}

beforeEach(async () => {
  await emptyDatabase();
});

describe.each(Object.entries(WAYS))("by %s", (_way, open) => {
  it("a stale version has the code STALE_VERSION, in a transaction as well", async () => {
    const backend = open({});
    const error = await staleOf(backend);
    expect(error).toMatchObject({ name: "StaleVersionError", code: "STALE_VERSION" });
    expect(told(error)).toBe("WorkflowRun has 1, not 7");
    const inside = await backend.persistence
      .withTransaction(async (tx) => tx.updateRun("run", { expectedVersion: 8 }))
      .catch((caught: unknown) => caught);
    expect(told(inside)).toBe("WorkflowRun has 1, not 8");
  });

  it("a stale version of a class of the caller's has it too", async () => {
    const error = await staleOf(open({ StaleVersionError: Own }));
    expect(error).toBeInstanceOf(Own);
    expect(error).toMatchObject({ code: "STALE_VERSION", details: { id: "run", expected: 7 } });
    expect(told(error)).toBe("WorkflowRun has 1, not 7");
    // It is told as data, as any other.
    expect(JSON.parse(JSON.stringify(error))).toMatchObject({ code: "STALE_VERSION" });
  });

  it("a class that has a code, or takes none, is left as it is", async () => {
    const coded = await staleOf(open({ StaleVersionError: Coded }));
    expect(coded).toMatchObject({ code: "E_STALE" });
    expect(isEngineError(coded)).toBe(false);
    const sealed = await staleOf(open({ StaleVersionError: Sealed }));
    expect(sealed).toBeInstanceOf(Sealed);
    expect(sealed).not.toHaveProperty("code");
  });
});

describe("an envelope", () => {
  it.each<[EngineError]>([
    [new StaleVersionError("WorkflowRun", "run", 7, 1)],
    [new ServiceError("NOT_FOUND", "There is no such run", { id: "run" })],
  ])("carries %s to the other side as what it is", async (error) => {
    const envelope = await toEnvelope(async () => {
      throw error;
    });
    const carried: unknown = structuredClone(envelope);
    expect(carried).toMatchObject({ ok: false, error: { code: error.code } });
    expect(() => fromEnvelope(structuredClone(envelope))).toThrow(
      expect.objectContaining({ name: error.name, code: error.code, details: error.details }),
    );
  });
});

describe("the errors of this package", () => {
  it("all have a code, each class of them", () => {
    const classes = Object.entries(client).filter(
      ([, value]) => typeof value === "function" && value.prototype instanceof Error,
    );
    expect(classes.map(([name]) => name).toSorted()).toEqual(["ServiceError", "StaleVersionError"]);
    expect(new ServiceError("CONFLICT", "")).toHaveProperty("code", "CONFLICT");
    expect(new StaleVersionError("e", "i", 1, 2)).toHaveProperty("code", "STALE_VERSION");
  });

  it("are told apart by their code, by the compiler too", () => {
    type Stale = Extract<EngineError, { code: "STALE_VERSION" }>;
    expectTypeOf<Stale>().toEqualTypeOf<StaleVersionError>();
    expectTypeOf<EngineError["code"]>().toEqualTypeOf<ErrorCode>();
    expectTypeOf<Stale["details"]["expected"]>().toEqualTypeOf<number>();
  });

  it("are made of every code", () => {
    for (const code of client.ERROR_CODES) {
      const error = errorOf(code, "m", { entity: "e", id: "i", expected: 1, actual: 2 });
      expect(error.code).toBe(code);
      expect(isEngineError(error)).toBe(true);
      expect(isServiceError(error)).toBe(code !== "STALE_VERSION");
    }
  });

  it.each([
    null,
    "STALE_VERSION",
    { code: "STALE_VERSION", details: { entity: "e", expected: 1, actual: 1 } },
    Object.assign(new Error("no"), { code: "STALE_VERSION" }),
    Object.assign(new Error("no"), { code: "NOT_FOUND", details: {} }),
  ])("are not mistaken for %j", (other) => {
    expect(isEngineError(other)).toBe(false);
  });
});
