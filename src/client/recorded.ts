/**
 * What a transaction has written, as the changes of its commit. A row that the transaction itself inserts is
 * written once, as it is in the end; updates of one other row become one.
 */
import type { Change, ChangeOf } from "../changes/index.ts";
import type { State } from "../memory/state.ts";

export class Recorded {
  count = 0;
  readonly #deleteStages = new Map<string, ChangeOf<"deleteStage">>();
  readonly #runs = new Set<string>();
  readonly #updateRuns = new Map<string, ChangeOf<"updateRun">>();
  readonly #stages = new Map<string, { workflowRunId: string; stageId: string }>();
  readonly #updateStages = new Map<string, ChangeOf<"updateStage">>();
  #artifacts: (ChangeOf<"saveArtifact"> | ChangeOf<"deleteArtifact">)[] = [];
  #annotations: ChangeOf<"appendAnnotation">[] = [];
  #logs: ChangeOf<"createLog">[] = [];
  readonly #events = new Map<string, { workflowRunId: string; sequence: number }>();
  readonly #eventUpdates: Change[] = [];
  readonly #keys: Change[] = [];
  readonly #jobs = new Map<string, { workflowRunId: string; ordinal: string }>();
  readonly #jobUpdates: Change[] = [];

  /** Notes a change that has just been applied to the local copy. */
  add(change: Change): void {
    this.count += 1;
    switch (change.kind) {
      case "createRun":
        this.#runs.add(change.row.id);
        break;
      case "updateRun":
        if (!this.#runs.has(change.id)) merge(this.#updateRuns, change.id, change);
        break;
      case "createStage":
        this.#stages.set(name(change.row.workflowRunId, change.row.stageId), change.row);
        break;
      case "updateStage": {
        const stage = name(change.workflowRunId, change.stageId);
        if (!this.#stages.has(stage)) merge(this.#updateStages, stage, change);
        break;
      }
      case "deleteStage":
        this.#deleteStage(change);
        break;
      case "saveArtifact":
      case "deleteArtifact":
        this.#artifacts.push(change);
        break;
      case "appendAnnotation":
        this.#annotations.push(change);
        break;
      case "createLog":
        this.#logs.push(change);
        break;
      case "publishOutboxEvent":
      case "countOutboxRetry":
      case "deadLetterOutboxEvent":
      case "replayOutboxEvent":
        if (!this.#events.has(name(change.workflowRunId, change.sequence))) {
          this.#eventUpdates.push(change);
        }
        break;
      case "acquireIdempotencyKey":
      case "completeIdempotencyKey":
      case "releaseIdempotencyKey":
        this.#keys.push(change);
        break;
      case "enqueueJob":
        this.#jobs.set(name(change.row.workflowRunId, change.row.ordinal), change.row);
        break;
      case "completeJob":
      case "suspendJob":
      case "failJob":
      case "returnJob":
      case "touchJob":
      case "releaseJob":
        if (!this.#jobs.has(name(change.workflowRunId, change.ordinal))) {
          this.#jobUpdates.push(change);
        }
        break;
      case "cancelJobs":
        this.#jobUpdates.push(change);
        break;
      case "appendOutboxEvent":
      // Noted with its sequence, by addEvent.
      case "upsertStage":
      case "claimJobs":
      case "resumeJobs":
      case "putBackFailure":
      case "attendStage":
      case "recordAiCall":
      case "purgeExpired":
        // A transaction resolves the first, and never sees the others.
        break;
    }
  }

  addEvent(workflowRunId: string, sequence: number): void {
    this.#events.set(name(workflowRunId, sequence), { workflowRunId, sequence });
  }

  ownsEvent(workflowRunId: string, sequence: number): boolean {
    return this.#events.has(name(workflowRunId, sequence));
  }

  #deleteStage(change: ChangeOf<"deleteStage">): void {
    const stage = name(change.workflowRunId, change.stageId);
    this.#updateStages.delete(stage);
    // A stage that this transaction created never reaches the database.
    if (!this.#stages.delete(stage)) this.#deleteStages.set(stage, change);
    // Deletions come first in the commit, so what was written before reaches back here.
    this.#artifacts = this.#artifacts.map((earlier) => withoutStage(earlier, change.id));
    this.#annotations = this.#annotations.map((earlier) => withoutStage(earlier, change.id));
    this.#logs = this.#logs.filter((earlier) => earlier.row.workflowStageId !== change.id);
  }

  /** The changes of the commit. An order in which each finds what it needs, and neighbours share a statement. */
  changes(local: State): Change[] {
    return [
      ...this.#deleteStages.values(),
      ...[...this.#runs].flatMap((id) =>
        insert(local.runs.get(id, ""), (row) => ({ kind: "createRun", row })),
      ),
      ...this.#updateRuns.values(),
      ...[...this.#stages.values()].flatMap(({ workflowRunId, stageId }) =>
        insert(local.stages.get(workflowRunId, stageId), (row) => ({ kind: "createStage", row })),
      ),
      ...this.#updateStages.values(),
      ...this.#artifacts,
      ...this.#annotations,
      ...this.#logs,
      // Before the appended ones, whose sequences these do not mean.
      ...this.#eventUpdates,
      ...[...this.#events.values()].flatMap(({ workflowRunId, sequence }) =>
        insert(
          local.outboxEvents.get(workflowRunId, String(sequence)),
          ({ sequence: _, ...row }) => ({
            kind: "appendOutboxEvent",
            row,
          }),
        ),
      ),
      ...this.#keys,
      ...this.#jobUpdates,
      ...[...this.#jobs.values()].flatMap(({ workflowRunId, ordinal }) =>
        insert(local.jobs.get(workflowRunId, ordinal), (row) => ({ kind: "enqueueJob", row })),
      ),
    ];
  }
}

function name(part: string, key: string | number): string {
  return `${part}\0${key}`;
}

/** Columns that the store gives a row. */
interface Kept {
  readonly commits: string;
  readonly attendAt?: number | null;
  readonly resumeAt?: number | null;
  readonly handOverAt?: number | null;
}

function insert<Row extends Kept>(
  row: Row | undefined,
  change: (row: Omit<Row, keyof Kept>) => Change,
): Change[] {
  if (row === undefined) return [];
  const { commits: _, attendAt: __, resumeAt: ___, handOverAt: ____, ...values } = row;
  return [change(values)];
}

/** Two updates of one row as one: the later value of each column, and both steps of the version. */
function merge<C extends ChangeOf<"updateRun"> | ChangeOf<"updateStage">>(
  updates: Map<string, C>,
  key: string,
  change: C,
): void {
  const earlier = updates.get(key);
  updates.set(
    key,
    earlier === undefined
      ? change
      : {
          ...change,
          set: { ...earlier.set, ...change.set },
          bump: earlier.bump + change.bump,
        },
  );
}

/** A change without its reference to a stage that has been deleted. */
export function withoutStage<C extends Change>(change: C, id: string): C {
  if (change.kind === "saveArtifact" && change.row.workflowStageId === id) {
    return { ...change, row: { ...change.row, workflowStageId: null } };
  }
  if (change.kind === "appendAnnotation" && change.row.workflowStageRecordId === id) {
    return { ...change, row: { ...change.row, workflowStageRecordId: null } };
  }
  return change;
}
