import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { eventStream } from "../../src/http/event-stream.ts";
import { upTo } from "../../src/testing/conformance/support.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date", "setTimeout", "clearTimeout"] });
});

afterEach(() => {
  vi.useRealTimers();
});

/** A stream whose coordinators are played by the test. */
function played(after = 0) {
  const asked: number[] = [];
  const coordinators: WebSocket[] = [];
  const stream = eventStream(async (from) => {
    const { 0: theirs, 1: ours } = new WebSocketPair();
    ours.accept();
    asked.push(from);
    coordinators.push(ours);
    return theirs;
  }, after);
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  const next = async () => (await reader.read()).value;
  const says = (text: string) => coordinators.at(-1)?.send(text);
  const opened = (count: number) => vi.waitUntil(() => coordinators.length === count);
  return { asked, coordinators, reader, next, says, opened };
}

const frame = (sequence: number) => `id: ${sequence}\ndata: {"sequence":${sequence}}\n\n`;

describe("a stream", () => {
  it("opens nothing before it is read", async () => {
    const { asked, reader, next } = played();
    expect(asked).toEqual([]);
    expect(await next()).toBe("retry: 1000\n\n");
    await reader.cancel();
  });

  it("says that it is alive when nothing has happened for 15 seconds, and when its coordinator does", async () => {
    const { reader, next, says, opened } = played();
    await next();
    const first = next();
    await opened(1);
    await vi.advanceTimersByTimeAsync(15_000);
    expect(await first).toBe(": keep-alive\n\n");
    says("alive");
    expect(await next()).toBe(": keep-alive\n\n");
    says('{"sequence":1}');
    expect(await next()).toBe(frame(1));
    await reader.cancel();
  });

  it("leaves a coordinator that is silent for too long, and goes on with another where it was", async () => {
    const { asked, coordinators, reader, next, says, opened } = played(6);
    await next();
    const first = next();
    await opened(1);
    says('{"sequence":7}');
    expect(await first).toBe(frame(7));
    let pending = next();
    for (const _ of upTo(7)) {
      await vi.advanceTimersByTimeAsync(15_000);
      if (asked.length === 1) {
        expect(await pending).toBe(": keep-alive\n\n");
        pending = next();
      }
    }
    await opened(2);
    expect(coordinators[0]?.readyState).not.toBe(WebSocket.OPEN);
    says('{"sequence":8}');
    expect(await pending).toBe(frame(8));
    expect(asked).toEqual([6, 7]);
    await reader.cancel();
  });

  it("passes all on that was sent before its coordinator closed, then asks for what comes after", async () => {
    const { asked, coordinators, reader, next, says, opened } = played();
    await next();
    const first = next();
    await opened(1);
    for (const n of upTo(3)) says(`{"sequence":${n}}`);
    coordinators[0]?.close(4000, "resume");
    expect([await first, await next(), await next()]).toEqual(upTo(3).map(frame));
    const fourth = next();
    await opened(2);
    says('{"sequence":4}');
    expect(await fourth).toBe(frame(4));
    expect(asked).toEqual([0, 3]);
    await reader.cancel();
  });

  it("ends after twenty coordinators, for its reader to come again", async () => {
    const { asked, coordinators, next, opened } = played();
    await next();
    const last = next();
    for (const n of upTo(20)) {
      await opened(n);
      coordinators[n - 1]?.close(4000, "resume");
    }
    expect(await last).toBeUndefined();
    expect(asked).toHaveLength(20);
  });

  it("closes its coordinator's socket when its reader goes, also while it waits", async () => {
    const { coordinators, reader, next, opened } = played();
    await next();
    void next();
    await opened(1);
    const closed = Promise.withResolvers<number>();
    coordinators[0]?.addEventListener("close", ({ code }) => closed.resolve(code));
    await reader.cancel();
    expect(await closed.promise).toBe(1000);
  });
});
