import { beforeEach, describe, expect, it } from "vitest";
import type {
  FlushableAICallLogger,
  JobQueue,
  StaleVersionErrorClass,
  WorkflowPersistence,
} from "../../contract/index.ts";

/**
 * What the suite asks of an adapter: the contract's three interfaces. AI calls must be awaitable
 * with `flush`.
 * @example
 * const backend: ConformanceBackend = createMemoryBackend();
 */
export interface ConformanceBackend {
  readonly persistence: WorkflowPersistence;
  readonly jobs: Required<JobQueue>;
  readonly aiCalls: FlushableAICallLogger;
}

/**
 * How a test wants its connection.
 * @example
 * const options: ConformanceConnectOptions = { workerId: "worker-a" };
 */
export interface ConformanceConnectOptions {
  workerId?: string;
  StaleVersionError?: StaleVersionErrorClass;
}

/**
 * An adapter, as the suite sees it.
 * @example
 * const memory = createMemoryBackend();
 * const options: ConformanceOptions = {
 *   name: "memory",
 *   connect: (wanted) => memory.connect(wanted),
 *   reset: () => memory.clear(),
 *   skip: {},
 * };
 */
export interface ConformanceOptions {
  name: string;
  /** Opens a further connection onto the same store: races run between connections. */
  connect(options?: ConformanceConnectOptions): ConformanceBackend | Promise<ConformanceBackend>;
  /** Empties the store before each test. */
  reset(): void | Promise<void>;
  /**
   * Titles of tests that this adapter does not pass, each with the reason. A title that no test has
   * fails the suite.
   */
  skip?: Readonly<Record<string, string>>;
}

/** What a test starts from: an empty store, and two connections onto it. */
export interface Fixture {
  /** Its worker is called "worker-a". */
  readonly a: ConformanceBackend;
  /** Its worker is called "worker-b". */
  readonly b: ConformanceBackend;
  connect(options?: ConformanceConnectOptions): Promise<ConformanceBackend>;
}

/** Registers one test. Its title says what holds. */
export type Test = (title: string, body: (fixture: Fixture) => Promise<void>) => void;

/** Registers the tests of one area. */
export type Area = (test: Test) => void;

/** Generous: a transaction that loses ten times in a row pauses in between. */
const TIMEOUT_MS = 30_000;

/** Registers every area. Titles are unique in the whole suite, since `skip` goes by titles. */
export function registerSuite(
  options: ConformanceOptions,
  areas: Readonly<Record<string, Area>>,
): void {
  const titles = new Set<string>();
  const skipped = new Map(Object.entries(options.skip ?? {}));

  const test: Test = (title, body) => {
    if (titles.has(title)) throw new Error(`Two tests have the title "${title}".`);
    titles.add(title);
    const reason = skipped.get(title);
    if (reason !== undefined) {
      it(title, (context) => context.skip(reason));
      return;
    }
    it(title, async () => body(await openFixture(options)), TIMEOUT_MS);
  };

  describe(`${options.name} keeps the contract`, () => {
    beforeEach(async () => {
      await options.reset();
    });

    for (const [name, area] of Object.entries(areas)) describe(name, () => area(test));

    it("skips only tests that exist, each for a reason", () => {
      const unknown = [...skipped.keys()].filter((title) => !titles.has(title));
      const unexplained = [...skipped].filter(([, reason]) => reason.trim() === "");
      expect({ unknown, unexplained }).toEqual({ unknown: [], unexplained: [] });
    });
  });
}

async function openFixture(options: ConformanceOptions): Promise<Fixture> {
  return {
    a: await options.connect({ workerId: "worker-a" }),
    b: await options.connect({ workerId: "worker-b" }),
    connect: async (connectOptions) => options.connect(connectOptions),
  };
}
