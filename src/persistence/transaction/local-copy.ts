/**
 * A transaction's local copy of the rows it touches: as they were read (`base`) and as the
 * transaction leaves them (`local`). Both are maps as the in-memory store has them. It knows what
 * it has loaded.
 */
import { applyChanges, type Change, kindOfChange } from "../../changes/index.ts";
import {
  type ArtifactRow,
  type AnnotationRow,
  type IdempotencyKeyRow,
  type JobRow,
  ANNOTATIONS_LIST_MAX,
  newCommitId,
  type OutboxEventRow,
  READ_QUERIES_MAX,
  type RunRow,
  type StageRow,
} from "../../model/index.ts";
import {
  type AnyResult,
  type LoadUnit,
  type Query,
  unitAround,
  unitName,
} from "../../queries/index.ts";
import { createState, type State } from "../../model/state.ts";
import { invalid } from "../encode.ts";
import { withoutStage } from "./write-set.ts";
import { loadQueries } from "./load-units.ts";

export class LocalCopy {
  readonly base: State = createState();
  readonly local: State = createState();
  /**
   * Round trips that loaded something. One alone is a snapshot; the rows of several need not fit
   * together.
   */
  loads = 0;
  /** PENDING runs that were fetched for claims, and whether these were all. */
  pendingRuns: { readonly rows: readonly RunRow[]; readonly all: boolean } | null = null;
  readonly #loaded = new Set<string>();
  #runsHeld = 0;
  /** The sequence of each loaded run's last stored outbox event. */
  readonly #tails = new Map<string, number>();
  readonly #deletedStages = new Set<string>();
  /** Changes of a unit that nothing has asked for yet. They are applied once it is loaded. */
  #deferred: Change[] = [];
  readonly #read: (queries: readonly Query[]) => Promise<readonly AnyResult[]>;

  constructor(read: (queries: readonly Query[]) => Promise<readonly AnyResult[]>) {
    this.#read = read;
  }

