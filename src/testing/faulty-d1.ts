/**
 * A D1 database whose calls fail as a plan says, for tests of what code does when an answer is
 * lost. It passes everything on to a real database, and so shows what became of a call whose answer
 * never came.
 */

/**
 * How one call goes wrong.
 * @example
 * const fault: D1Fault = { kind: "late", afterMs: 500 };
 */
export interface D1Fault {
  /**
   * - `before`: D1 does not run the call; the caller gets an error.
   * - `lost`: D1 runs it; the caller gets an error all the same.
   * - `late`: the caller gets an error at once; D1 runs it when it is released.
   * - `stall`: nothing happens until it is released; then D1 runs it and answers.
   * - `hang`: D1 runs it at once; the answer comes when it is released.
   */
  readonly kind: "before" | "lost" | "late" | "stall" | "hang";
  /** The error's message. Default: a lost connection. */
  readonly message?: string;
  /**
   * Releases the call after this many milliseconds. Default: only {@link FaultyD1.release} does.
   */
  readonly afterMs?: number;
}

/**
 * Messages that D1 sends: https://developers.cloudflare.com/d1/observability/debug-d1/
 * @example
 * const fault: D1Fault = { kind: "lost", message: D1_MESSAGES.storageReset };
 */
export const D1_MESSAGES = {
  connectionLost: "D1_ERROR: Network connection lost.",
  codeUpdated: "D1_ERROR: D1 DB reset because its code was updated.",
  startingUp: "D1_ERROR: Internal error while starting up D1 DB storage caused object to be reset.",
  storageReset: "D1_ERROR: Internal error in D1 DB storage caused object to be reset.",
  storageTimeout:
    "D1_ERROR: D1 DB storage operation exceeded timeout which caused object to be reset.",
  cpuLimit: "D1_ERROR: D1 DB exceeded its CPU time limit and was reset.",
  memoryLimit: "D1_ERROR: D1 DB's isolate exceeded its memory limit and was reset.",
  transientIssue: "D1_ERROR: Cannot resolve D1 DB due to transient issue on remote node.",
  internalError: "D1_ERROR: internal error; reference = 0123456789abcdef",
  queuedTooLong: "D1_ERROR: D1 DB is overloaded. Requests queued for too long.",
  tooManyQueued: "D1_ERROR: D1 DB is overloaded. Too many requests queued.",
} as const;

/**
 * The faults that most tests need.
 * @example
 * const { db } = faultyD1(env.DB, ({ index }) => (index === 0 ? D1_FAULTS.before : null));
 */
export const D1_FAULTS = {
  /** Failed before it ran. */
  before: { kind: "before" },
  /** Ran, but the answer was lost. */
  lost: { kind: "lost" },
  /** Failed, and lands when nobody expects it any more. */
  late: { kind: "late" },
  /** Does not answer. */
  stall: { kind: "stall" },
  /** Turned away. D1 has run nothing then. */
  overloaded: { kind: "before", message: D1_MESSAGES.queuedTooLong },
} as const satisfies Record<string, D1Fault>;

/**
 * One call of D1. A batch is one call.
 * @example
 * const writes = (calls: readonly D1Call[]) => calls.filter(({ rowsWritten }) => rowsWritten > 0);
 */
export interface D1Call {
  /** 0 for the first call. */
  readonly index: number;
  /** The SQL texts, as they were prepared. */
  readonly statements: readonly string[];
  readonly fault: D1Fault | null;
  /** Whether D1 has run it, with success or without. */
  readonly ran: boolean;
  /** D1's own error; null while the call has not run, and when it succeeded. */
  readonly refusal: string | null;
  /** As D1 counts them. It does not count for `first`, `raw` and `exec`. */
  readonly rowsRead: number;
  readonly rowsWritten: number;
}

/**
 * Decides about a call before it is made: the fault, or null for none.
 * @example
 * const plan: D1FaultPlan = ({ statements }) =>
 *   statements.some((sql) => sql.includes("outbox_events")) ? D1_FAULTS.lost : null;
 */
