import { hc, type ClientRequestOptions } from "hono/client";
import type { App } from "workflow-engine-cloudflare/http";

/** Creates a run with a job, unless it is there already, and tells what became of it and how many wait before it. */
export async function digest(
  id: string,
  { url, token, ...options }: { url: string; token: string } & ClientRequestOptions,
) {
  const headers = { Authorization: `Bearer ${token}` };
  const { runs, jobs } = hc<App>(url, { ...options, headers }).v1;

  const input = { url: "https://example.com/" };
  const run = { id, workflowId: "digest", workflowName: "Digest", workflowType: "digest", input };
  const created = await runs.$post({ json: run });
  if (!created.ok) {
    const { code, detail, details } = await created.json();
    if (code !== "ALREADY_EXISTS") throw new Error(detail, { cause: details });
  }

  const job = { workflowRunId: id, workflowId: "digest", stageId: "fetch", dedupeKey: id };
  const enqueued = await jobs.$post({ json: { jobs: [job] } });
  if (!enqueued.ok) throw new Error((await enqueued.json()).detail);
  const { jobIds } = await enqueued.json();

  // Ids are any text, and a job's has a slash: hc puts them into the path as they are.
  const found = await runs[":runId"].$get({ param: { runId: encodeURIComponent(id) } });
  if (!found.ok) throw new Error((await found.json()).detail);
  const { status, createdAt } = await found.json();

  const waiting = { status: "PENDING", createdBefore: createdAt, fields: "id" } as const;
  const page = await runs.$get({ query: waiting });
  if (!page.ok) throw new Error((await page.json()).detail);
  const { items } = await page.json();
  return { status, jobIds, before: items.length };
}
