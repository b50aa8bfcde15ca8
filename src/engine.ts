/**
 * `workflow-engine-cloudflare/engine`: defines typed workflows, and starts and steers their runs over a
 * connection. Imports nothing of the platform, so workflows are defined and tested in plain Node.
 * Wiring only.
 */
import { untilOver } from "./client/until-over.ts";
import type { Backend } from "./contract/index.ts";
import type { Runs } from "./engine/runs.ts";
import { runsOf as runsOver } from "./runner/runs.ts";

export * from "./engine/index.ts";

/**
 * The runs of typed workflows, over a connection: `connect(env.WORKFLOWS)`, `embed(env)`, or one of the
 * others.
 * @throws INVALID_ARGUMENT for a connection that this package did not make.
 * @example
 * import * as z from "zod";
 * import { connect } from "workflow-engine-cloudflare/client";
 * import { runsOf, workflow } from "workflow-engine-cloudflare/engine";
 *
 * const hello = workflow("hello", { input: z.object({ name: z.string() }) })
 *   .stage("greet", ({ input }) => `Hello ${input.name}`)
 *   .build();
 * const runs = runsOf(connect(env.WORKFLOWS));
 * const run = await runs.start(hello, { name: "Ada" }, { key: "ada" });
 * console.log(await run.output({ within: "30s" }));
 */
export function runsOf(connection: Backend): Runs {
  return runsOver(connection, { hears: untilOver });
}
