import { describeConformance } from "../../src/testing/conformance/index.ts";
import { createMemoryBackend } from "../../src/testing/memory.ts";

const backend = createMemoryBackend();

describeConformance({
  name: "in memory",
  connect: (options) => backend.connect(options),
  reset: () => {
    backend.clear();
  },
});
