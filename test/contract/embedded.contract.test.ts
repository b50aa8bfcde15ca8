import { embed } from "../../src/embed.ts";
import { describeConformance } from "../../src/testing/conformance/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";

describeConformance({
  name: "embedded",
  connect: (options) => embed(env, options),
  reset: () => emptyDatabase(),
});
