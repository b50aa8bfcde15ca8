import { describeConformance } from "../../src/testing/index.ts";
import { connectInProcess } from "../http/support.ts";
import { emptyDatabase } from "../support/database.ts";

describeConformance({
  name: "over HTTP",
  connect: (options) => connectInProcess(options),
  reset: () => emptyDatabase(),
});
