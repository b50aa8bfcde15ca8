/**
 * Every operation, driven by its own OpenAPI document: inputs that fit it and inputs that nearly do. Nothing makes the service
 * stumble (no 5xx), every answer is one that the document knows, and a refused request leaves no trace.
 */
import { describe, expect, it } from "vitest";
import { type Operation, operations, type Schema, theDocument } from "./document.ts";
import { emptyDatabase, everything } from "../support/database.ts";
import { ADMIN, ended, send, URL_OF_SERVICE } from "./support.ts";

/** Set it to what a failure printed to see it again. */
const SEED: number | null = null;
const REQUESTS = 5_000;
/** The tables are emptied now and then, so that looking at them stays cheap. */
const EMPTIED_EVERY = 250;

const TEXTS = [
  "",
  "run",
  "s",
  "k",
  "run/1",
  "%",
  "_",
  "\u0000",
  "\ud800",
  "'; DROP TABLE runs; --",
  "__proto__",
  "\u{1f600}",
  "x".repeat(3_000),
  "2026-01-01T00:00:00.000Z",
];
const NUMBERS = [0, 1, 2, 5, -1, 100, 1.5, 1e21, -1e21, Number.MAX_SAFE_INTEGER, 5e-324];

class Fuzzer {
  readonly #random: () => number;
  /** Ids that were seen in answers, so that some are found. */
  readonly ids = new Set<string>(["run"]);

  constructor(next: () => number) {
    this.#random = next;
  }

