/** Bodies that are huge, deep, slow, broken or meant to do harm. */
import { beforeEach, describe, expect, it, vi } from "vitest";
import { embed } from "../../src/embed.ts";
import { emptyDatabase, everything } from "../support/database.ts";
import { env } from "../support/env.ts";
import { ADMIN, URL_OF_SERVICE } from "./support.ts";
import { bearer, codeOf, post, send, watch } from "./watched.ts";

watch();
let before: string;
beforeEach(async () => {
  await emptyDatabase();
  before = await everything();
});

const run = (members: string, input = "1") =>
  `{"workflowId":"w","workflowName":"","workflowType":"","input":${input}${members}}`;
const JSON_TYPE = { "Content-Type": "application/json" };
const bytes = (text: string) => new TextEncoder().encode(text);

/** A body that comes in pieces; `end` says what comes after them. */
function pieces(
  texts: readonly string[],
  end: (controller: ReadableStreamDefaultController<Uint8Array>) => void,
): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const text of texts) controller.enqueue(bytes(text));
      end(controller);
    },
  });
}

describe("a body", () => {
  it.each<[string, BodyInit, Record<string, string>, number, string]>([
    ["that is no JSON", "{", JSON_TYPE, 400, "MALFORMED"],
    ["of two values", "{} {}", JSON_TYPE, 400, "MALFORMED"],
    ["that is not UTF-8", new Uint8Array([0x7b, 0xff, 0x7d]), JSON_TYPE, 400, "MALFORMED"],
    ["in UTF-16", new Uint8Array([0xff, 0xfe, 0x7b, 0, 0x7d, 0]), JSON_TYPE, 400, "MALFORMED"],
    ["that ends within a character", new Uint8Array([0x22, 0xc3]), JSON_TYPE, 400, "MALFORMED"],
    ["that is a list", "[]", JSON_TYPE, 422, "INVALID_ARGUMENT"],
    ["that is null", "null", JSON_TYPE, 422, "INVALID_ARGUMENT"],
    ["without a field", "{}", JSON_TYPE, 422, "INVALID_ARGUMENT"],
    ["with a field too many", run(',"admin":true'), JSON_TYPE, 422, "INVALID_ARGUMENT"],
    [
      "with a hundred thousand fields too many",
      run(Array.from({ length: 100_000 }, (_, n) => `,"${n}":0`).join("")),
      JSON_TYPE,
      422,
      "INVALID_ARGUMENT",
    ],
    [
      "nested too deep",
      run("", `${"[".repeat(5_000)}${"]".repeat(5_000)}`),
      JSON_TYPE,
      422,
      "INVALID_ARGUMENT",
    ],
    [
      "nested a million deep, in objects",
      '{"a":'.repeat(700_000),
      JSON_TYPE,
      422,
      "INVALID_ARGUMENT",
    ],
    [
      "with a row's JSON nested too deep",
      run("", `${"[".repeat(1_005)}${"]".repeat(1_005)}`),
      JSON_TYPE,
      422,
      "INVALID_ARGUMENT",
    ],
    ["of five megabytes", "x".repeat(5_000_000), JSON_TYPE, 413, "PAYLOAD_TOO_LARGE"],
    [
      "of fewer characters than bytes",
      `"${"\u{1f600}".repeat(1_000_001)}"`,
      JSON_TYPE,
      413,
      "PAYLOAD_TOO_LARGE",
    ],
  ])("%s is refused, and nothing is written", async (_what, body, headers, status, code) => {
    const response = await post("/v1/runs", body, headers);
    const text = await response.clone().text();
    expect(await codeOf(response)).toEqual([status, code]);
    expect(text.length).toBeLessThan(10_000);
    expect(await everything()).toBe(before);
  });

  it.each([
    "text/plain",
    "text/plain; x=application/json",
    "text/json",
    "application/jsonx",
    "application/json-patch+json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=application/json",
    "",
  ])("declared as %j is refused", async (type) => {
    const headers: Record<string, string> = type === "" ? {} : { "Content-Type": type };
    const response = await post("/v1/runs", bytes(run("")), headers);
    expect(await codeOf(response)).toEqual([415, "UNSUPPORTED_MEDIA_TYPE"]);
    expect(await everything()).toBe(before);
  });

  it.each([
    "application/json; charset=utf-16",
    "application/json;charset=UTF-16LE",
    'application/json; charset="utf-16"',
    "application/json; CHARSET = latin1",
    "application/json; charset=us-ascii",
    "application/json; charset=",
    "application/json; charset=utf-8; charset=utf-16",
  ])("declared as %j is refused: which charset is taken is told", async (type) => {
    for (const body of [bytes(run("")), new Uint8Array([0xff, 0xfe, 0x7b, 0])]) {
      const response = await post("/v1/runs", body, { "Content-Type": type });
      expect(await response.clone().text()).toContain("utf-8");
      expect(await codeOf(response)).toEqual([415, "UNSUPPORTED_MEDIA_TYPE"]);
    }
    expect(await everything()).toBe(before);
  });

  it.each(["gzip", "br", "deflate", "GZIP", "identity, gzip", "x"])(
    "with the Content-Encoding %s is refused, whatever it is: which are taken is told",
    async (encoding) => {
      const headers = { ...JSON_TYPE, "Content-Encoding": encoding };
      const zipped = new Blob([run("")]).stream().pipeThrough(new CompressionStream("gzip"));
      for (const body of [await new Response(zipped).bytes(), bytes(run("")), ""]) {
        const response = await post("/v1/runs", body, headers);
        expect(response.headers.get("Accept-Encoding")).toBe("identity");
        expect(await response.clone().text()).toContain("identity");
        expect(await codeOf(response)).toEqual([415, "UNSUPPORTED_MEDIA_TYPE"]);
      }
      expect(await everything()).toBe(before);
    },
  );

  it.each(["", "identity", "Identity"])(
    "with the Content-Encoding %j is taken",
    async (encoding) => {
      const headers = { ...JSON_TYPE, "Content-Encoding": encoding };
      expect((await post("/v1/runs", run(""), headers)).status).toBe(201);
    },
  );

  it("that is declared to be something else is not told to be no UTF-8", async () => {
    const headers = { "Content-Type": "image/png", "Content-Length": "2" };
    const response = await post("/v1/runs", new Uint8Array([0x89, 0xff]), headers);
    expect(await codeOf(response)).toEqual([415, "UNSUPPORTED_MEDIA_TYPE"]);
  });

  it.each([
    ["declared as something else", { "Content-Type": "text/plain" }, 0],
    ["declared as a form", { "Content-Type": "application/x-www-form-urlencoded" }, 0],
    ["declared as several types", { "Content-Type": "application/json, text/plain" }, 0],
    ["declared as nothing", {}, 65_536],
    ["declared as nothing, of no length", { "Content-Length": "0" }, 65_536],
    ["of an unknown charset", { "Content-Type": "application/json; charset=utf-16" }, 0],
    ["of an unknown coding", { ...JSON_TYPE, "Content-Encoding": "gzip" }, 0],
  ])(
    "in chunks, %s, is refused before more of it is read than tells that there is one",
    async (_what, headers: Record<string, string>, readMax) => {
      let read = 0;
      const endless = new ReadableStream<Uint8Array>(
        {
          pull(controller) {
            read += 65_536;
            controller.enqueue(new Uint8Array(65_536).fill(0x20));
          },
        },
        { highWaterMark: 0 },
      );
      const response = await post("/v1/runs", endless, headers);
      expect(await codeOf(response)).toEqual([415, "UNSUPPORTED_MEDIA_TYPE"]);
      expect(read).toBeLessThanOrEqual(readMax);
      expect(await everything()).toBe(before);
    },
  );

  it("that there is none of needs no type, and an empty one is none", async () => {
    const init = { method: "POST", headers: bearer(ADMIN) };
    const none = new Request(`${URL_OF_SERVICE}/v1/jobs/dequeue`, init);
    const empty = pieces([], (controller) => controller.close());
    expect((await send(none)).status).toBe(200);
    expect((await post("/v1/jobs/dequeue", empty, {})).status).toBe(200);
  });

  it.each([
    "application/json;charset=utf-8",
    'Application/JSON; Charset="UTF-8"',
    " application/json ",
    "application/json; profile=x; charset=utf-8",
  ])("declared as %j is taken", async (type) => {
    const response = await post("/v1/runs", bytes(run(',"id":"\u00e9"')), { "Content-Type": type });
    expect([response.status, await response.json()]).toMatchObject([201, { id: "\u00e9" }]);
  });

  it("may hold deep JSON in a text: it is text", async () => {
    const deep = "[{".repeat(100_000);
    const response = await post("/v1/runs", run("", JSON.stringify(`"${deep}\\`)));
    expect(response.status).toBe(201);
  });

  it("may hold many keys, and the last of equal ones counts", async () => {
    const members = Array.from({ length: 50_000 }, (_, n) => `"k${n}":${n}`).join(",");
    const response = await post("/v1/runs", run(`,"metadata":{${members}},"id":"a","id":"b"`));
    expect([response.status, response.headers.get("Location")]).toEqual([201, "/v1/runs/b"]);
  });
});