  /** Whether the unit is loaded, by itself or as part of a larger one. */
  holds(unit: LoadUnit): boolean {
    if (this.#loaded.has(unitName(unit))) return true;
    const around = unitAround(unit);
    return around !== null && this.#loaded.has(unitName(around));
  }

  /** The sequence of the run's last stored outbox event; 0 for none. */
  tailOf(workflowRunId: string): number {
    return this.#tails.get(workflowRunId) ?? 0;
  }

  /** How many runs are loaded, also those that do not exist. */
  runsHeld(): number {
    return this.#runsHeld;
  }

  /** Loads the units that are missing, in one round trip for every 100 queries. */
  async load(units: readonly LoadUnit[]): Promise<void> {
    const missing = new Map<string, LoadUnit>();
    for (const unit of units) {
      if (!this.holds(unit)) missing.set(unitName(unit), unit);
    }
    if (missing.size === 0) return;
    const wanted = [...missing.values()];
    const queries = wanted.map(loadQueries);
    const all = queries.flat();
    const results: AnyResult[] = [];
    for (let start = 0; start < all.length; start += READ_QUERIES_MAX) {
      this.loads += 1;
      results.push(...(await this.#read(all.slice(start, start + READ_QUERIES_MAX))));
    }
    let next = 0;
    for (const [index, unit] of wanted.entries()) {
      const count = queries[index]?.length ?? 0;
      this.#put(unit, results.slice(next, next + count));
      next += count;
    }
  }

  /** Applies changes to the local rows. Those whose unit is not loaded wait until it is. */
  apply(changes: readonly Change[], commitId: string): void {
    const now = changes.filter((change) => {
      const unit = kindOfChange(change).shownIn(change);
      return unit === null || this.holds(unit);
    });
    applyChanges(this.local, now, commitId);
    this.#deferred.push(...changes.filter((change) => !now.includes(change)));
    for (const change of now) {
      if (change.kind === "enqueueJob") {
        const { workflowRunId, ordinal } = change.row;
        this.#loaded.add(unitName({ of: "job", workflowRunId, ordinal }));
      }
    }
  }

  /**
   * The transaction made this event itself, so there is nothing to load. Marks that were made on
   * its id before were meant for an event of somebody else, or for none.
   */
  ownEvent(workflowRunId: string, sequence: number): void {
    this.#loaded.add(unitName({ of: "outboxEvent", workflowRunId, sequence }));
    this.#deferred = this.#deferred.filter(
      (change) =>
        !("sequence" in change) ||
        change.workflowRunId !== workflowRunId ||
        change.sequence !== sequence,
    );
  }

  /**
   * The transaction deleted a stage. Rows that referred to it do so no longer, whether they are
   * loaded or still to come.
   */
  forgetStage(id: string): void {
    this.#deletedStages.add(id);
    this.#deferred = this.#deferred.map((change) => withoutStage(change, id));
  }

  /** Applies changes that wait for their unit to rows that were fetched without loading it. */
  applyDeferredTo(state: State, concerns: (change: Change) => boolean): void {
    applyChanges(state, this.#deferred.filter(concerns), newCommitId(0));
  }

  #put(unit: LoadUnit, results: readonly AnyResult[]): void {
    switch (unit.of) {
      case "run":
        this.#putRun(unit.id, results);
        break;
      case "artifact":
      case "artifacts":
        for (const row of rowsOf<ArtifactRow>(results[0])) {
          const one: LoadUnit = { of: "artifact", workflowRunId: row.workflowRunId, key: row.key };
          if (this.#loaded.has(unitName(one))) continue;
          this.base.artifacts.set(row.workflowRunId, row.key, row);
          const gone = row.workflowStageId !== null && this.#deletedStages.has(row.workflowStageId);
          const local = gone ? { ...row, workflowStageId: null } : row;
          this.local.artifacts.set(row.workflowRunId, row.key, local);
        }
        break;
      case "annotations":
        this.#putAnnotations(unit.workflowRunId, rowsOf<AnnotationRow>(results[0]));
        break;
      case "outboxEvent":
        for (const row of rowsOf<OutboxEventRow>(results[0])) {
          this.base.outboxEvents.set(row.workflowRunId, String(row.sequence), row);
          this.local.outboxEvents.set(row.workflowRunId, String(row.sequence), row);
        }
        break;
      case "idempotencyKey":
        for (const row of rowsOf<IdempotencyKeyRow>(results[0])) {
          this.base.idempotencyKeys.set(row.key, row.commandType, row);
          this.local.idempotencyKeys.set(row.key, row.commandType, row);
        }
        break;
      case "job":
      case "jobs":
        for (const row of rowsOf<JobRow>(results[0])) this.#putJob(row);
        break;
      case "dedupeKey":
        for (const row of rowsOf<JobRow>(results[0])) {
          const { workflowRunId, ordinal } = row;
          const job: LoadUnit = { of: "job", workflowRunId, ordinal };
          // A job that is held already is as the transaction has left it.
          if (this.holds(job)) continue;
          this.#putJob(row);
          this.#loaded.add(unitName(job));
        }
        break;
    }
    this.#loaded.add(unitName(unit));
    this.#applyDeferred();
  }

  #putJob(row: JobRow): void {
    const { workflowRunId, ordinal } = row;
    if (this.#loaded.has(unitName({ of: "job", workflowRunId, ordinal }))) return;
    this.base.jobs.set(workflowRunId, ordinal, row);
    this.local.jobs.set(workflowRunId, ordinal, row);
  }

  #putRun(id: string, results: readonly AnyResult[]): void {
    this.#runsHeld += 1;
    for (const row of rowsOf<RunRow>(results[0])) {
      this.base.runs.set(id, "", row);
      this.local.runs.set(id, "", row);
    }
    for (const row of rowsOf<StageRow>(results[1])) {
      this.base.stages.set(id, row.stageId, row);
      this.local.stages.set(id, row.stageId, row);
    }
    const tail = Number(results[2]);
    this.#tails.set(id, tail);
    if (tail === 0 || this.local.outboxEvents.get(id, String(tail)) !== undefined) return;
    // Stands for the events so far, so that the next one gets its sequence. Never shown to a
    // caller.
    this.local.outboxEvents.set(id, String(tail), {
      workflowRunId: id,
      sequence: tail,
      eventType: "",
      payload: "null",
      causationId: "",
      occurredAt: 0,
      publishedAt: 0,
      retryCount: 0,
      dlqAt: null,
      commits: "",
    });
  }

  #putAnnotations(workflowRunId: string, rows: readonly AnnotationRow[]): void {
    if (rows.length > ANNOTATIONS_LIST_MAX) {
      throw invalid(
        `A transaction cannot list the annotations of a run that has more than ${ANNOTATIONS_LIST_MAX}`,
        { field: "workflowRunId", limit: ANNOTATIONS_LIST_MAX },
      );
    }
    for (const row of rows) {
      this.base.annotations.set(workflowRunId, row.ordinal, row);
      const stage = row.workflowStageRecordId;
      const gone = stage !== null && this.#deletedStages.has(stage);
      const local = gone ? { ...row, workflowStageRecordId: null } : row;
      this.local.annotations.set(workflowRunId, row.ordinal, local);
    }
  }

  #applyDeferred(): void {
    const ready = this.#deferred.filter((change) => {
      const unit = kindOfChange(change).shownIn(change);
      return unit === null || this.holds(unit);
    });
    if (ready.length === 0) return;
    this.#deferred = this.#deferred.filter((change) => !ready.includes(change));
    applyChanges(this.local, ready, newCommitId(0));
  }
}

/** The rows of a loaded unit: a query answers one row, none, or a list. */
function rowsOf<Row>(result: AnyResult | undefined): readonly Row[] {
  if (result === null || result === undefined) return [];
  return (Array.isArray(result) ? result : [result]) as unknown as readonly Row[];
}
