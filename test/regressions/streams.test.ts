/** What is too large for one message goes to the service as a stream, which may break off. */
import { describe, expect, it } from "vitest";
import { connect, type WorkflowEngineBinding } from "../../src/client/index.ts";
import { service } from "../support/env.ts";
import { createRun } from "./ways.ts";

/** The service, behind a line that loses the end of the first stream it carries. */
function losingOnce(): { readonly binding: WorkflowEngineBinding; readonly carried: boolean[] } {
  const carried: boolean[] = [];
  const carry = <T>(sent: T | ReadableStream): T | ReadableStream => {
    if (!(sent instanceof ReadableStream)) return sent;
    const loses = carried.length === 0;
    carried.push(!loses);
    return loses ? cutAfter(1_000_000, sent) : sent;
  };
  const binding: WorkflowEngineBinding = {
    open: async () => {
      const session = await service.open();
      return {
        now: () => session.now(),
        read: (queries) => session.read(queries),
        attempt: (commit) => session.attempt(carry(commit)),
        settle: (commit) => session.settle(carry(commit)),
      };
    },
  };
  return { binding, carried };
}

/** The beginning of a stream, and then a fault of the network. */
function cutAfter(bytes: number, stream: ReadableStream<Uint8Array>): ReadableStream {
  const reader = stream.getReader();
  let passed = 0;
  const source: UnderlyingByteSource = {
    type: "bytes",
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) throw new Error("The stream is too short to be cut");
      passed += value.length;
      if (passed > bytes) controller.error(new Error("Network connection lost."));
      else controller.enqueue(value);
    },
  };
  return new ReadableStream(source);
}

describe("a commit whose stream breaks off", () => {
  it("is sent again", async () => {
    const { binding, carried } = losingOnce();
    const backend = connect(binding);
    const run = await createRun(backend);
    const artifact = { workflowRunId: run, type: "ARTIFACT", size: 1 } as const;
    const keys = ["k1", "k2", "k3", "k4", "k5"];
    await backend.persistence.withTransaction(async (tx) => {
      for (const key of keys) {
        await tx.saveArtifact({ ...artifact, key, data: "x".repeat(1_800_000) });
      }
    });
    const [first, ...others] = carried;
    expect(first).toBe(false);
    expect(others).toContain(true);
    const stored = await backend.persistence.listArtifacts(run);
    expect(stored.map(({ key }) => key)).toEqual(keys);
  });
});