  of<T>(items: readonly T[]): T {
    return items[Math.floor(this.#random() * items.length)] as T;
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  anything(depth = 0): unknown {
    const kinds = depth > 3 ? 4 : 6;
    switch (Math.floor(this.#random() * kinds)) {
      case 0:
        return this.of(TEXTS);
      case 1:
        return this.of(NUMBERS);
      case 2:
        return this.chance(0.5);
      case 3:
        return null;
      case 4:
        return Array.from({ length: Math.floor(this.#random() * 3) }, () =>
          this.anything(depth + 1),
        );
      default:
        return Object.fromEntries([[this.of(TEXTS), this.anything(depth + 1)]]);
    }
  }

  /** A value of the schema, or one that is nearly one. */
  value(schema: Schema, wrong: number): unknown {
    if (this.chance(wrong)) return this.anything();
    const choices = (schema["anyOf"] ?? schema["oneOf"]) as Schema[] | undefined;
    if (choices !== undefined) return this.value(this.of(choices), wrong);
    if (Array.isArray(schema["enum"])) return this.of(schema["enum"] as unknown[]);
    const types = [schema["type"]].flat();
    const type = this.of(types);
    switch (type) {
      case "string":
        if (schema["format"] === "date-time")
          return this.of(["2026-01-01T00:00:00.000Z", "2027-05-05T05:05:05+02:00"]);
        return this.chance(0.6) ? this.of([...this.ids]) : this.of(TEXTS.slice(1, 6));
      case "integer":
        return this.of([0, 1, 2, 5, 50]);
      case "number":
        return this.of([0, 0.5, 3, 1_000]);
      case "boolean":
        return this.chance(0.5);
      case "null":
        return null;
      case "array":
        return Array.from({ length: Math.floor(this.#random() * 3) }, () =>
          this.value((schema["items"] ?? {}) as Schema, wrong),
        );
      case "object":
        return this.object(schema, wrong);
      default:
        return this.anything();
    }
  }

  object(schema: Schema, wrong: number): Record<string, unknown> {
    const required = (schema["required"] ?? []) as string[];
    const members = Object.entries((schema["properties"] ?? {}) as Record<string, Schema>).filter(
      ([name]) => (required.includes(name) ? !this.chance(wrong) : this.chance(0.4)),
    );
    const object = Object.fromEntries(members.map(([name, own]) => [name, this.value(own, wrong)]));
    return this.chance(wrong) ? { ...object, surplus: 1 } : object;
  }

  request({ method, path, parameters, body }: Operation): Request {
    // Half of the requests are right in everything.
    const wrong = this.chance(0.5) ? 0 : 0.15;
    const query = new URLSearchParams();
    let target = path;
    for (const { name, in: place, required, schema } of parameters) {
      const value = this.value(schema, wrong);
      const text = typeof value === "string" ? value : JSON.stringify(value ?? null);
      const wellFormed = text.toWellFormed();
      if (place === "path")
        target = target.replace(
          `{${name}}`,
          encodeURIComponent(wellFormed === "" ? "x" : wellFormed),
        );
      if (place === "query" && (required === true || this.chance(0.4))) query.set(name, wellFormed);
    }
    const headers: Record<string, string> = { Authorization: `Bearer ${ADMIN}` };
    if (this.chance(0.1)) headers["If-Match"] = this.of(['"v1"', '"v2"', "*", "nonsense"]);
    if (this.chance(0.1)) headers["Idempotency-Key"] = this.of(["a", "b", "c"]);
    if (body !== null)
      headers["Content-Type"] = this.chance(0.02) ? "text/plain" : "application/json";
    const url = `${URL_OF_SERVICE}${target}${query.size === 0 ? "" : `?${query.toString()}`}`;
    const payload =
      body === null ? {} : { body: JSON.stringify(this.value(body.schema, wrong)) ?? "" };
    return new Request(url, { method, headers, ...payload });
  }
}

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return (state >>> 0) / 4_294_967_296;
  };
}

/** The answer's text; what is in a stream is told elsewhere. */
async function textOf(response: Response): Promise<string> {
  const streams = response.headers.get("Content-Type") === "text/event-stream";
  const text = await (await ended(response)).text();
  return streams ? '""' : text;
}

describe("requests at random", () => {
  it("are answered as the OpenAPI document says, and leave nothing behind when they are refused", async () => {
    const seed = SEED ?? Math.floor(Math.random() * 2 ** 31);
    const all = operations(await theDocument());
    expect(all.length).toBeGreaterThan(45);
    const fuzzer = new Fuzzer(random(seed));
    const seen = new Map<string, Set<number>>();
    let before = "";
    for (let count = 0; count < REQUESTS; count += 1) {
      if (count % EMPTIED_EVERY === 0) {
        await emptyDatabase();
        before = await everything();
      }
      // Each in turn, so that none is forgotten; runs more often, so that there are some.
      const operation =
        count % 6 === 0
          ? all.find(({ method, path }) => method === "POST" && path === "/v1/runs")
          : all[(count - Math.ceil(count / 6)) % all.length];
      if (operation === undefined) throw new Error("no operation");
      const request = fuzzer.request(operation);
      const shown = `seed ${seed}, request ${count}: ${request.method} ${request.url} ${await request.clone().text()}`;
      const response = await send(request);
      const text = await textOf(response);
      const told = `${shown}\n${response.status} ${text}`;
      expect(response.status, told).toBeLessThan(500);
      const answer = operation.answers.get(response.status);
      expect(answer, told).toBeDefined();
      const parsed = answer?.schema?.safeParse(text === "" ? undefined : JSON.parse(text));
      expect(parsed?.success ?? text === "", `${told}\n${parsed?.error?.message}`).toBe(true);
      const after = await everything();
      if (response.status >= 400) {
        const { code } = JSON.parse(text) as { code: string };
        expect(Object.keys(answer?.examples ?? {}), told).toContain(code);
        // A result that comes too late is refused, and kept as an annotation.
        if (code !== "LEASE_LOST") expect(after, told).toBe(before);
      }
      before = after;
      for (const [, id] of text.matchAll(/"(?:id|jobId)":"([^"\\]{1,200})"/g))
        if (id !== undefined) fuzzer.ids.add(id);
      if (fuzzer.ids.size > 40) fuzzer.ids.delete([...fuzzer.ids][1] ?? "");
      const name = `${operation.method} ${operation.path}`;
      seen.set(name, (seen.get(name) ?? new Set()).add(response.status < 400 ? 200 : 400));
    }
    const succeeded = [...seen].filter(([, kinds]) => kinds.has(200)).length;
    console.log(
      `seed ${seed}: ${REQUESTS} requests of ${all.length} operations, ${succeeded} of which succeeded`,
    );
    expect([...seen.keys()]).toHaveLength(all.length);
    expect(succeeded).toBeGreaterThan(all.length * 0.7);
  }, 300_000);
});
