/** The example of docs/http.md, run. That the page has it as it is, and that it compiles against the package: test/package. */
import { hc } from "hono/client";
import { beforeEach, describe, expect, it } from "vitest";
import type { App } from "workflow-engine-cloudflare/http";
import { digest } from "../../examples/typed-client/digest.ts";
import { embed } from "../../src/embed.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { ADMIN, send, URL_OF_SERVICE } from "./support.ts";

const fetch = async (input: RequestInfo | URL, init?: RequestInit) =>
  send(new Request(input, init));
const service = { url: URL_OF_SERVICE, token: ADMIN, fetch };

beforeEach(async () => {
  await emptyDatabase();
});

describe("the typed client of the documentation", () => {
  it("creates a run, reads it, and lists those that wait", async () => {
    const first = await digest("first", service);
    expect(first).toEqual({ status: "PENDING", jobIds: [expect.any(String)], before: 0 });
    await new Promise((resolve) => setTimeout(resolve, 2));
    const second = await digest("a/b ?", service);
    expect(second).toMatchObject({ status: "PENDING", before: 1 });
    expect(await embed(env).jobs.getJobsByWorkflowRun("a/b ?")).toMatchObject([
      { id: second.jobIds[0] },
    ]);
  });

  it("finds what it made before, and makes nothing twice", async () => {
    const first = await digest("run", service);
    expect(await digest("run", service)).toEqual(first);
    expect(await embed(env).jobs.getJobsByWorkflowRun("run")).toHaveLength(1);
  });

  it("throws what a problem tells", async () => {
    await expect(digest("run", { ...service, token: "wrong" })).rejects.toThrow(
      "The token is not known",
    );
    const long = "x".repeat(513);
    await expect(digest(long, service)).rejects.toMatchObject({ cause: { field: "id" } });
  });

  it("settles jobs, whose ids have a slash, when they are encoded", async () => {
    const { jobIds } = await digest("run", service);
    const { v1 } = hc<App>(`${URL_OF_SERVICE}/`, {
      fetch,
      headers: { Authorization: `Bearer ${ADMIN}` },
    });
    const leased = await v1.jobs.dequeue.$post({ json: {} });
    if (!leased.ok) throw new Error((await leased.json()).detail);
    const [job] = (await leased.json()).jobs;
    expect(job).toMatchObject({ jobId: jobIds[0], attempt: 1 });
    const completed = await v1.jobs[":jobId"].complete.$post({
      param: { jobId: encodeURIComponent(jobIds[0] ?? "") },
      json: { attempt: 1 },
    });
    expect(completed.status).toBe(204);
  });
});
