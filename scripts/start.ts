/**
 * `npm start`: local migrations, the service and the example app under `wrangler dev`, real
 * documents through the pipeline, the report, and everything stopped again.
 */
import { randomUUID } from "node:crypto";
import type { CorpusProgress } from "../examples/documents/src/api.ts";
import { AppClient, follow } from "./app-client.ts";
import { readArguments, type StartArguments, USAGE } from "./arguments.ts";
import { command, whenAbandoned } from "./complaint.ts";
import { devToken } from "./dev-token.ts";
import { DevProcesses, requirePort } from "./dev-processes.ts";
import { chooseDisplay } from "./display.ts";
import { requireFolder } from "./folders.ts";
import { installedReadmes, readDocuments } from "./documents.ts";
import { DEFAULT_STATE } from "./wrangler.ts";

/** In production the sweep runs every minute. Here a restart loses messages, and a person waits. */
const SWEEP_EVERY_MS = 2_000;

async function main(args: readonly string[]): Promise<void> {
  const options = readArguments(args, process.env);
  if (options.help) console.log(USAGE);
  else await start(options);
}

async function start(options: StartArguments): Promise<void> {
  const { files, servicePort, appPort } = options;
  const documents = files.length === 0 ? await installedReadmes() : await readDocuments(files);
  await requireFolder("--state", options.stateDir);
  await requirePort(servicePort, "npm start -- --service-port");
  await requirePort(appPort, "npm start -- --app-port");
  const { token, apiTokens } = await devToken();
  const processes = await DevProcesses.create({ ...options, apiTokens });
  stopOnSignals(processes);
  try {
    await run(options, processes, documents, token);
  } catch (error) {
    // After a signal the processes are stopped, and calls to them fail.
    if (!processes.stopped) throw error;
  } finally {
    await processes.stop();
  }
}

async function run(
  options: StartArguments,
  processes: DevProcesses,
  documents: Awaited<ReturnType<typeof readDocuments>>,
  token: string,
): Promise<void> {
  say("Applying the migrations to the local database ...");
  await processes.migrate();
  say("Starting the service ...");
  await processes.startService();
  say("Starting the app ...");
  await processes.startApp();
  say(`\nService  http://localhost:${options.servicePort}   its tables: ${explorer(options)}`);
  say(`App      http://localhost:${options.appPort}\n`);

  const app = new AppClient(processes.appUrl);
  const submitted = await app.submit(documents, randomUUID());
  const { corpusId } = submitted;
  const names = new Map([
    ...submitted.documents.map(({ runId, path }) => [runId, path] as const),
    [corpusId, "corpus"] as const,
  ]);
  say(
    `${documents.length} documents submitted as ${corpusId}: a run each, and one for the corpus.\n`,
  );
  const display = chooseDisplay(process.stdout, names);
  let done = false;
  const sweeping = processes.keepSweeping(SWEEP_EVERY_MS, () => done || processes.stopped);
  const progress = await follow(app, {
    corpusId,
    onProgress: (now) => display.progress(now),
    onEvent: (event) => display.event(event),
  });
  done = !options.keep;
  if (done) await sweeping;
  if (progress.runs.some((finished) => finished.status !== "COMPLETED")) process.exitCode = 1;
  const reported = progress.runs.at(-1)?.status === "COMPLETED";
  say(reported ? `\n${await app.report(corpusId)}` : "\nThere is no report.\n");
  say(whereToLook(options, progress, token));
  if (!options.keep) return;
  say("\nBoth Workers keep running. Ctrl-C stops them.");
  await new Promise(() => {});
}

function whereToLook(options: StartArguments, { runs }: CorpusProgress, token: string): string {
  const again = options.keep ? "" : "npm start -- --keep, then ";
  const state = options.stateDir === DEFAULT_STATE ? "" : `--persist-to ${options.stateDir} `;
  const stages = runs.flatMap((each) => each.stages).length;
  const sql = `SELECT workflow_run_id, stage_id, status, duration FROM stages ORDER BY created_at DESC LIMIT ${stages}`;
  return [
    "Where to look further",
    `  All stages  npx wrangler d1 execute DB --local ${state}--command "${sql}"`,
    `  Stranded?   npm run audit${options.stateDir === DEFAULT_STATE ? "" : ` -- --state ${options.stateDir}`}`,
    `  Tables      ${again}${explorer(options)}`,
    `  HTTP API    ${again}http://localhost:${options.servicePort}/docs, or curl -H "Authorization: Bearer ${token}" http://localhost:${options.servicePort}/v1/jobs/stats`,
    `  One run     ${again}curl http://localhost:${options.appPort}/runs/${runs[0]?.runId}`,
    "  Own files   npm start -- FILE...",
    "  The code    examples/documents/src/pipeline.ts, and docs/engine.md for what runs it",
  ].join("\n");
}

function explorer(options: StartArguments): string {
  return `http://localhost:${options.servicePort}/cdn-cgi/local/explorer`;
}

/**
 * The children have process groups of their own, so that a Ctrl-C reaches only this process, and this
 * process ends them. A second Ctrl-C does not wait for them to end in order.
 */
function stopOnSignals(processes: DevProcesses): void {
  const stop = (code: number): void => {
    if (processes.stopped) process.exit(code);
    say("\nStopping ...");
    void processes.stop().finally(() => process.exit(code));
  };
  process.on("SIGINT", () => stop(130));
  process.on("SIGTERM", () => stop(143));
  process.on("SIGHUP", () => stop(129));
  whenAbandoned(() => {
    if (!processes.stopped) stop(143);
  });
}

function say(text: string): void {
  console.log(text);
}

await command(() => main(process.argv.slice(2)));
