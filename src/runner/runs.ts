/**
 * `runs`: starts and steers the runs of typed workflows, over any connection. What each act does stands
 * in the file of its name.
 */
import type { Backend } from "../contract/index.ts";
import type { Run, Runs, StartOptions } from "../engine/runs.ts";
import type { InputOf, Workflow } from "../engine/workflow.ts";
import { idField } from "../model/fields.ts";
import { type OwnUnit, unitOf } from "../persistence/connection-core.ts";
import { requireField } from "./act.ts";
import { outputOf, stageOutput } from "./output.ts";
import { rerun } from "./rerun.ts";
import { start, type StartingWorker } from "./start.ts";
import { cancel, pause, resume, sendSignal } from "./steer.ts";

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
export function runsOf(connection: Backend, worker?: StartingWorker): Runs {
  const unit = unitOf(connection);
  return {
    async start<W extends Workflow>(workflow: W, input: InputOf<W>, options?: StartOptions<W>) {
      const { id, worked } = await start({ unit, worker }, workflow, input, options);
      return runOf(unit, workflow, id, worked);
    },
    get: (workflow, id) => runOf(unit, workflow, requireField(idField, id, "id")),
  };
}

/** `worked`: resolves when the invocation that started the run has gone as far as it goes. */
function runOf<W extends Workflow>(
  unit: OwnUnit,
  workflow: W,
  id: string,
  worked?: Promise<void>,
): Run<W> {
  return {
    id,
    signal: async (name, payload, options) =>
      sendSignal(unit, workflow, id, name, payload, options),
    output: async (options) => outputOf(unit, id, options, worked),
    outputOf: async (stageId) => stageOutput(unit, id, stageId),
    rerun: async ({ from }) => rerun(unit, workflow, id, from),
    cancel: async (reason) => cancel(unit, id, reason),
    pause: async () => pause(unit, id),
    resume: async () => resume(unit, id),
  };
}
