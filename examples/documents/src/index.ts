/**
 * The app: a Worker that owns no storage. Everything goes through the service that it is bound to, and the service calls it back,
 * at `DocumentsHandler`, for every job.
 *
 *   POST /corpus                 submit documents; an Idempotency-Key header makes it safe to repeat
 *   GET  /corpus/:id             how far all runs of a corpus are
 *   GET  /runs/:id               one run: stages, jobs, annotations, artifacts
 *   GET  /report/:corpusId       the finished report, as Markdown
 *   GET  /events                 outbox events that are not published yet
 *   POST /events/published       marks events as published
 *   GET  /health                 whether the service can be reached
 *   GET  /                       these, in a line each
 */
import { WorkerEntrypoint } from "cloudflare:workers";
import { Hono, type HonoRequest } from "hono";
import {
  type Backend,
  type BoundJobHandler,
  connect,
  type DequeueResult,
  type FailedDelivery,
  isRetryable,
  isServiceError,
  type JobOutcome,
  type ServiceError,
  type WorkflowEngineBinding,
} from "workflow-engine-cloudflare/client";
import * as z from "zod";
import { failRunOf, workJob } from "./handler.ts";
import { corpusProgress, loadReport, runProgress } from "./progress.ts";
import { readCorpus, RefusedError, submitCorpus } from "./submit.ts";

interface Env {
  readonly WORKFLOWS: WorkflowEngineBinding;
}

const app = new Hono<{ Bindings: Env; Variables: { backend: Backend } }>();

/** One connection per request: it is one RPC session. */
app.use(async (context, next) => {
  context.set("backend", open(context.env));
  await next();
});

app.post("/corpus", async (context) => {
  const corpus = readCorpus(await readJson(context.req));
  const key = context.req.header("Idempotency-Key") ?? crypto.randomUUID();
  return context.json(await submitCorpus(context.var.backend, corpus, key), 201);
});

app.get("/corpus/:id", async (context) => {
  const { persistence } = context.var.backend;
  const progress = await corpusProgress(persistence, context.req.param("id"));
  return progress === null ? context.notFound() : context.json(progress);
});

app.get("/runs/:id", async (context) => {
  const { persistence, jobs } = context.var.backend;
  const runId = context.req.param("id");
  const progress = await runProgress(persistence, runId);
  if (progress === null) return context.notFound();
  const artifacts = await persistence.listArtifacts(runId);
  return context.json({
    ...progress,
    jobs: await jobs.getJobsByWorkflowRun(runId),
    annotations: await persistence.listAnnotations(runId),
    artifacts: artifacts.map(({ key, type, size }) => ({ key, type, size })),
  });
});

app.get("/report/:corpusId", async (context) => {
  const report = await loadReport(context.var.backend.persistence, context.req.param("corpusId"));
  if (report === null) return context.notFound();
  return context.body(report, 200, { "Content-Type": "text/markdown; charset=utf-8" });
});

/**
 * The relay of the outbox, in two steps: a reader publishes an event and only then marks it. So an
 * event may be published twice (after a crash in between), but is never lost; its run and sequence
 * tell which one it is.
 */
app.get("/events", async (context) => {
  return context.json(await context.var.backend.persistence.getUnpublishedOutboxEvents());
});

app.post("/events/published", async (context) => {
  const { ids } = z.object({ ids: z.array(z.string()) }).parse(await readJson(context.req));
  await context.var.backend.persistence.markOutboxEventsPublished(ids);
  return context.json({ published: ids.length });
});

app.get("/health", async (context) => {
  await context.var.backend.persistence.getRunStatus("health");
  return context.json({ ok: true });
});

app.get("/", (context) => {
  const own = app.routes.filter(({ method }) => method !== "ALL");
  return context.text(own.map(({ method, path }) => `${method} ${path}\n`).join(""));
});

app.onError((error, context) => {
  if (error instanceof RefusedError) return context.json(fault(error), error.status);
  if (error instanceof z.ZodError) return context.json(fault(error), 400);
  if (isServiceError(error)) {
    return context.json({ ...fault(error), code: error.code }, statusOf(error));
  }
  console.error(error);
  return context.json(fault(error), 500);
});

/** Null for a body that is not JSON; the check of the body says what should have been there. */
async function readJson(request: HonoRequest): Promise<unknown> {
  return await request.json().catch(() => null);
}

function open(env: Env): Backend {
  return connect(env.WORKFLOWS, { workerId: `documents-${crypto.randomUUID().slice(0, 8)}` });
}

/** 503 asks the caller to repeat the call. */
function statusOf({ code }: ServiceError): 413 | 500 | 503 {
  if (isRetryable(code)) return 503;
  return code === "PAYLOAD_TOO_LARGE" ? 413 : 500;
}

function fault(error: Error): { error: string } {
  return { error: error.message };
}

/** What the service's queue consumer calls. */
export class DocumentsHandler extends WorkerEntrypoint<Env> implements BoundJobHandler {
  async handleJob(job: DequeueResult): Promise<JobOutcome> {
    return await workJob(open(this.env), job);
  }

  async jobFailed(job: FailedDelivery): Promise<void> {
    await failRunOf(open(this.env), job);
  }
}

export default { fetch: app.fetch } satisfies ExportedHandler<Env>;
