import { connect } from "../../src/client/index.ts";
import { describeConformance } from "../../src/testing/conformance/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { service } from "../support/env.ts";

describeConformance({
  name: "service binding",
  connect: (options) => connect(service, options),
  reset: () => emptyDatabase(),
});