export type D1FaultPlan = (
  call: Pick<D1Call, "index" | "statements">,
) => D1Fault | null | undefined;

/**
 * A database that follows a plan.
 * @example
 * const faulty: FaultyD1 = faultyD1(env.DB);
 * faulty.restart(() => D1_FAULTS.stall);
 */
export interface FaultyD1 {
  /** Takes the place of the binding. */
  readonly db: D1Database;
  /** The calls so far, in the order in which they were made. */
  readonly calls: readonly D1Call[];
  /**
   * Forgets the calls, counts from 0 again, and follows this plan from now on; without one, nothing
   * fails.
   */
  restart(plan?: D1FaultPlan): void;
  /**
   * Lets the calls that were held back go on, in the order in which they were made. Resolves when
   * they have run.
   */
  release(): Promise<readonly D1Call[]>;
}

/**
 * Wraps a database. Without a plan, nothing fails.
 * @example
 * const faulty = faultyD1(env.DB, ({ index }) => (index === 0 ? D1_FAULTS.lost : null));
 * const { persistence } = embed({ ...env, DB: faulty.db });
 * // Answers as it should, although the answer of its first call to D1 was lost.
 * await persistence.createRun({
 *   workflowId: "digest",
 *   workflowName: "Digest",
 *   workflowType: "digest",
 *   input: {},
 * });
 * console.log(faulty.calls[0]?.fault, faulty.calls[0]?.ran); // { kind: "lost" } true
 */
export function faultyD1(db: D1Database, plan?: D1FaultPlan): FaultyD1 {
  const ledger = new Ledger(plan);
  return {
    db: new Database(db, ledger),
    get calls() {
      return ledger.calls;
    },
    restart: (next) => {
      ledger.restart(next);
    },
    release: () => ledger.release(),
  };
}

type Recorded = { -readonly [K in keyof D1Call]: D1Call[K] };

class Ledger {
  calls: Recorded[] = [];
  #plan: D1FaultPlan | undefined;
  #held: (() => Promise<D1Call>)[] = [];

  constructor(plan: D1FaultPlan | undefined) {
    this.#plan = plan;
  }

  restart(plan: D1FaultPlan | undefined): void {
    this.calls = [];
    this.#plan = plan;
  }

  async release(): Promise<readonly D1Call[]> {
    const held = this.#held;
    this.#held = [];
    const calls: D1Call[] = [];
    for (const goOn of held) calls.push(await goOn());
    return calls;
  }

  async run<T>(statements: readonly string[], call: () => Promise<T>): Promise<T> {
    const index = this.calls.length;
    const fault = this.#plan?.({ index, statements }) ?? null;
    const recorded: Recorded = {
      index,
      statements,
      fault,
      ran: false,
      refusal: null,
      rowsRead: 0,
      rowsWritten: 0,
    };
    this.calls.push(recorded);
    const run = () => observed(recorded, call);
    switch (fault?.kind) {
      case undefined:
        return run();
      case "before":
        throw new Error(messageOf(fault));
      case "lost":
        await settled(run());
        throw new Error(messageOf(fault));
      case "late":
        void this.#hold(recorded, fault, run);
        throw new Error(messageOf(fault));
      case "stall":
        return this.#hold(recorded, fault, run);
      case "hang": {
        const answer = settled(run());
        return this.#hold(recorded, fault, async () => {
          const result = await answer;
          if (result.status === "rejected") throw result.reason;
          return result.value;
        });
      }
    }
  }

  /** Resolves with the call's answer, once it was released. */
  #hold<T>(recorded: D1Call, { afterMs }: D1Fault, call: () => Promise<T>): Promise<T> {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const answer = gate.then(call);
    const ended = settled(answer);
    this.#held.push(async () => {
      open();
      await ended;
      return recorded;
    });
    if (afterMs !== undefined) setTimeout(open, afterMs);
    return answer;
  }
}

function messageOf({ message }: D1Fault): string {
  return message ?? D1_MESSAGES.connectionLost;
}

async function settled<T>(promise: Promise<T>): Promise<PromiseSettledResult<T>> {
  const [result] = await Promise.allSettled([promise]);
  return result;
}

