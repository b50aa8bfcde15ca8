/**
 * The app: a Worker that owns no storage. It starts and reads runs through the service that it is bound
 * to, and the service calls it back, at `Stages`, for every stage.
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
import { Hono, type HonoRequest } from "hono";
import { HTTPException } from "hono/http-exception";
import {
  type Backend,
  connect,
  isRetryable,
  isServiceError,
  type ServiceError,
  type WorkflowPersistence,
  type WorkflowStageRecord,
} from "workflow-engine-cloudflare/client";
import { runsOf } from "workflow-engine-cloudflare/engine";
import { StageWorker } from "workflow-engine-cloudflare/engine/worker";
import * as z from "zod";
import {
  Corpus,
  CORPUS_BYTES_MAX,
  type CorpusProgress,
  corpusTooLarge,
  DOCUMENT_BYTES_MAX,
  documentTooLarge,
  isOver,
  type RunProgress,
  type StageProgress,
  type SubmittedCorpus,
} from "./api.ts";
import { corpus, documents, REPORT_KEY } from "./pipeline.ts";

/** What the service calls. */
export class Stages extends StageWorker {
  workflows = [documents, corpus];
}

const app = new Hono<{ Bindings: Cloudflare.Env; Variables: { backend: Backend } }>();

/** One connection per request: it is one RPC session. */
app.use(async (context, next) => {
  context.set("backend", connect(context.env.WORKFLOWS));
  await next();
});

app.post("/corpus", async (context) => {
  const given = readCorpus(await readJson(context.req));
  const key = context.req.header("Idempotency-Key") ?? crypto.randomUUID();
  return context.json(await submit(context.var.backend, given, key), 201);
});

app.get("/corpus/:id", async (context) => {
  const progress = await corpusProgress(context.var.backend, context.req.param("id"));
  return progress === null ? context.notFound() : context.json(progress);
});

app.get("/runs/:id", async (context) => {
  const { persistence, jobs } = context.var.backend;
  const runId = context.req.param("id");
  const run = await persistence.getRun(runId);
  if (run === null) return context.notFound();
  const name = z.object({ path: z.string() }).safeParse(run.input).data?.path ?? "corpus";
  const artifacts = await persistence.listArtifacts(runId);
  return context.json({
    ...(await runProgress(persistence, { runId, name })),
    jobs: await jobs.getJobsByWorkflowRun(runId),
    annotations: await persistence.listAnnotations(runId),
    artifacts: artifacts.map(({ key, type, size }) => ({ key, type, size })),
  });
});

app.get("/report/:corpusId", async (context) => {
  const { persistence } = context.var.backend;
  const report = await persistence.loadArtifact(context.req.param("corpusId"), REPORT_KEY);
  if (typeof report !== "string") return context.notFound();
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
  if (error instanceof HTTPException) return context.json(fault(error), error.status);
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

/** Throws with a sentence for the sender. */
function readCorpus(body: unknown): z.infer<typeof Corpus> {
  const parsed = Corpus.safeParse(body);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new HTTPException(400, {
      message: `${issue?.path.join(".") || "body"}: ${issue?.message}`,
    });
  }
  let total = 0;
  for (const { path, text } of parsed.data.documents) {
    const bytes = new TextEncoder().encode(text).length;
    total += bytes;
    if (bytes > DOCUMENT_BYTES_MAX) {
      throw new HTTPException(413, { message: documentTooLarge(path, bytes) });
    }
  }
  if (total > CORPUS_BYTES_MAX) throw new HTTPException(413, { message: corpusTooLarge(total) });
  return parsed.data;
}

/**
 * Starts the runs of a corpus, each once per key: so it may be repeated after any interruption. If it
 * never is, the corpus gives up its wait for the documents, and fails.
 */
async function submit(
  backend: Backend,
  given: z.infer<typeof Corpus>,
  key: string,
): Promise<SubmittedCorpus> {
  const runs = runsOf(backend);
  const run = await runs.start(corpus, { documents: given.documents.length }, { key });
  const listed = await Promise.all(
    given.documents.map(async (document, place) => {
      const input = { ...document, corpusId: run.id };
      const { id } = await runs.start(documents, input, { key: `${run.id}/${place}` });
      return { runId: id, path: document.path };
    }),
  );
  // A run that has ended takes no signal.
  if ((await run.outputOf("documents")) === undefined) {
    await run.signal("documents", listed, { key: "submitted" });
  }
  return { corpusId: run.id, documents: listed };
}

/** Null for an unknown corpus. */
async function corpusProgress(backend: Backend, corpusId: string): Promise<CorpusProgress | null> {
  const { persistence } = backend;
  if ((await persistence.getRunStatus(corpusId)) === null) return null;
  const listed = await runsOf(backend).get(corpus, corpusId).outputOf("documents");
  const named = [
    ...(listed?.received === true ? listed.payload : []),
    { runId: corpusId, path: "corpus" },
  ];
  const runs = await Promise.all(
    named.map(async ({ runId, path }) => runProgress(persistence, { runId, name: path })),
  );
  return { corpusId, done: runs.every(({ status }) => isOver(status)), runs };
}

async function runProgress(
  persistence: WorkflowPersistence,
  run: Pick<RunProgress, "runId" | "name">,
): Promise<RunProgress> {
  // In this order: the stages of a run that is over change no more.
  const status = (await persistence.getRunStatus(run.runId)) ?? "PENDING";
  const stages = await persistence.getStagesByRun(run.runId);
  return { ...run, status, stages: stages.map(stageProgress) };
}

function stageProgress(stage: WorkflowStageRecord): StageProgress {
  const { stageId, stageName, executionGroup, status, duration } = stage;
  const said = status === "SUSPENDED" ? stage.suspendedState : stage.outputData;
  const note = z.object({ note: z.string() }).safeParse(said).data?.note ?? stage.errorMessage;
  return {
    id: stageId,
    name: stageName,
    group: executionGroup,
    status,
    note,
    durationMs: duration,
  };
}

/** 503 asks the caller to repeat the call. */
function statusOf({ code }: ServiceError): 400 | 409 | 413 | 500 | 503 {
  if (code === "ALREADY_EXISTS") return 409;
  if (code === "INVALID_ARGUMENT") return 400;
  if (code === "PAYLOAD_TOO_LARGE") return 413;
  return isRetryable(code) ? 503 : 500;
}

function fault(error: Error): { error: string } {
  return { error: error.message };
}

export default { fetch: app.fetch } satisfies ExportedHandler<Cloudflare.Env>;
