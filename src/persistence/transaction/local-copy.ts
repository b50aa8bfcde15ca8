/**
 * A transaction's local copy of the rows it touches: as they were read (`base`) and as the
 * transaction leaves them (`local`). Both are maps as the in-memory store has them. It knows what
 * it has loaded.
 */
import {
  applyChanges,
  type CallerChange,
  type ChangeOf,
  type Effects,
  kindOfCallers,
} from "../../changes/index.ts";
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
  unitOfRow,
} from "../../queries/index.ts";
import {
  artifactRef,
  idempotencyKeyRef,
  jobRef,
  outboxEventRef,
  type RowRef,
  runRef,
  stageRef,
} from "../../model/row-ref.ts";
import { createState, keep, type Rows, type State, type TableName } from "../../model/state.ts";
import { asManyAsFit } from "../as-many-as-fit.ts";
import { invalid } from "../encode.ts";
import { isTooLarge } from "../faults.ts";
import { withoutStage } from "./write-set.ts";
import { loadQuery } from "./load-units.ts";

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
  /**
   * Whether a change made its row too large when that was loaded. Its call has not been refused, as
   * it should have been.
   */
  misfit = false;
  readonly #loaded = new Set<string>();
  #runsHeld = 0;
  /** The sequence of each loaded run's last stored outbox event. */
  readonly #tails = new Map<string, number>();
  readonly #deletedStages = new Set<string>();
  /** Changes whose unit has not been loaded: they are applied when it is. */
  #deferred: CallerChange[] = [];
  readonly #read: (queries: readonly Query[]) => Promise<readonly AnyResult[]>;
  readonly #effects: Effects;
  readonly #appended: (change: ChangeOf<"appendOutboxEvent">) => void;

  /**
   * `appended` is called for each event that was appended before its run's tail was loaded, once it
   * has its sequence.
   */
  constructor(
    read: (queries: readonly Query[]) => Promise<readonly AnyResult[]>,
    effects: Effects,
    appended: (change: ChangeOf<"appendOutboxEvent">) => void,
  ) {
    this.#read = read;
    this.#effects = effects;
    this.#appended = appended;
  }

  /** Changes whose unit has not been loaded. */
  get deferred(): readonly CallerChange[] {
    return this.#deferred;
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

  /**
   * Loads the units that are missing, in one round trip for every 100 queries, or more where the
   * answer would be too large.
   */
  async load(units: readonly LoadUnit[]): Promise<void> {
    const missing = new Map<string, LoadUnit>();
    for (const unit of units) {
      if (!this.holds(unit)) missing.set(unitName(unit), unit);
    }
    const wanted = [...missing.values()];
    while (wanted.length > 0) {
      const results = await asManyAsFit(Math.min(wanted.length, READ_QUERIES_MAX), (count) =>
        this.#read(wanted.slice(0, count).map(loadQuery)),
      );
      this.loads += 1;
      for (const [index, unit] of wanted.splice(0, results.length).entries()) {
        this.#put(unit, results[index]);
      }
    }
  }

  /**
   * Loads the rows that the transaction has written without having read them, so that a list across
   * runs can show them.
   */
  async loadWritten(): Promise<void> {
    // A mark of publication does not hold its event; the list of events applies the mark itself.
    const written = this.#deferred.filter(({ kind }) => kind !== "publishOutboxEvent");
    await this.load(written.flatMap((change) => kindOfCallers(change).shownIn(change) ?? []));
  }

  /** Takes over runs that a list across runs has answered: it answers whole rows. */
  putRuns(rows: readonly RunRow[]): void {
    const unheld = rows.filter(({ id }) => !this.holds({ of: "run", id }));
    if (unheld.length > 0) this.loads += 1;
    for (const row of unheld) this.#put({ of: "run", id: row.id }, row);
  }

  /**
   * Applies the change to the local rows, or keeps it until its unit is loaded. Answers whether it
   * was applied.
   */
  apply(change: CallerChange, commitId: string): boolean {
    if (!this.#isShown(change)) {
      this.#deferred.push(change);
      return false;
    }
    applyChanges(this.local, [change], commitId, this.#effects);
    return true;
  }

  #isShown(change: CallerChange): boolean {
    const unit = kindOfCallers(change).shownIn(change);
    return unit === null || this.holds(unit);
  }

  /** Marks a unit as loaded: the transaction itself creates all that the unit holds. */
  own(unit: LoadUnit): void {
    this.#loaded.add(unitName(unit));
  }

  /** Whether an event was appended to the run before its tail was loaded. */
  hasAppended(workflowRunId: string): boolean {
    return this.#deferred.some(
      (change) => change.kind === "appendOutboxEvent" && change.row.workflowRunId === workflowRunId,
    );
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
  applyDeferredTo(state: State, concerns: (change: CallerChange) => boolean): void {
    applyChanges(state, this.#deferred.filter(concerns), newCommitId(0), this.#effects);
  }

  #put(unit: LoadUnit, result: AnyResult | undefined): void {
    switch (unit.of) {
      case "run":
        this.#runsHeld += 1;
        for (const row of rowsOf<RunRow>(result)) this.#putRow(runRef(row.id), row);
        break;
      case "stage":
      case "stages":
        for (const row of rowsOf<StageRow>(result)) this.#putRow(stageRef(row), row);
        break;
      case "outboxTail":
        this.#putTail(unit.workflowRunId, Number(result));
        break;
      case "artifact":
      case "artifacts":
        for (const row of rowsOf<ArtifactRow>(result)) {
          const gone = row.workflowStageId !== null && this.#deletedStages.has(row.workflowStageId);
          this.#putRow(artifactRef(row), row, gone ? { ...row, workflowStageId: null } : row);
        }
        break;
      case "annotations":
        this.#putAnnotations(rowsOf<AnnotationRow>(result));
        break;
      case "outboxEvent":
        for (const row of rowsOf<OutboxEventRow>(result)) this.#putRow(outboxEventRef(row), row);
        break;
      case "idempotencyKey":
        for (const row of rowsOf<IdempotencyKeyRow>(result)) {
          this.#putRow(idempotencyKeyRef(row), row);
        }
        break;
      case "job":
      case "jobs":
      case "dedupeKey":
        for (const row of rowsOf<JobRow>(result)) this.#putRow(jobRef(row), row);
        break;
    }
    this.#loaded.add(unitName(unit));
    this.#applyDeferred();
  }

  /** The row as it is stored, and as the transaction leaves it. */
  keep<Name extends TableName>(name: Name, row: Rows[Name], local: Rows[Name] = row): void {
    keep(this.base, name, row);
    keep(this.local, name, local);
  }

  /** A row that is held already is as the transaction has left it. */
  #putRow<Name extends TableName>(
    ref: RowRef<Name>,
    row: Rows[Name],
    local: Rows[Name] = row,
  ): void {
    const unit = unitOfRow(ref);
    if (unit === null || this.holds(unit)) return;
    this.keep(ref.table, row, local);
    this.#loaded.add(unitName(unit));
  }

  #putTail(id: string, tail: number): void {
    this.#tails.set(id, tail);
    if (tail === 0 || this.local.outboxEvents.get(id, String(tail)) !== undefined) return;
    // Stands for the events so far, so that the next one gets its sequence. Never shown to a
    // caller.
    keep(this.local, "outboxEvents", {
      workflowRunId: id,
      sequence: tail,
      eventType: "",
      payload: "null",
      causationId: "",
      occurredAt: 0,
      publishedAt: 0,
      retryCount: 0,
      countAfter: null,
      dlqAt: null,
      commits: "",
    });
  }

  #putAnnotations(rows: readonly AnnotationRow[]): void {
    if (rows.length > ANNOTATIONS_LIST_MAX) {
      throw invalid(
        `A transaction cannot list the annotations of a run that has more than ${ANNOTATIONS_LIST_MAX}`,
        { field: "workflowRunId", limit: ANNOTATIONS_LIST_MAX },
      );
    }
    for (const row of rows) {
      const stage = row.workflowStageRecordId;
      const gone = stage !== null && this.#deletedStages.has(stage);
      this.keep("annotations", row, gone ? { ...row, workflowStageRecordId: null } : row);
    }
  }

  #applyDeferred(): void {
    const ready = this.#deferred.filter((change) => this.#isShown(change));
    this.#deferred = this.#deferred.filter((change) => !ready.includes(change));
    for (const change of ready) {
      try {
        applyChanges(this.local, [change], newCommitId(0), this.#effects);
      } catch (error) {
        if (!isTooLarge(error)) throw error;
        this.misfit = true;
      }
      if (change.kind === "appendOutboxEvent") this.#appended(change);
    }
  }
}

/** The rows of a loaded unit: a query answers one row, none, or a list. */
function rowsOf<Row>(result: AnyResult | undefined): readonly Row[] {
  if (result === null || result === undefined) return [];
  return (Array.isArray(result) ? result : [result]) as unknown as readonly Row[];
}
