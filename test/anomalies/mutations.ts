/** The mechanisms that prevent anomalies, each taken away. */
import type { Commit, Guard, Store } from "../../src/changes/index.ts";
import type { Backend, WorkflowPersistence } from "../../src/contract/index.ts";
import type { Mutation } from "./anomaly.ts";
import { type Answers, databaseVia } from "./database.ts";

function attempting(store: Store, change: (commit: Commit) => Commit): Store {
  return {
    now: () => store.now(),
    read: (queries) => store.read(queries),
    attempt: (commit) => store.attempt(change(commit)),
    settle: (commit) => store.settle(commit),
  };
}

function dropping(store: Store, dropped: (guard: Guard, commit: Commit) => boolean): Store {
  return attempting(store, (commit) => ({
    ...commit,
    guards: commit.guards.filter((guard) => !dropped(guard, commit)),
  }));
}

function isToken(guard: Guard): boolean {
  return "expect" in guard && guard.expect.is === "unchanged";
}

/** Whether the commit updates the run or stage that the guard is about. */
function isWritten(guard: Guard, { changes }: Commit): boolean {
  return changes.some((change) => {
    switch (change.kind) {
      case "updateRun":
        return guard.on === "run" && guard.id === change.id;
      case "updateStage":
        return (
          guard.on === "stage" &&
          guard.workflowRunId === change.workflowRunId &&
          guard.stageId === change.stageId
        );
      default:
        return false;
    }
  });
}

export function withoutTokensOfWrittenRows(): Mutation {
  return {
    removes: "the guard that a row which was read and is written is unchanged",
    store: (store) =>
      dropping(store, (guard, commit) => isToken(guard) && isWritten(guard, commit)),
  };
}

export function withoutTokensOfReadRows(): Mutation {
  return {
    removes: "the guard that a row which was only read is unchanged",
    store: (store) =>
      dropping(store, (guard, commit) => isToken(guard) && !isWritten(guard, commit)),
  };
}

export function withoutLists(): Mutation {
  return {
    removes: "the guard that a list holds the rows which it showed",
    store: (store) => dropping(store, (guard) => guard.on === "list"),
  };
}

export function withoutStatusOfClaims(): Mutation {
  return {
    removes: "the guard that a claimed run is PENDING",
    store: (store) =>
      attempting(store, (commit) => ({
        ...commit,
        guards: commit.guards.map((guard) =>
          guard.on === "run" && guard.expect.is === "status"
            ? { ...guard, expect: { is: "present" } }
            : guard,
        ),
      })),
  };
}

export function withoutCommitsOfReads(): Mutation {
  return {
    removes: "the commit of a callback that read in several trips and wrote nothing",
    store: (store) => ({
      now: () => store.now(),
      read: (queries) => store.read(queries),
      attempt: async (commit) =>
        commit.changes.length === 0 ? { applied: true, results: [] } : store.attempt(commit),
      settle: (commit) => store.settle(commit),
    }),
  };
}

export function withoutSettling(): Mutation {
  return {
    removes: "the look for the trace of a commit whose answer was lost",
    store: (store) => ({
      now: () => store.now(),
      read: (queries) => store.read(queries),
      attempt: (commit) => store.attempt(commit),
      settle: async () => "fenced",
    }),
  };
}

export function withoutFence(): Mutation {
  return {
    removes: "the first statement of a batch, which fails once the commit is settled",
    database: (db) =>
      databaseVia(db, async (batch, send) => {
        const fenced = batch[0]?.sql.includes("wfe:fenced") === true;
        return send(fenced ? [{ sql: "SELECT 1", params: [] }, ...batch.slice(1)] : batch);
      }),
  };
}

export function withoutBatches(): Mutation {
  return {
    removes: "the batch: each statement is a transaction of its own",
    database: (db) =>
      databaseVia(db, async (batch, send) => {
        const answers: Answers = [];
        for (const statement of batch) answers.push(...(await send([statement])));
        return answers;
      }),
  };
}

const LAST_SEQUENCE =
  /max\(ifnull\(tail\."sequence", 0\), ifnull\(\(SELECT "sequence" FROM "outbox_tails"[^)]*\), 0\)\)/;

/** Events are numbered by a counter when they are sent, one event a commit, one run. */
function numberedWhenSent(options: {
  readonly givenBack: boolean;
}): Required<Pick<Mutation, "database">> {
  let last = 0;
  return {
    database: (db) =>
      databaseVia(db, async (batch, send) => {
        if (!batch.some(({ sql }) => LAST_SEQUENCE.test(sql))) return send(batch);
        const before = last;
        last += 1;
        const numbered = batch.map(({ sql, params }) => ({
          sql: sql.replace(LAST_SEQUENCE, String(before)),
          params,
        }));
        try {
          return await send(numbered);
        } catch (error) {
          if (options.givenBack) last -= 1;
          throw error;
        }
      }),
  };
}

export function numberedOutsideTheBatch(): Mutation {
  return {
    removes: "the number that an event gets inside its batch, and loses with it",
    ...numberedWhenSent({ givenBack: false }),
  };
}

export function numberedBeforeTheBatch(): Mutation {
  return {
    removes: "the number that an event gets when its batch runs, not when it is sent",
    ...numberedWhenSent({ givenBack: true }),
  };
}

/** A backend whose callbacks get something else than the transaction. */
function handing(
  backend: Backend,
  withTransaction: WorkflowPersistence["withTransaction"],
): Backend {
  const { jobs, aiCalls } = backend;
  const audit = () => backend.audit();
  return {
    jobs,
    aiCalls,
    audit,
    persistence: overriding(backend.persistence, { withTransaction }),
  };
}

/** The same object with some of its methods replaced. */
function overriding(
  persistence: WorkflowPersistence,
  methods: Partial<WorkflowPersistence>,
): WorkflowPersistence {
  return new Proxy(persistence, {
    get(target, name) {
      if (name in methods) return Reflect.get(methods, name) as unknown;
      const member = Reflect.get(target, name) as unknown;
      return typeof member === "function" ? (member.bind(target) as unknown) : member;
    },
  });
}

export function writingAtOnce(): Mutation {
  return {
    removes: "the record of a callback's writes, which holds them back until the commit",
    backend: (backend) => handing(backend, (fn) => fn(backend.persistence)),
  };
}

export function readingEachTime(): Mutation {
  return {
    removes: "the local copy, which answers a callback's repeated read",
    backend: (backend) =>
      handing(backend, (fn) =>
        backend.persistence.withTransaction((tx) =>
          fn(overriding(tx, { getRun: (id) => backend.persistence.getRun(id) })),
        ),
      ),
  };
}
