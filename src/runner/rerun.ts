/** Runs a run again from one of its stages. */
import type { Change, Guard } from "../changes/index.ts";
import { ServiceError } from "../contract/index.ts";
import { noStage } from "../engine/names.ts";
import { nextStage } from "../engine/next.ts";
import type { Workflow } from "../engine/workflow.ts";
import { takesStages, tokenOf } from "../model/index.ts";
import { byText } from "../model/order.ts";
import type { OwnUnit } from "../persistence/connection-core.ts";
import { checkedAct, act, definitionOf, wrongStatus } from "./act.ts";
import { sourcesOf } from "./delivery.ts";
import { engineRunOf } from "./lease.ts";
import { event, jobRow, stageRow } from "./rows.ts";

export async function rerun(
  unit: OwnUnit,
  workflow: Workflow,
  id: string,
  from: string,
): Promise<void> {
  await act(unit, id, async (found, moment) => {
    const { row, run } = found;
    const { shape, version } = run.delivered;
    const definition = definitionOf(found, workflow);
    if (definition === null) {
      const message = `Run ${id} was started with version ${version} of ${row.workflowId}, whose stages no definition has`;
      throw new ServiceError("INVALID_ARGUMENT", message, { field: "workflow", version, shape });
    }
    const element = definition.plan.byId.get(from);
    if (element === undefined) {
      const message = noStage(definition.plan, from);
      throw new ServiceError("INVALID_ARGUMENT", message, { field: "from" });
    }
    if (row.status === "RUNNING" || row.status === "PENDING") {
      throw wrongStatus(id, row.status, "can be run again once it has ended or is paused");
    }
    const [stages, jobs] = await unit.read([
      {
        q: "stages",
        workflowRunId: id,
        status: null,
        beforeGroup: null,
        withoutNextPoll: false,
        descending: false,
        limit: null,
        omit: ["outputData", "suspendedState", "errorMessage", "metrics", "config"],
      },
      { q: "jobs", workflowRunId: id },
    ]);
    const before = stages.find(({ stageId }) => stageId === from);
    if (before === undefined) {
      throw new ServiceError("INVALID_ARGUMENT", `The run has not come to stage ${from} yet`, {
        field: "from",
      });
    }
    const { at } = moment;
    const { group } = element;
    const later = stages.filter(({ executionGroup }) => executionGroup > group);
    const carried = {
      // Of stages that an earlier rerun has not come to, the last job knows.
      ...engineRunOf(row, jobs.findLast(takesStages)?.payload)?.tried,
      ...Object.fromEntries(
        later.flatMap(({ stageId, attempt }) => {
          const planned = definition.plan.byId.get(stageId);
          return planned === undefined ? [] : [[planned.number, attempt]];
        }),
      ),
    };
    const again = stages.filter(
      ({ executionGroup, stageId, status }) =>
        executionGroup === group &&
        (stageId === from || (status !== "COMPLETED" && status !== "SKIPPED")),
    );
    const inputs = sourcesOf(before.inputData);
    const entries = again.flatMap(({ stageId, attempt: tried }) => {
      const planned = definition.plan.byId.get(stageId);
      if (planned === undefined) return [];
      const stage = nextStage(planned, { decides: planned.kind === "conditional" });
      const coming = { run, stage, group, from: inputs, tried };
      return [
        {
          stage: stageRow(coming, moment, {}),
          job: jobRow({ ...run, tried: carried }, stage, moment),
        },
      ];
    });
    // A stage of a paused run may end while this is written.
    const tokens = stages.toSorted(byText(({ stageId }) => stageId)).map(tokenOf);
    const guards: Guard[] = [
      { on: "list", list: "stages", workflowRunId: id, status: null, tokens: tokens.join(",") },
    ];
    const changes = checkedAct("rerun", [
      { kind: "cancelJobs", workflowRunId: id, leased: true, at },
      { kind: "archiveStages", workflowRunId: id, stageId: from, group, at },
      {
        kind: "updateRun",
        id,
        set: { status: "RUNNING", completedAt: null, duration: null, output: null },
        at,
        bump: 1,
      },
      ...entries.map(({ stage }): Change => ({ kind: "createStage", row: stage })),
      event(run, at, "workflow:rerun", { from }),
      ...entries.map(({ job }): Change => ({ kind: "enqueueJob", row: job })),
    ]);
    return { changes, guards };
  });
}
