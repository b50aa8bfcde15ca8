/** Plays a workflow once for each death of a worker, and compares how the runs end. */
import type { InputOf, Workflow } from "../../engine/workflow.ts";
import type { AuditFinding } from "../../contract/index.ts";
import type { RunOutput } from "../../engine/runs.ts";
import { Course } from "./course.ts";
import { WaitsForSignal } from "./ended.ts";
import { DEATHS, type Fault } from "./mortal-store.ts";
import type { TestRun, TestRunOptions } from "./test-run.ts";

/** How a run ended, as far as deaths must not change it. */
interface Ending {
  readonly output: RunOutput<unknown>;
  /** Where a stage has ended the run as FAILED: that stage, and the stages beside it. */
  readonly failed: { readonly stage: string; readonly siblings: readonly string[] } | null;
  /** The results that were accepted, as "links stage:completed": one for each attempt that ended. */
  readonly accepted: readonly string[];
  readonly audit: readonly AuditFinding[];
}

/** Answers the undisturbed run. */
export async function playEverywhere<W extends Workflow>(
  workflow: W,
  input: InputOf<W>,
  options: TestRunOptions<W>,
): Promise<TestRun<W>> {
  // The same in all runs: instants and ids may show in outputs.
  const same = { ...options, now: options.now ?? Date.now(), key: options.key ?? "test" };
  const undisturbed = await Course.started(workflow, input, same);
  const expected = await played(workflow, undisturbed, same).catch((error: unknown) => {
    if (options.script !== undefined || !(error instanceof WaitsForSignal)) throw error;
    const message = `${error.message}; for crash: "everywhere" this needs a script`;
    throw new Error(message, { cause: error });
  });
  for (const [commit, kinds] of undisturbed.commits.entries()) {
    for (const death of DEATHS) {
      const course = await Course.started(workflow, input, same, { commit, death });
      const what = told({ commit, death }, kinds, undisturbed.commits.length);
      undisturbed.deaths += 1;
      const actual = await played(workflow, course, same).catch((error: unknown) => {
        throw new Error(`${what}: ${messageOf(error)}`, { cause: error });
      });
      const difference = differenceOf(expected, actual);
      if (difference !== null) throw new Error(`${what}: ${difference}`);
    }
  }
  return undisturbed;
}

async function played<W extends Workflow>(
  workflow: W,
  course: Course<W>,
  { script }: TestRunOptions<W>,
): Promise<Ending> {
  await script?.(course);
  const output = await course.end();
  const failed = output.status === "FAILED" ? failedIn(course, workflow) : null;
  // Deaths decide which of the stages beside the one that fails come to an end before it.
  const accepted = course.events
    .filter(({ type }) => /^stage:(?:completed|skipped|failed)$/.test(type))
    .filter(({ stage }) => stage === null || failed?.siblings.includes(stage) !== true)
    .map(({ type, stage }) => `${stage === failed?.stage ? groupOf(failed) : stage} ${type}`)
    .toSorted();
  return { output, failed, accepted, audit: await course.backend.audit() };
}

function failedIn<W extends Workflow>({ events }: Course<W>, { plan }: W): Ending["failed"] {
  const stage = events.findLast(({ type }) => type === "workflow:failed")?.stage ?? null;
  const element = stage === null ? undefined : plan.byId.get(stage);
  if (stage === null || element === undefined) return null;
  const ids = (plan.groups[element.group - 1] ?? []).map(({ id }) => id);
  return { stage, siblings: ids.filter((id) => id !== stage) };
}

function groupOf({ stage, siblings }: NonNullable<Ending["failed"]>): string {
  return [stage, ...siblings].toSorted().join(" or ");
}

function differenceOf(expected: Ending, ended: Ending): string | null {
  // Of several that fail in a group, any may be the first: its reason is the run's.
  const isOther = ended.failed !== null && expected.failed?.siblings.includes(ended.failed.stage);
  const actual = isOther === true ? { ...ended, output: expected.output } : ended;
  for (const part of ["output", "accepted", "audit"] as const) {
    const [before, after] = [JSON.stringify(expected[part]), JSON.stringify(actual[part])];
    if (before !== after) return `${WORDS[part]} ${after} instead of ${before}`;
  }
  return null;
}

const WORDS = {
  output: "the run ended with",
  accepted: "the accepted results were",
  audit: "what nothing moves on any more was",
} as const;

function told({ commit, death }: Fault, kinds: string, count: number): string {
  const what = `commit ${commit + 1} of ${count} (${kinds})`;
  return death === "answer lost"
    ? `When the answer of ${what} was lost`
    : `When the worker died ${death} ${what}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
