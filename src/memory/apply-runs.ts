/** Changes of runs and stages. Pure. */
import {
  attendAtOf,
  type ChangeOf,
  type RunSet,
  type StageRow,
  type StageSet,
} from "../changes/index.ts";
import { isLive } from "./queries-jobs.ts";
import { checkFits, type Writer } from "./writer.ts";

/** Without the members that leave their column alone. */
function given(set: RunSet | StageSet) {
  return Object.fromEntries(Object.entries(set).filter(([, value]) => value !== undefined));
}

export function createRun(writer: Writer, { row }: ChangeOf<"createRun">): void {
  writer.create("runs", { ...row, commits: writer.commitId });
}

export function updateRun(writer: Writer, change: ChangeOf<"updateRun">): void {
  const row = writer.state.runs.get(change.id, "");
  if (row === undefined) return;
  writer.put("runs", {
    ...row,
    ...given(change.set),
    updatedAt: change.at,
    version: row.version + change.bump,
    commits: writer.stamp(row.commits),
  });
  const { status } = change.set;
  if (status === undefined || !isLive({ status })) return;
  // The run may have been finished.
  for (const stage of writer.state.stages.part(row.id).values()) {
    if (stage.attendAt === null) writer.put("stages", { ...stage, attendAt: attendAtOf(stage) });
  }
}

export function createStage(writer: Writer, { row }: ChangeOf<"createStage">): void {
  writer.create("stages", { ...row, attendAt: attendAtOf(row), commits: writer.commitId });
}

export function updateStage(writer: Writer, change: ChangeOf<"updateStage">): void {
  const row = writer.state.stages.get(change.workflowRunId, change.stageId);
  if (row !== undefined) setStage(writer, row, change);
}

export function upsertStage(writer: Writer, { row, set }: ChangeOf<"upsertStage">): void {
  checkFits("stages", row);
  const found = writer.state.stages.get(row.workflowRunId, row.stageId);
  if (found === undefined)
    writer.put("stages", { ...row, attendAt: attendAtOf(row), commits: writer.commitId });
  else setStage(writer, found, { set, at: row.updatedAt, bump: 1 });
}

type StageUpdate = Pick<ChangeOf<"updateStage">, "set" | "at" | "bump">;

function setStage(writer: Writer, row: StageRow, { set, at, bump }: StageUpdate): void {
  const values: StageRow = { ...row, ...given(set) };
  writer.put("stages", {
    ...values,
    attendAt: (set.status ?? set.nextPollAt) === undefined ? row.attendAt : attendAtOf(values),
    updatedAt: at,
    version: row.version + bump,
    commits: writer.stamp(row.commits),
  });
}

export function attendStage(writer: Writer, change: ChangeOf<"attendStage">): void {
  const row = writer.state.stages.get(change.workflowRunId, change.stageId);
  if (row === undefined || row.attendAt === null) return;
  writer.put("stages", { ...row, attendAt: change.dueAt });
}

/**
 * The pair names the stage; its record id, what refers to it. A guard of the commit says that they
 * belong together.
 */
export function deleteStage(writer: Writer, change: ChangeOf<"deleteStage">): void {
  const { state } = writer;
  const run = change.workflowRunId;
  const row = state.stages.get(run, change.stageId);
  if (row !== undefined) writer.remove("stages", row);
  // A Map may be written while it is walked: an entry that is replaced is not visited again.
  for (const log of state.logs.part(run).values()) {
    if (log.workflowStageId === change.id) writer.remove("logs", log);
  }
  for (const artifact of state.artifacts.part(run).values()) {
    if (artifact.workflowStageId !== change.id) continue;
    const commits = writer.stamp(artifact.commits);
    writer.put("artifacts", { ...artifact, workflowStageId: null, commits });
  }
  for (const annotation of state.annotations.part(run).values()) {
    if (annotation.workflowStageRecordId !== change.id) continue;
    const commits = writer.stamp(annotation.commits);
    writer.put("annotations", { ...annotation, workflowStageRecordId: null, commits });
  }
}