describe("a length", () => {
  it("that is declared is believed before anything is read", async () => {
    const pull = vi.fn<() => void>();
    const body = new ReadableStream<Uint8Array>({ pull }, { highWaterMark: 0 });
    const headers = { ...JSON_TYPE, "Content-Length": "4000001" };
    expect(await codeOf(await post("/v1/runs", body, headers))).toEqual([413, "PAYLOAD_TOO_LARGE"]);
    expect(pull).not.toHaveBeenCalled();
  });

  it.each([undefined, "0", "10", "-1", "x"])(
    "declared as %s does not let more in",
    async (declared) => {
      let sent = 0;
      const endless = new ReadableStream<Uint8Array>({
        pull(controller) {
          sent += 65_536;
          controller.enqueue(new Uint8Array(65_536).fill(0x20));
        },
      });
      const headers = {
        ...JSON_TYPE,
        ...(declared === undefined ? {} : { "Content-Length": declared }),
      };
      const response = await post("/v1/runs", endless, headers);
      expect(await codeOf(response)).toEqual([413, "PAYLOAD_TOO_LARGE"]);
      expect(sent).toBeLessThan(5_000_000);
    },
  );
});

describe("a body that is slow", () => {
  /** Milliseconds until it is answered, by a clock that only we turn. */
  async function answeredAfter(body: ReadableStream<Uint8Array>): Promise<[Response, number]> {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
    const started = Date.now();
    let answered = false;
    const request = new Request(`${URL_OF_SERVICE}/v1/runs`, {
      method: "POST",
      headers: { ...bearer(ADMIN), ...JSON_TYPE },
      body,
    });
    const sent = send(request).finally(() => (answered = true));
    const isAnswered = () => answered;
    while (!isAnswered()) {
      await scheduler.wait(1);
      if (vi.getTimerCount() > 0) await vi.advanceTimersByTimeAsync(1_000);
    }
    return [await sent, Date.now() - started];
  }

  it("and never ends is given up after 30 seconds, and nothing is written", async () => {
    const cancelled = vi.fn<() => void>();
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(bytes(run(""))),
      cancel: cancelled,
    });
    const [response, ms] = await answeredAfter(body);
    expect(await codeOf(response)).toEqual([408, "REQUEST_TIMEOUT"]);
    expect(Math.abs(ms - 30_000)).toBeLessThanOrEqual(1_000);
    expect(cancelled).toHaveBeenCalledOnce();
    expect(await everything()).toBe(before);
  });

  it("and trickles is given up no later", async () => {
    const trickling = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          await new Promise<void>((resolve) => {
            setTimeout(resolve, 4_000);
          });
          controller.enqueue(bytes(" "));
        },
      },
      { highWaterMark: 0 },
    );
    const [response, ms] = await answeredAfter(trickling);
    expect(await codeOf(response)).toEqual([408, "REQUEST_TIMEOUT"]);
    expect(Math.abs(ms - 30_000)).toBeLessThanOrEqual(1_000);
  });

  it("but comes steadily has the time that it takes", async () => {
    const text = run("", `"${"x".repeat(3_000_000)}"`);
    const parts = Array.from({ length: 40 }, (_, n) => text.slice(n * 75_100, (n + 1) * 75_100));
    const steady = new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          await new Promise<void>((resolve) => {
            setTimeout(resolve, 1_000);
          });
          const part = parts.shift();
          if (part === undefined) controller.close();
          else controller.enqueue(bytes(part));
        },
      },
      { highWaterMark: 0 },
    );
    const [response, ms] = await answeredAfter(steady);
    // Too large for a row: it has been read to its end.
    expect(await codeOf(response)).toEqual([413, "PAYLOAD_TOO_LARGE"]);
    expect(ms).toBeGreaterThan(40_000);
  });
});

