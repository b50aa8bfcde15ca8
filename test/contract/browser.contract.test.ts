import { BrowserChain } from "../../src/client/browser-chain.ts";
import { ConnectionCore } from "../../src/persistence/connection-core.ts";
import { createMemoryStore } from "../../src/memory/store.ts";
import { describeConformance } from "../../src/testing/index.ts";

const JOINS = "jobs that join a transaction without naming it: refused, as nobody can tell whose";
const NESTS = "withTransaction of the connection inside a callback: refused, tx.withTransaction is";
const BESIDE =
  "calls beside an open transaction of the same connection: refused, another is needed";

/** All that is left out. Some would pass, but only because the call that they are about is refused. */
const skip: Readonly<Record<string, string>> = {
  "in a transaction: jobs show to their own connection": JOINS,
  "a job that is enqueued in a transaction is dequeued after the commit": JOINS,
  "a job that is enqueued in a transaction is gone after a rollback": JOINS,
  "a job that a discarded run of the callback enqueued does not exist": JOINS,
  "a job that is enqueued in a nested transaction joins the outer one": JOINS,
  "settling jobs in a transaction shows to others after the commit": JOINS,
  "settling jobs in a transaction is undone by a rollback": JOINS,
  "a job may be enqueued and settled in one transaction": JOINS,
  "faults of the queue are thrown by their calls, and the rest commits": JOINS,
  "a lease that is lost before the commit undoes the transaction": JOINS,
  "a job that someone else ends meanwhile stays as it ended": JOINS,
  "the callback runs again when a list of jobs that it read grows": JOINS,
  "the callback runs again when a job that it read is settled": JOINS,
  "dequeue acts at once, outside the transaction": JOINS,
  "getSuspendedJobsReadyToPoll reads outside the transaction": JOINS,
  "the queue of another connection does not join": JOINS,
  "a nested transaction joins the one around it": NESTS,
  "what a nested transaction wrote is undone with the one around it": NESTS,
  "two transactions of one connection at once stay apart": BESIDE,
  "calls of the queue outside the callback do not join a transaction that is open": BESIDE,
  "calls of one connection at once do not disturb each other": BESIDE,
};

/** Over maps: what goes over HTTP is the same as elsewhere, and tried there. */
const store = createMemoryStore();

describeConformance({
  name: "from a browser",
  connect: (options) => new ConnectionCore(store, options, new BrowserChain()),
  reset: () => {
    store.clear();
  },
  skip,
});
