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
import { type Awaiting, outputOf, stageOutput } from "./output.ts";
import type { Hears } from "./over.ts";
import { rerun } from "./rerun.ts";
import { start, type StartingWorker } from "./start.ts";
import { cancel, pause, resume, sendSignal } from "./steer.ts";

export interface RunsOptions {
  readonly worker?: StartingWorker;
  /** Waits for the end of a run on the stream of its events. */
  readonly hears?: Hears;
}

/** The runs of typed workflows, over a connection. */
export function runsOf(connection: Backend, { worker, hears }: RunsOptions = {}): Runs {
  const unit = unitOf(connection);
  const hearing = hears === undefined ? {} : { hears };
  return {
    async start<W extends Workflow>(workflow: W, input: InputOf<W>, options?: StartOptions<W>) {
      const { id, worked } = await start({ unit, worker }, workflow, input, options);
      return runOf(unit, workflow, id, worked === undefined ? hearing : { ...hearing, worked });
    },
    get: (workflow, id) => runOf(unit, workflow, requireField(idField, id, "id"), hearing),
  };
}

/** `worked`: resolves when the invocation that started the run has gone as far as it goes, with its end. */
function runOf<W extends Workflow>(unit: OwnUnit, workflow: W, id: string, how: Awaiting): Run<W> {
  return {
    id,
    signal: async (name, payload, options) =>
      sendSignal(unit, workflow, id, name, payload, options),
    output: async (options) => outputOf(unit, workflow, id, options, how),
    outputOf: async (stageId) => stageOutput(unit, id, stageId),
    rerun: async ({ from }) => rerun(unit, workflow, id, from),
    cancel: async (reason) => cancel(unit, id, reason),
    pause: async () => pause(unit, id),
    resume: async () => resume(unit, id),
  };
}
