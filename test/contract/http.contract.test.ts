import { registerSuite } from "../../src/testing/conformance/harness.ts";
import { AREAS } from "../../src/testing/conformance/index.ts";
import { connectInProcess } from "../http/support.ts";
import { emptyDatabase } from "../support/database.ts";

/** The areas in which a browser's connection cannot do everything. All others are tried through that one, which is the same but for this. */
const NOT_FROM_BROWSERS = [
  "transactions",
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
  Object.fromEntries(Object.entries(AREAS).filter(([name]) => NOT_FROM_BROWSERS.includes(name))),
);
