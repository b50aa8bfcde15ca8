/** `output` over HTTP: it waits on the stream of the run's events. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { connectHttp } from "../../src/client/index.ts";
import { runsOf } from "../../src/engine.ts";
import { workflow } from "../../src/engine/index.ts";
import { ADMIN, send, URL_OF_SERVICE } from "../http/support.ts";
import { Engine } from "../runner/support/engine.ts";
import { emptyDatabase } from "../support/database.ts";

const asks = workflow("asks", { input: z.null() })
  .waitFor("go", { payload: z.number(), within: "1d" })
  .stage("last", ({ input }) => (input.received ? input.payload : 0))
  .build();
const ENDED = { status: "COMPLETED", value: 7 };

beforeEach(async () => {
  await emptyDatabase();
});

/** Streams that were opened, and what became of them. */
interface Opened {
  readonly signal: AbortSignal;
  cancelled: boolean;
}

async function waiting(answering: (request: Request) => Promise<Response> = send) {
  const opened: Opened[] = [];
  const asked: string[] = [];
  const first = Promise.withResolvers<void>();
  const fetch = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    asked.push(pathname.replace(/^.*\//, ""));
    if (!pathname.endsWith("/events")) return send(request);
    const stream: Opened = { signal: request.signal, cancelled: false };
    opened.push(stream);
    first.resolve();
    const { body, ...answer } = await partsOf(await answering(request));
    return new Response(watched(body, stream), answer);
  };
  const engine = new Engine({ workflows: [asks] });
  engine.now = Date.now();
  const runs = runsOf(connectHttp({ url: URL_OF_SERVICE, token: ADMIN, fetch }));
  const run = await runs.start(asks, null);
  await engine.settle();
  asked.length = 0;
  const end = async () => {
    await engine.runs.get(asks, run.id).signal("go", 7);
    await engine.settle();
  };
  return { run, end, opened, asked, streaming: first.promise };
}

async function partsOf({ body, status, headers }: Response) {
  return { body, status, headers };
}

/** The same stream, which tells when its reader has cancelled it. */
function watched(body: ReadableStream | null, stream: Opened): ReadableStream | null {
  const reader = body?.getReader();
  if (reader === undefined) return null;
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel(reason) {
      stream.cancelled = true;
      await reader.cancel(reason);
    },
  });
}

describe("output over HTTP", () => {
  it("answers when the stream of events tells of the end, looks no more than twice before and after, and cancels the stream", async () => {
    const { run, end, opened, asked, streaming } = await waiting();
    const output = run.output({ within: "1m" });
    await streaming;
    await end();
    expect(await output).toEqual(ENDED);
    expect(asked).toEqual(["queries", "queries", "events", "queries", "queries"]);
    expect(opened).toMatchObject([{ cancelled: true }]);
  });

  it("says that the run is not over when its time is, and cancels the stream", async () => {
    const { run, opened } = await waiting();
    expect(await run.output({ within: 100 })).toEqual({ status: "RUNNING" });
    await expect.poll(() => opened).toMatchObject([{ cancelled: true }]);
  });

  it("keeps to its time also where the stream is never answered", async () => {
    const { run, opened } = await waiting(async () => Promise.withResolvers<Response>().promise);
    expect(await run.output({ within: 100 })).toEqual({ status: "RUNNING" });
    expect(opened.map(({ signal }) => signal.aborted)).toEqual([true]);
  });

  it.each<[string, () => Response]>([
    ["is refused", () => new Response("no", { status: 403 })],
    ["is not the service's", () => new Response("<html>", { status: 502 })],
    [
      "breaks off",
      () => new Response(": hi\n\n", { headers: { "Content-Type": "text/event-stream" } }),
    ],
    [
      "has other things in it",
      () => new Response("data: 7\n\n", { headers: { "Content-Type": "text/event-stream" } }),
    ],
  ])("looks again where the stream %s", async (_what, answer) => {
    const { run, end, opened, streaming } = await waiting(async () => answer());
    const output = run.output({ within: "1m" });
    await streaming;
    await end();
    expect(await output).toEqual(ENDED);
    expect(opened.length).toBeGreaterThan(0);
  });

  it("does not open a stream for a run that is over", async () => {
    const { run, end, asked } = await waiting();
    await end();
    expect(await run.output({ within: "1m" })).toEqual(ENDED);
    expect(asked).toEqual(["queries"]);
  });
});
