/** The OpenAPI document is complete and true: its examples are sent, and answered as it says. */
import { beforeEach, describe, expect, it } from "vitest";
import * as z from "zod";
import { app } from "../../src/http/app.ts";
import { DOCS_FILES } from "../../src/http/docs-page.ts";
import { BESIDE_OPERATIONS, PROBLEM_KINDS } from "../../src/http/problem-kinds.ts";
import { embed } from "../../src/embed.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { type Operation, operations, resolved, theDocument } from "./document.ts";
import type { HttpEnv } from "../../src/http/env.ts";
import manifest from "../../package.json";
import { ADMIN, call, ended, send, URL_OF_SERVICE } from "./support.ts";

const document = await theDocument();
const all = operations(document);
const named = all.map((operation) => [operation.id, operation] as const);

function problemsOf(operation: Operation): Map<string, unknown> {
  const found = new Map<string, unknown>();
  for (const { examples } of operation.answers.values()) {
    for (const [code, { value }] of Object.entries(examples)) found.set(code, value);
  }
  return found;
}

/** The request that the examples make; `ids` stand in for those of the path. */
async function sendExample(
  operation: Operation,
  headers: Record<string, string> = {},
  ids: Readonly<Record<string, string>> = {},
) {
  const query = new URLSearchParams();
  let path = operation.path;
  for (const { name, in: place, required, schema } of operation.parameters) {
    const example = ids[name] ?? String(schema["example"]);
    if (place === "path") path = path.replace(`{${name}}`, encodeURIComponent(example));
    // The cursor of another list would be refused.
    if (place === "query" && required === true) query.set(name, example);
  }
  const search = query.size === 0 ? "" : `?${query.toString()}`;
  return ended(await call(operation.method, path + search, operation.body?.example, headers));
}

const codeOf = async (response: Response) => (await response.json<{ code: string }>()).code;
const withProblem = (code: string) =>
  named.filter(([, operation]) => problemsOf(operation).has(code));
const withoutProblem = (code: string) =>
  named.filter(([, operation]) => !problemsOf(operation).has(code));

describe("the document", () => {
  it("has every route under /v1, and no other", () => {
    const routes = app.routes.filter(
      ({ method, path }) => method !== "ALL" && path.startsWith("/v1/"),
    );
    const routed = routes.map(
      ({ method, path }) => `${method} ${path.replaceAll(/:(\w+)/g, "{$1}")}`,
    );
    const shown = all.map(({ method, path }) => `${method} ${path}`);
    expect(shown.toSorted()).toEqual([...new Set(routed)].toSorted());
  });
});

describe("every operation of the document", () => {
  it.each(named)("%s has a summary and a tag that is described", (_id, { summary, tags }) => {
    expect(summary).not.toBe("");
    expect(tags).toHaveLength(1);
    expect(document.tags.map(({ name }) => name)).toContain(tags[0]);
  });

  it.each(named)("%s has examples of its parameters and its body that fit", (_id, operation) => {
    for (const { schema, name } of operation.parameters.filter(
      ({ in: place }) => place !== "header",
    )) {
      expect(schema["example"], name).toBeDefined();
      expect(z.fromJSONSchema(schema).safeParse(schema["example"]).error, name).toBeUndefined();
    }
    if (operation.body === null) return;
    const { schema, example } = operation.body;
    expect(example).toBeDefined();
    expect(z.fromJSONSchema(schema).safeParse(example).error).toBeUndefined();
  });

  it.each(named)("%s has an example of its success that fits", (_id, { answers }) => {
    const successes = [...answers].filter(([status]) => status >= 200 && status < 300);
    expect(successes).toHaveLength(1);
    for (const [status, { schema, example }] of successes) {
      if (status === 204) continue;
      expect(example).toBeDefined();
      expect(schema?.safeParse(example).error).toBeUndefined();
    }
  });

  it.each(named)("%s has an example of each of its problems", (_id, { answers }) => {
    for (const [status, { schema, examples }] of answers) {
      if (status < 400) continue;
      const values = Object.entries(examples);
      expect(values.length).toBeGreaterThan(0);
      for (const [code, { value }] of values) {
        expect(schema?.safeParse(value).error).toBeUndefined();
        expect(value).toMatchObject({ code, status });
      }
    }
  });
});

