/** The Worker of the benchmarks: every contestant is in it, so that one process runs them all. */
import type { Path, Protocol } from "../protocol.ts";
import { timeCommits } from "./commits.ts";
import type { Env } from "./env.ts";
import { FLOOR_TABLES } from "./floor.ts";
import { FLOOR_JOB_TABLES, timeJobs } from "./jobs.ts";
import { consume, timeQueue } from "./queue.ts";
import { setUpRoutes, timeRoute } from "./routes.ts";
import { costOf, sizeOf, timeRuns } from "./runs.ts";
import { setUpTanstack } from "./tanstack.ts";

export { Stages } from "./engine.ts";
export { Coordinator, EngineCoordinator } from "./ours.ts";
export { BenchWorkflow } from "./workflows.ts";

type Handlers = {
  [P in Path]: (env: Env, ask: Protocol[P]["ask"]) => Promise<Protocol[P]["answer"]>;
};

const HANDLERS: Handlers = {
  "/setup": setUp,
  "/runs": timeRuns,
  "/cost": costOf,
  "/size": sizeOf,
  "/jobs": timeJobs,
  "/queue": timeQueue,
  "/route": timeRoute,
  "/commits": timeCommits,
};

async function setUp(env: Env, { migrations }: Protocol["/setup"]["ask"]): Promise<null> {
  const execute = (db: D1Database, statements: readonly string[]) =>
    db.batch(statements.map((sql) => db.prepare(sql)));
  await execute(env.FLOOR, [...FLOOR_TABLES, ...FLOOR_JOB_TABLES]);
  await setUpTanstack(env.TANSTACK);
  await execute(env.DB, migrations);
  await execute(env.SERVICE_DB, migrations);
  await execute(env.ENGINE, migrations);
  await execute(env.ENGINE_SERVICE_DB, migrations);
  await setUpRoutes(env);
  return null;
}

const isPath = (pathname: string): pathname is Path => Object.hasOwn(HANDLERS, pathname);

async function answer<P extends Path>(env: Env, path: P, request: Request): Promise<Response> {
  const handler: Handlers[P] = HANDLERS[path];
  try {
    return Response.json(await handler(env, await request.json<Protocol[P]["ask"]>()));
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return new Response(text, { status: 500 });
  }
}

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    // The service has no port of its own.
    if (pathname.startsWith("/v1/")) return env.SERVICE.fetch(request);
    return isPath(pathname) ? answer(env, pathname, request) : new Response("ready");
  },
  queue: consume,
} satisfies ExportedHandler<Env>;
