import { registerSuite } from "../../src/testing/conformance/harness.ts";
import { AREAS } from "../../src/testing/conformance/index.ts";
import { connectInProcess } from "../http/support.ts";
import { emptyDatabase } from "../support/database.ts";

/**
 * The areas that ask most of what is between a client and the database: transactions, races, limits, values. All areas pass over the
 * network, in test/e2e/conformance.
 */
const IN_PROCESS = [
  "values: limits",
  "values: numbers, instants, text",
  "transactions",
  "transactions: faults",
  "transactions: own writes to records and jobs",
  "transactions: conflicts",
  "transactions: jobs",
  "concurrency",
];

registerSuite(
  {
    name: "over HTTP",
    connect: (options) => connectInProcess(options),
    reset: () => emptyDatabase(),
  },
  Object.fromEntries(Object.entries(AREAS).filter(([name]) => IN_PROCESS.includes(name))),
);
