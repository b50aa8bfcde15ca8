/** A platform that is too old is told so at the beginning. */
import { expect, it } from "vitest";
import { connectHttp as connectBrowser } from "../../src/client/browser.ts";
import { connect, connectHttp, watchEvents } from "../../src/client/index.ts";
import { embed } from "../../src/embed.ts";
import { createMemoryBackend } from "../../src/testing/memory.ts";
import { env, service } from "../support/env.ts";

const REACHED = { url: "https://engine.example", token: "t" };
const WAYS = [
  ["connect", () => connect(service)],
  ["connectHttp", () => connectHttp(REACHED)],
  ["connectHttp of browsers", () => connectBrowser(REACHED)],
  ["embed", () => embed(env)],
  ["createMemoryBackend", () => createMemoryBackend()],
] as const;
const OLD = { code: "INVALID_ARGUMENT", message: expect.stringContaining("Node 22.12") as string };

/** What the call does where there is no Promise.withResolvers, as in Node 20. */
function inOldNode<T>(call: () => T): T {
  const { withResolvers } = Promise;
  Reflect.deleteProperty(Promise, "withResolvers");
  try {
    return call();
  } finally {
    const descriptor = { value: withResolvers, configurable: true, writable: true };
    Object.defineProperty(Promise, "withResolvers", descriptor);
  }
}

it.each(WAYS)("%s names the Node that it needs", (_name, open) => {
  expect(() => inOldNode(open)).toThrow(expect.objectContaining(OLD));
  expect(open).not.toThrow();
});

it("watchEvents names it as well", async () => {
  const first = inOldNode(() => watchEvents({ ...REACHED, runId: "run" }).next());
  await expect(first).rejects.toMatchObject(OLD);
});