/** Runs the call and notes what D1 answers. */
async function observed<T>(recorded: Recorded, call: () => Promise<T>): Promise<T> {
  try {
    const answer = await call();
    const results: unknown[] = [answer].flat();
    for (const { meta } of results.filter(hasMeta)) {
      recorded.rowsRead += meta.rows_read;
      recorded.rowsWritten += meta.rows_written;
    }
    return answer;
  } catch (error) {
    recorded.refusal = error instanceof Error ? error.message : String(error);
    throw error;
  } finally {
    recorded.ran = true;
  }
}

function hasMeta(answer: unknown): answer is D1Result {
  return typeof answer === "object" && answer !== null && "meta" in answer;
}

/** The real statement behind each of ours: a batch takes only its own kind. */
const originals = new WeakMap<D1PreparedStatement, { real: D1PreparedStatement; sql: string }>();

class Statement implements D1PreparedStatement {
  readonly #real: D1PreparedStatement;
  readonly #sql: string;
  readonly #ledger: Ledger;

  constructor(real: D1PreparedStatement, sql: string, ledger: Ledger) {
    this.#real = real;
    this.#sql = sql;
    this.#ledger = ledger;
    originals.set(this, { real, sql });
  }

  bind(...values: unknown[]): D1PreparedStatement {
    return new Statement(this.#real.bind(...values), this.#sql, this.#ledger);
  }

  first<T = unknown>(column: string): Promise<T | null>;
  first<T = Record<string, unknown>>(): Promise<T | null>;
  first<T>(column?: string): Promise<T | null> {
    return this.#ledger.run([this.#sql], () =>
      column === undefined ? this.#real.first<T>() : this.#real.first<T>(column),
    );
  }

  run<T = Record<string, unknown>>(): Promise<D1Result<T>> {
    return this.#ledger.run([this.#sql], () => this.#real.run<T>());
  }

  all<T = Record<string, unknown>>(): Promise<D1Result<T>> {
    return this.#ledger.run([this.#sql], () => this.#real.all<T>());
  }

  raw<T = unknown[]>(options: { columnNames: true }): Promise<[string[], ...T[]]>;
  raw<T = unknown[]>(options?: { columnNames?: false }): Promise<T[]>;
  raw<T>(options?: { columnNames?: boolean }): Promise<[string[], ...T[]] | T[]> {
    return this.#ledger.run<[string[], ...T[]] | T[]>([this.#sql], () =>
      options?.columnNames === true
        ? this.#real.raw<T>({ columnNames: true })
        : this.#real.raw<T>(),
    );
  }
}

type Preparing = Pick<D1Database, "prepare" | "batch">;

class Session<Real extends Preparing> {
  protected readonly real: Real;
  protected readonly ledger: Ledger;

  constructor(real: Real, ledger: Ledger) {
    this.real = real;
    this.ledger = ledger;
  }

  prepare(sql: string): D1PreparedStatement {
    return new Statement(this.real.prepare(sql), sql, this.ledger);
  }

  batch<T = unknown>(statements: D1PreparedStatement[]): Promise<D1Result<T>[]> {
    const known = statements.map((statement) => originals.get(statement));
    return this.ledger.run(
      known.map((original) => original?.sql ?? ""),
      () => this.real.batch<T>(statements.map((given, index) => known[index]?.real ?? given)),
    );
  }
}

class DatabaseSession extends Session<D1DatabaseSession> implements D1DatabaseSession {
  getBookmark(): D1SessionBookmark | null {
    return this.real.getBookmark();
  }
}

class Database extends Session<D1Database> implements D1Database {
  exec(sql: string): Promise<D1ExecResult> {
    return this.ledger.run([sql], () => this.real.exec(sql));
  }

  withSession(start?: D1SessionBookmark | D1SessionConstraint): D1DatabaseSession {
    return new DatabaseSession(this.real.withSession(start), this.ledger);
  }

  /** @deprecated D1 has it for alpha databases only. */
  dump(): Promise<ArrayBuffer> {
    return this.ledger.run([], () => this.real.dump());
  }
}