describe("a body that breaks off", () => {
  it("is refused, though what had come was whole, and nothing is written", async () => {
    const body = pieces([run("")], (controller) => controller.error(new Error("connection lost")));
    expect(await codeOf(await post("/v1/runs", body))).toEqual([400, "MALFORMED"]);
    expect(await everything()).toBe(before);
  });

  it("between pieces of one character is put together, if it comes to its end", async () => {
    const text = bytes(run(',"id":"\u{1f600}"'));
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of text) controller.enqueue(Uint8Array.of(byte));
        controller.close();
      },
    });
    expect((await post("/v1/runs", body)).headers.get("Location")).toBe("/v1/runs/%F0%9F%98%80");
  });
});

describe("keys that pollute prototypes", () => {
  const evil = '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}';

  it("are data like any other, wherever data may be", async () => {
    const created = await post("/v1/runs", run(`,"id":"run","metadata":${evil}`));
    expect(await created.text()).toContain(`"metadata":${evil}`);
    const annotation = `{"workflowRunId":"run","scope":"run","key":"__proto__","value":${evil}}`;
    expect((await post("/v1/annotations", `{"annotations":[${annotation}]}`)).status).toBe(204);
    const [stored] = await embed(env).persistence.listAnnotations("run", { key: "__proto__" });
    expect(JSON.stringify(stored?.value)).toBe(evil);
    const call = `{"topic":"t","callType":"c","modelKey":"__proto__","modelId":"","prompt":"","response":"","inputTokens":1,"outputTokens":1,"cost":1}`;
    expect((await post("/v1/ai-calls", call)).status).toBe(204);
    const stats = new Request(`${URL_OF_SERVICE}/v1/ai-stats?topicPrefix=t`, {
      headers: bearer(ADMIN),
    });
    expect(await (await send(stats)).text()).toContain('"perModel":{"__proto__":{"calls":1');
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });

  it.each([
    '{"__proto__":{"workflowId":"w","workflowName":"","workflowType":"","input":1}}',
    '{"constructor":{"prototype":{"workflowId":"w"}},"workflowName":"","workflowType":"","input":1}',
  ])("give a request no fields: %s", async (body) => {
    expect(await codeOf(await post("/v1/runs", body))).toEqual([422, "INVALID_ARGUMENT"]);
  });

  it("set nothing where they are too many", async () => {
    const response = await post("/v1/runs", run(',"__proto__":{"id":"polluted","polluted":true}'));
    expect(await response.text()).not.toContain("polluted");
    expect(await embed(env).persistence.getRun("polluted")).toBeNull();
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });

  it("in a query are refused, as every parameter is that there is not", async () => {
    const query = "__proto__[limit]=1&__proto__=x&constructor=y&constructor[prototype][limit]=1";
    const request = new Request(`${URL_OF_SERVICE}/v1/outbox-events?${query}`, {
      headers: bearer(ADMIN),
    });
    expect((await send(request)).status).toBe(422);
    expect(Reflect.get({}, "limit")).toBeUndefined();
  });
});