describe("the page that shows the document", () => {
  const page = async () => send(new Request(`${URL_OF_SERVICE}/docs`));
  const namedIn = (html: string) =>
    [...html.matchAll(/ (?:src|href)="([^"]*)"/g)].map(([, address = ""]) => address);

  it("has all that it needs from the Worker itself", async () => {
    const needed = namedIn(await (await page()).text()).filter((address) => address !== "data:,");
    const types = new Map([
      ["css", "text/css"],
      ["js", "text/javascript"],
      ["json", "application/json"],
    ]);
    expect(needed.toSorted()).toEqual(
      [...DOCS_FILES.map((file) => `docs/${file}`), "openapi.json"].toSorted(),
    );
    for (const address of needed) {
      const url = new URL(address, `${URL_OF_SERVICE}/docs`);
      expect(url.origin).toBe(URL_OF_SERVICE);
      const response = await send(new Request(url));
      expect(response.status, address).toBe(200);
      expect(response.headers.get("X-Content-Type-Options")).toBe("nosniff");
      const [type] = (response.headers.get("Content-Type") ?? "").split(";");
      expect(type, address).toBe(types.get(address.slice(address.lastIndexOf(".") + 1)));
      const text = await response.text();
      expect(text.length, address).toBeGreaterThan(100);
      if (type === "text/css") expect(text).not.toMatch(/@import|url\(["']?(?:https?:)?\/\//);
    }
  });

  it("names what is beside it, so that it can be mounted anywhere", async () => {
    const html = await (await page()).text();
    expect(namedIn(html).filter((address) => address.startsWith("/"))).toEqual([]);
    expect(html).not.toMatch(/\w:\/\//);
  });

  it("runs no script but its own, sends nothing to anybody else, and is shown in no other page", async () => {
    const policy = (await page()).headers.get("Content-Security-Policy") ?? "";
    const directives = new Map(
      policy.split("; ").map((directive) => {
        const [name = "", ...sources] = directive.split(" ");
        return [name, sources.join(" ")];
      }),
    );
    expect(Object.fromEntries(directives)).toEqual({
      "default-src": "'none'",
      "script-src": "'self'",
      "style-src": "'self'",
      "img-src": "'self' data:",
      "connect-src": "'self'",
      "base-uri": "'none'",
      "form-action": "'none'",
      "frame-ancestors": "'none'",
    });
  });

  it("has no script and no style in itself, which its policy would refuse", async () => {
    const html = await (await page()).text();
    expect(html).not.toMatch(/<style| style=| on\w+=|<script>|javascript:/);
    expect([...html.matchAll(/<script[^>]*>([^<]*)/g)].map(([, text]) => text)).toEqual(["", ""]);
  });

  it.each(["no.js", "page.map", "swagger-ui.LICENSE.txt", "..%2fx"])(
    "answers with nothing else of the assets: %s",
    async (file) => {
      const response = await send(new Request(`${URL_OF_SERVICE}/docs/${file}`));
      expect(response.status).toBe(404);
    },
  );

  it("says where the document is when the deployment has no assets", async () => {
    const without = { ASSETS: undefined } as unknown as Partial<HttpEnv>;
    const html = await send(new Request(`${URL_OF_SERVICE}/docs`), without);
    expect(await html.text()).toContain('<a href="openapi.json">');
    const script = await send(new Request(`${URL_OF_SERVICE}/docs/page.js`), without);
    expect(await codeOf(script)).toBe("NO_SUCH_ROUTE");
  });

  it("says the version of the package", () => {
    expect(document.info.version).toBe(manifest.version);
  });
});

describe("every code of a problem", () => {
  const answered = new Set(all.flatMap((operation) => [...problemsOf(operation).keys()]));

  it.each(Object.keys(PROBLEM_KINDS))("%s is shown where it is answered", (code) => {
    const shown = resolved(document, document.components.schemas["Problem"]) as {
      examples: { code: string }[];
    };
    const beside = BESIDE_OPERATIONS.some((other) => other === code);
    expect(answered.has(code)).toBe(!beside);
    expect(shown.examples.some((example) => example.code === code)).toBe(beside);
  });
});

describe("on an empty database the request that the examples make", () => {
  beforeEach(async () => {
    await emptyDatabase();
  });

  // A commit's guards find nothing either.
  const missing = (code: string) => code === "NOT_FOUND" || code === "GUARD_FAILED";
  const needing = named.filter(([, operation]) => [...problemsOf(operation).keys()].some(missing));
  const others = named.filter((one) => !needing.includes(one));

  it.each(needing)("for %s finds nothing, as the document says", async (_id, operation) => {
    const response = await sendExample(operation, {}, { id: "nobody", jobId: "nobody" });
    expect([404, 412]).toContain(response.status);
    expect(problemsOf(operation).has(await codeOf(response))).toBe(true);
  });

  it.each(others)("for %s succeeds, as the document says", async (_id, operation) => {
    const response = await sendExample(operation);
    const text = await response.text();
    expect(response.status, text).toBeLessThan(300);
    const answer = operation.answers.get(response.status);
    expect(answer, text).toBeDefined();
    if (text !== "") expect(answer?.schema?.safeParse(JSON.parse(text)).error).toBeUndefined();
    for (const name of answer?.headers ?? []) {
      if (name !== "Idempotent-Replayed") expect(response.headers.get(name), name).not.toBeNull();
    }
  });
});

describe("with the run, the stage, the job and the event of the examples", () => {
  let stage = "";
  beforeEach(async () => {
    await emptyDatabase();
    for (const id of ["createRun", "createStage", "enqueue", "appendOutboxEvents"]) {
      const made = await sendExample(all.find((operation) => operation.id === id) as Operation);
      expect(made.status).toBeLessThan(300);
      if (id === "createStage") stage = ((await made.json()) as { id: string }).id;
    }
  });

  it.each(withProblem("ALREADY_EXISTS"))("%s finds that it exists", async (_id, operation) => {
    const response = await sendExample(operation);
    expect([response.status, await codeOf(response)]).toEqual([409, "ALREADY_EXISTS"]);
  });

  it.each(withProblem("STALE_VERSION"))("%s honours If-Match", async (_id, operation) => {
    const response = await sendExample(operation, { "If-Match": '"v7"' }, { id: stage });
    expect([response.status, await codeOf(response)]).toEqual([412, "STALE_VERSION"]);
    expect(operation.headers).toContain("If-Match");
    expect(operation.headers).toContain("If-None-Match");
  });

  it.each(withoutProblem("STALE_VERSION"))("%s refuses If-Match", async (_id, operation) => {
    const response = await sendExample(operation, { "If-Match": '"v7"' });
    expect([response.status, await response.json()]).toMatchObject([
      422,
      { details: { field: "If-Match" } },
    ]);
    expect(operation.headers).not.toContain("If-Match");
  });
});

describe("with a job that was delivered twice", () => {
  let jobId = "";
  beforeEach(async () => {
    await emptyDatabase();
    const { jobs } = embed(env);
    const job = { workflowRunId: "run-1", workflowId: "digest", stageId: "fetch" };
    jobId = await jobs.enqueue(job);
    await jobs.dequeue();
    await jobs.releaseStaleJobs(-1);
    expect(await jobs.dequeue()).toMatchObject({ jobId, attempt: 2 });
  });

  it.each(withProblem("LEASE_LOST"))(
    "%s of the first attempt is too late",
    async (_id, operation) => {
      const response = await sendExample(operation, {}, { jobId });
      expect([response.status, await codeOf(response)]).toEqual([409, "LEASE_LOST"]);
    },
  );
});

describe("Idempotency-Key", () => {
  const headers = { "Idempotency-Key": "order-1" };
  const needsRows = (operation: Operation) =>
    ["NOT_FOUND", "GUARD_FAILED"].some((code) => problemsOf(operation).has(code));
  const takes = ({ headers: known }: Operation) => known.includes("Idempotency-Key");
  beforeEach(async () => {
    await emptyDatabase();
  });

  it.each(named.filter(([, operation]) => takes(operation) && !needsRows(operation)))(
    "has the answer of %s replayed",
    async (_id, operation) => {
      const first = await sendExample(operation, headers);
      const again = await sendExample(operation, headers);
      expect(again.headers.get("Idempotent-Replayed")).toBe("true");
      expect([again.status, await again.text()]).toEqual([first.status, await first.text()]);
      expect(operation.answers.get(again.status)?.headers).toContain("Idempotent-Replayed");
    },
  );

  it.each(named.filter(([, operation]) => !takes(operation)))(
    "is nothing to %s, or refused",
    async (_id, operation) => {
      const response = await sendExample(operation, headers);
      const again = await sendExample(operation, headers);
      expect([response, again].map((answer) => answer.headers.get("Idempotent-Replayed"))).toEqual([
        null,
        null,
      ]);
      expect(problemsOf(operation).has("IDEMPOTENCY_KEY_IN_USE")).toBe(false);
    },
  );
});

describe("a body that is no JSON", () => {
  it.each(named)("is refused by %s if the document says so", async (_id, operation) => {
    const { method } = operation;
    const path = operation.path.replaceAll(/[{}]/g, "");
    const headers = { Authorization: `Bearer ${ADMIN}`, "Content-Type": "application/json" };
    const body = method === "GET" ? {} : { body: "{" };
    const request = new Request(URL_OF_SERVICE + path, { method, headers, ...body });
    const response = await ended(await send(request));
    await response.text();
    expect(response.status === 400).toBe(problemsOf(operation).has("MALFORMED"));
  });
});
