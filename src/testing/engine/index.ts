/**
 * `workflow-engine-cloudflare/engine/testing`: runs a workflow in a test, in memory and with no
 * waiting, and lets its workers die. Plain Node, any test runner. It is the engine itself over maps:
 * the same transitions, retries, leases and sweep as over D1.
 */
import type { Workflow, InputOf } from "../../engine/workflow.ts";
import { requireBuilt } from "../../engine/definition.ts";
import { playEverywhere } from "./crash.ts";
import { Course } from "./course.ts";
import type { TestRun, TestRunOptions } from "./test-run.ts";
import { withStages } from "./replaced.ts";

export type {
  StageFake,
  StageFakes,
  TestEvent,
  TestLog,
  TestRun,
  TestRunOptions,
  TestStage,
} from "./test-run.ts";

/**
 * Starts a run of the workflow. Nothing of it runs yet: `until`, `advance` and `output` take it on.
 *
 * With `crash: "everywhere"` the workflow is played through to its end once undisturbed, and then
 * three times for each commit that its workers make: a worker dies before the commit, dies after it,
 * or loses its answer. After that only time helps. Each of these runs must end as the undisturbed one
 * did, with as many accepted results. `script` drives each of them; without one they run straight to
 * their end. What the script and the stages keep outside the run is shared by all of these runs.
 * @throws INVALID_ARGUMENT as a start does, and for a replacement of what is no stage, or a workflow
 * that is not built.
 * @throws Error that names the commit and the death after which a run ended in another way.
 * @example
 * import * as z from "zod";
 * import { workflow } from "workflow-engine-cloudflare/engine";
 *
 * const asks = workflow("asks", { input: z.object({ text: z.string() }) })
 *   .stage("draft", ({ input }) => input.text)
 *   .waitFor("approval", { payload: z.object({ ok: z.boolean() }), within: "3d" })
 *   .stage("publish", ({ input }) => input.received && input.payload.ok)
 *   .build();
 *
 * const t = await testRun(asks, { text: "Hi" }, { stages: { draft: () => "Hello" } });
 * await t.until("approval");
 * await t.advance("1d");
 * await t.signal("approval", { ok: true });
 * console.log(await t.output()); // true
 */
export async function testRun<W extends Workflow>(
  workflow: W,
  input: InputOf<W>,
  options: TestRunOptions<W> = {},
): Promise<TestRun<W>> {
  const { stages = {}, script, crash } = options;
  requireBuilt(workflow);
  const played = withStages(workflow, stages);
  if (crash === "everywhere") return playEverywhere(played, input, options);
  const course = await Course.started(played, input, options);
  await script?.(course);
  return course;
}
