/**
 * A transaction's local copy of the rows it touches: as they were read (`base`) and as the transaction
 * leaves them (`local`), both as the in-memory store holds rows. Knows what it has loaded, and which
 * of its rows the transaction wrote.
 */
import {
  type AnyResult,
  type ArtifactRow,
  type AnnotationRow,
  type Change,
  type IdempotencyKeyRow,
  type JobRow,
  ANNOTATIONS_LIST_MAX,
  newCommitId,
  type OutboxEventRow,
  type Query,
  READ_QUERIES_MAX,
  type RunRow,
  type StageRow,
} from "../changes/index.ts";
import { applyHeldChanges, isHeldChange } from "../memory/apply-held.ts";
import { createState, type State } from "../memory/state.ts";
import { invalid } from "./encode.ts";
import { withoutStage } from "./recorded.ts";
import { type Facet, facetAround, facetName, facetOfChange, loadQueries } from "./facets.ts";

export class LocalCopy {
  readonly base: State = createState();
  readonly local: State = createState();
  /** Round trips that loaded something. One alone is a snapshot; several need not agree. */
  loads = 0;
  /** PENDING runs fetched for claims, and whether these were all. */
  pendingRuns: { readonly rows: readonly RunRow[]; readonly all: boolean } | null = null;
  readonly #loaded = new Set<string>();
  #runsHeld = 0;
  readonly #tails = new Map<string, number>();
  readonly #deletedStages = new Set<string>();
  /** Changes whose facet nobody has asked for: applied when somebody does. */
  #deferred: Change[] = [];
  readonly #read: (queries: readonly Query[]) => Promise<readonly AnyResult[]>;

  constructor(read: (queries: readonly Query[]) => Promise<readonly AnyResult[]>) {
    this.#read = read;
  }

  holds(facet: Facet): boolean {
    if (this.#loaded.has(facetName(facet))) return true;
    const around = facetAround(facet);
    return around !== null && this.#loaded.has(facetName(around));
  }

  /** The sequence of the run's last stored outbox event; 0 for none. */
  tailOf(workflowRunId: string): number {
    return this.#tails.get(workflowRunId) ?? 0;
  }

  /** How many runs it holds, whether they exist or not. */
  runsHeld(): number {
    return this.#runsHeld;
  }

  /** Loads what is missing, in one round trip. */
  async load(facets: readonly Facet[]): Promise<void> {
    const missing = new Map<string, Facet>();
    for (const facet of facets) {
      if (!this.holds(facet)) missing.set(facetName(facet), facet);
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
    for (const [index, facet] of wanted.entries()) {
      const count = queries[index]?.length ?? 0;
      this.#put(facet, results.slice(next, next + count));
      next += count;
    }
  }

  /** Applies changes to the local rows; those whose facet is not loaded wait until it is. */
  apply(changes: readonly Change[], commitId: string): void {
    const now = changes.filter((change) => {
      const facet = facetOfChange(change);
      return facet === null || this.holds(facet);
    });
    applyHeldChanges(this.local, now.filter(isHeldChange), commitId);
    this.#deferred.push(...changes.filter((change) => !now.includes(change)));
    for (const change of now) {
      if (change.kind === "enqueueJob") {
        const { workflowRunId, ordinal } = change.row;
        this.#loaded.add(facetName({ of: "job", workflowRunId, ordinal }));
      }
    }
  }

  /**
   * The transaction made this event itself: there is nothing to load. Marks that were made on its id before were
   * meant for somebody else's event, or nobody's.
   */
  ownEvent(workflowRunId: string, sequence: number): void {
    this.#loaded.add(facetName({ of: "outboxEvent", workflowRunId, sequence }));
    this.#deferred = this.#deferred.filter(
      (change) =>
        !("sequence" in change) ||
        change.workflowRunId !== workflowRunId ||
        change.sequence !== sequence,
    );
  }

  /** The transaction deleted a stage: what refers to it does so no longer, whether loaded or still to come. */
  forgetStage(id: string): void {
    this.#deletedStages.add(id);
    this.#deferred = this.#deferred.map((change) => withoutStage(change, id));
  }

  /** Changes that wait for their facet, applied to rows that were fetched without loading it. */
  applyDeferredTo(state: State, concerns: (change: Change) => boolean): void {
    applyHeldChanges(state, this.#deferred.filter(concerns).filter(isHeldChange), newCommitId(0));
  }

  #put(facet: Facet, results: readonly AnyResult[]): void {
    switch (facet.of) {
      case "run":
        this.#putRun(facet.id, results);
        break;
      case "artifact":
      case "artifacts":
        for (const row of rowsOf<ArtifactRow>(results[0])) {
          const one: Facet = { of: "artifact", workflowRunId: row.workflowRunId, key: row.key };
          if (this.#loaded.has(facetName(one))) continue;
          this.base.artifacts.set(row.workflowRunId, row.key, row);
          const gone = row.workflowStageId !== null && this.#deletedStages.has(row.workflowStageId);
          const local = gone ? { ...row, workflowStageId: null } : row;
          this.local.artifacts.set(row.workflowRunId, row.key, local);
        }
        break;
      case "annotations":
        this.#putAnnotations(facet.workflowRunId, rowsOf<AnnotationRow>(results[0]));
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
          const job: Facet = { of: "job", workflowRunId, ordinal };
          // A job that is held already is as the transaction has left it.
          if (this.holds(job)) continue;
          this.#putJob(row);
          this.#loaded.add(facetName(job));
        }
        break;
    }
    this.#loaded.add(facetName(facet));
    this.#applyDeferred();
  }

  #putJob(row: JobRow): void {
    const { workflowRunId, ordinal } = row;
    if (this.#loaded.has(facetName({ of: "job", workflowRunId, ordinal }))) return;
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
    // Stands for the events so far, so that the next one gets its sequence. Never shown to anybody.
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
      const facet = facetOfChange(change);
      return facet === null || this.holds(facet);
    });
    if (ready.length === 0) return;
    this.#deferred = this.#deferred.filter((change) => !ready.includes(change));
    applyHeldChanges(this.local, ready.filter(isHeldChange), newCommitId(0));
  }
}

/** A loaded facet's rows: a query answers one row, none, or a list. */
function rowsOf<Row>(result: AnyResult | undefined): readonly Row[] {
  if (result === null || result === undefined) return [];
  return (Array.isArray(result) ? result : [result]) as unknown as readonly Row[];
}
