/**
 * The unit of work of a transaction's callback.
 *
 * A read loads what it touches into a local copy, once, and is answered from the copy. A write of a
 * row that the copy holds is checked at the call, so that a stale version or a missing row shows
 * there, and changes the copy. A write of any other row is assumed to be allowed: its guards go to
 * the commit as they are, and its change waits until a read loads the row. `commit` sends what was
 * written as one commit, guarded by all that was seen and assumed. If a guard does not hold, the
 * caller runs the callback again with a new Transaction. After a wrong assumption, that one assumes
 * nothing.
 */
import {
  type CallerChange,
  type ChangeOf,
  type Guard,
  guardedRow,
  kindOfCallers,
  type RowGuard,
} from "../../changes/index.ts";
import type { Status } from "../../contract/index.ts";
import { violatedRow } from "../../memory/row-guards.ts";
import {
  type JobRow,
  newCommitId,
  type OutboxEventRow,
  type RunRow,
  TRANSACTION_CHANGES_MAX,
} from "../../model/index.ts";
import {
  idempotencyKeyRef,
  outboxEventRef,
  type RowRef,
  rowName,
  stageRef,
} from "../../model/row-ref.ts";
import { lastOutboxEvent } from "../../model/state.ts";
import {
  answer,
  type AnyResult,
  inOrderOf,
  isLocal,
  kindOfQuery,
  type LoadUnit,
  type CallerQuery,
  type ResultsOf,
  unitOfRow,
} from "../../queries/index.ts";
import type { AutoCommit } from "../auto-commit.ts";
import { invalid, requireRoom } from "../encode.ts";
import { isTooLarge } from "../faults.ts";
import type { Stale } from "../stale-version.ts";
import type { UnitOfWork, Write, Written } from "../unit-of-work.ts";
import { type AcrossRuns, acrossRuns, isAcrossRuns } from "./cross-run-reads.ts";
import type { JoiningJobs, Known } from "./joining-jobs.ts";
import { LocalCopy } from "./local-copy.ts";
import { guardOfRow, guardsOf, guardsOfQuery } from "./read-set.ts";
import { WriteSet } from "./write-set.ts";

/**
 * Expectations that still hold of a row after the transaction itself has updated it. A version, a
 * status or a token does not.
 */
const LASTING: ReadonlySet<RowGuard["expect"]["is"]> = new Set(["record", "attempt"]);

/** What a transaction loads to check the guard itself. */
function unitOf(guard: RowGuard): LoadUnit | null {
  return unitOfRow(guardedRow(guard));
}

/** Resolves when it has ended, one way or the other. */
async function ended(call: Promise<unknown>): Promise<void> {
  await call.catch(() => undefined);
}

function guardName(guard: Guard): string {
  return JSON.stringify(guard);
}

/**
 * PENDING runs that a transaction's claims choose from. They are loaded with their stages, since a
 * claim is usually followed by creating the first stages.
 */
const CLAIM_CANDIDATES = 10;

interface TransactionOptions {
  readonly assumes: boolean;
  /** What an earlier run has assumed things about. The first write loads all of it together. */
  readonly expected: LoadUnit[];
  /** Null: no jobs join. */
  readonly joining: JoiningJobs | null;
}

/** One run of one callback. It is used once: it lands, or it is given up. */
export class Transaction implements UnitOfWork {
  readonly stale: Stale;
  readonly #direct: AutoCommit;
  readonly #copy: LocalCopy;
  readonly #writeSet = new WriteSet();
  readonly #guards = new Map<string, Guard>();
  /** Rows that the transaction wrote, by their names. */
  readonly #written = new Map<string, RowRef>();
  /** Text recorded so far, in UTF-16 units. */
  #size = 0;
  open = true;
  /** Nested callbacks under way. */
  nested = 0;
  /** Its commit has landed. False while that is open, and for a run that was given up. */
  landed = false;
  /** Calls that were made, so that `close` can wait for those that the callback did not await. */
  readonly #calls: Promise<void>[] = [];
  /** Units of reads that have been asked for and not loaded yet. */
  readonly #wanted: LoadUnit[] = [];
  /** Reads and writes run one after the other, in the order in which they were asked for. */
  #last: Promise<unknown> = Promise.resolve();

  /** Guards of rows that were not read and are assumed to hold, by their names. */
  readonly #assumed = new Map<string, RowGuard>();
  readonly #assumes: boolean;
  readonly #expected: LoadUnit[];
  readonly #joining: JoiningJobs | null;

  /**
   * With `assumes`, a write whose guards are about rows that were not read is assumed to be
   * allowed, and costs no round trip: its guards are checked when the transaction commits. Without,
   * they are checked at the call, on rows that are read for it.
   */
  constructor(direct: AutoCommit, { assumes, expected, joining }: TransactionOptions) {
    this.stale = direct.stale;
    this.#direct = direct;
    this.#assumes = assumes;
    this.#expected = expected;
    this.#joining = joining;
    this.#copy = this.#newCopy((change) => {
      this.#writeSet.release(change);
      this.#recordEvent(change);
    });
  }

  get #known(): Known {
    return {
      copy: this.#copy,
      written: this.#written,
      guards: this.#guards,
      see: (guards) => this.#see(guards),
    };
  }

  #newCopy(appended: (change: ChangeOf<"appendOutboxEvent">) => void = () => {}): LocalCopy {
    const effects = this.#joining?.effects ?? {};
    return new LocalCopy((queries) => this.#direct.read(queries), effects, appended);
  }

  /** The rows that tell whether all that was assumed holds. */
  get assumedOf(): LoadUnit[] {
    return [
      ...[...this.#assumed.values()].flatMap((guard) => unitOf(guard) ?? []),
      ...this.#copy.deferred.flatMap((change) => kindOfCallers(change).needs(change, false)),
    ];
  }

  /**
   * Whether a call was assumed to be allowed that is to be refused, as the rows are now. One round
   * trip.
   * @throws where the rows cannot be read.
   */
  async isMistaken(): Promise<boolean> {
    const units = this.assumedOf;
    if (this.#copy.misfit || units.length === 0) return this.#copy.misfit;
    const now = this.#newCopy();
    for (const change of this.#copy.deferred) now.apply(change, newCommitId(0));
    await now.load(units);
    const violated = (guard: RowGuard) => violatedRow(now.base, guard) !== null;
    return now.misfit || [...this.#assumed.values()].some(violated);
  }

  requireOpen(): void {
    if (!this.open) throw invalid("The transaction is over: its callback has ended");
  }

  async call<T>(body: () => Promise<T>): Promise<T> {
    this.requireOpen();
    const result = body();
    this.#calls.push(ended(result));
    return result;
  }

  async now(): Promise<number> {
    return this.#direct.now();
  }

  ordinal(now: number): string {
    return this.#direct.ordinal(now);
  }

  portions(changes: readonly CallerChange[]): readonly (readonly CallerChange[])[] {
    return [changes];
  }

  async read<const Qs extends readonly CallerQuery[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    // Reads that run beside each other are loaded together, by the first of them.
    this.#wanted.push(...queries.flatMap((query) => kindOfQuery(query).loads(query) ?? []));
    return this.#inTurn(() => this.#answers(queries));
  }

  async #answers<Qs extends readonly CallerQuery[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    const results: AnyResult[] = [];
    const units = queries.flatMap((query) => kindOfQuery(query).loads(query) ?? []);
    await this.#copy.load([...units, ...this.#wanted.splice(0)]);
    for (const query of queries) results.push(await this.#answer(query));
    return inOrderOf(queries, results);
  }

  async write<const Qs extends readonly CallerQuery[] = readonly []>(
    write: Write<Qs>,
  ): Promise<Written<Qs>> {
    return this.#inTurn(async () => this.#write(write));
  }

  /**
   * Refuses further calls, and waits for those that were made: what the callback did not await
   * belongs to it, too.
   */
  async close(): Promise<void> {
    this.open = false;
    await Promise.all(this.#calls);
  }

  /**
   * `landed`: all is written. Otherwise nothing is: somebody else wrote what the callback had seen
   * (`overtaken`), or a call that was assumed to be allowed was not (`mistaken`).
   */
  async commit(): Promise<"landed" | "overtaken" | "mistaken"> {
    if (this.#copy.misfit) return "mistaken";
    const changes = this.#writeSet.changes(this.#copy.local);
    // One load is one snapshot, and what it showed held at that instant.
    if (changes.length === 0 && this.#copy.loads <= 1 && this.#assumed.size === 0) {
      this.landed = true;
      return "landed";
    }
    // What a read has shown may follow from what was assumed, so that is checked first.
    // Guards of one kind are beside each other, since they share a statement.
    const named = new Map<string, Guard>([...this.#assumed, ...this.#guards]);
    const kinds = Map.groupBy(named, ([name, guard]) =>
      [this.#assumed.has(name), guard.on === "list" ? guard.list : guard.on].join(),
    );
    const checked = [...kinds.values()].flat();
    let written: Written;
    try {
      written = await this.#direct.write({ guards: checked.map(([, guard]) => guard), changes });
    } catch (error) {
      // A row that was not read may be what has grown too large.
      if (this.#assumes && this.#copy.deferred.length > 0 && isTooLarge(error)) return "mistaken";
      throw error;
    }
    this.landed = written.applied;
    if (written.applied) return "landed";
    const [violated = ""] = checked[written.violation.guard] ?? [];
    return this.#assumed.has(violated) ? "mistaken" : "overtaken";
  }

  async #inTurn<T>(call: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(call);
    this.#last = ended(turn);
    return turn;
  }

  async #answer(query: CallerQuery): Promise<AnyResult> {
    if (!isLocal(query) || isAcrossRuns(query)) {
      await this.#copy.loadWritten();
      const read: AcrossRuns["read"] = (fetched) => this.#direct.read(fetched);
      const result = await acrossRuns(query, { ...this.#known, read });
      if (query.q === "unpublishedEvents" || query.q === "deadLetters") {
        for (const event of result as OutboxEventRow[]) this.#seeOwnEvent(event);
      }
      if (query.q === "pendingRuns") await this.#keepCandidates(result);
      return result;
    }
    this.#see(guardsOfQuery(this.#copy.base, query));
    const result = answer(this.#copy.local, query);
    if (query.q === "stages" && query.status !== null) {
      this.#seeStages(query.workflowRunId, query.status);
    }
    return result;
  }

  /**
   * Stages that are in a list by status only because the transaction changed their status are
   * guarded by themselves.
   */
  #seeStages(workflowRunId: string, status: Status): void {
    for (const { stageId, status: own } of this.#copy.local.stages.part(workflowRunId).values()) {
      const stored = this.#copy.base.stages.get(workflowRunId, stageId);
      if (own !== status || stored === undefined || stored.status === status) continue;
      this.#seeRow(stageRef({ workflowRunId, stageId }));
    }
  }

  /** Guards the row as it was read. */
  #seeRow(row: RowRef): void {
    this.#see(guardsOf(this.#copy.base, { what: "row", row }));
  }

  /** A sequence that was shown or named must stay: nobody else may take it first. */
  #seeOwnEvent({ workflowRunId, sequence }: { workflowRunId: string; sequence: number }): void {
    if (!this.#writeSet.owns(outboxEventRef({ workflowRunId, sequence }))) return;
    const tail = this.#copy.tailOf(workflowRunId);
    this.#see([{ on: "outboxTail", workflowRunId, sequence: tail }]);
  }

  /** The connection was just given a job, outside the transaction. */
  claimed(row: JobRow): void {
    const renewed = this.#inTurn(async () => this.#joining?.renew(row, this.#known));
    this.#calls.push(ended(renewed));
  }

  /**
   * Keeps the runs that were listed, with their stages: a claim is about to look at one of them,
   * and then to create its first stages.
   */
  async #keepCandidates(result: AnyResult): Promise<void> {
    const runs = (result as RunRow[]).slice(0, CLAIM_CANDIDATES);
    this.#copy.putRuns(runs);
    await this.#copy.load(runs.map(({ id }) => ({ of: "stages", workflowRunId: id })));
  }

  #see(guards: readonly Guard[]): void {
    for (const guard of guards) this.#guards.set(guardName(guard), guard);
  }

  async #write<Qs extends readonly CallerQuery[]>({
    guards = [],
    changes,
    reads,
  }: Write<Qs>): Promise<Written<Qs>> {
    const size = requireRoom(changes, TRANSACTION_CHANGES_MAX, {
      count: this.#writeSet.count,
      size: this.#size,
    });
    // A write that answers rows has to load them, and so assumes nothing.
    const assumed = reads === undefined ? guards.filter((guard) => this.#mayAssume(guard)) : [];
    await this.#copy.load([
      ...this.#expected.splice(0),
      ...guards.flatMap((guard) => (assumed.includes(guard) ? [] : (unitOf(guard) ?? []))),
      ...changes.flatMap((change) => this.#unitsOf(change)),
    ]);
    // The load may have brought rows that other guards are about.
    const known = guards.filter((guard) => this.#isKnown(guard));
    // The caller is told of the first that does not hold, and it may be one of those assumed.
    const isViolated = (guard: RowGuard) => violatedRow(this.#copy.local, guard) !== null;
    const last = guards.findIndex((guard) => known.includes(guard) && isViolated(guard));
    const asked = guards.slice(0, last + 1);
    await this.#copy.load(asked.flatMap((guard) => unitOf(guard) ?? []));
    for (const [guard, one] of asked.entries()) {
      const actual = violatedRow(this.#copy.local, one);
      if (actual === null) continue;
      this.#see([guardOfRow(this.#copy.base, one)]);
      return { applied: false, violation: { guard, actual } };
    }
    for (const guard of known) this.#seeThatItHolds(guard);
    for (const guard of guards) if (!known.includes(guard)) this.#assume(guard);
    const commitId = newCommitId(await this.#direct.now());
    for (const change of changes) {
      const resolved = this.#resolve(change);
      this.#own(resolved);
      this.#record(resolved, this.#copy.apply(resolved, commitId));
    }
    this.#size = size;
    // Without reads, Qs is the empty list.
    const queries = reads?.(commitId) ?? ([] as unknown as Qs);
    return { applied: true, commitId, results: await this.#answers(queries), late: false };
  }

  #isKnown(guard: RowGuard): boolean {
    const unit = unitOf(guard);
    return unit === null || this.#copy.holds(unit);
  }

  /**
   * Whether the guard may be assumed to hold. For a row that the transaction has written without
   * having read it, only what it has assumed before.
   */
  #mayAssume(guard: RowGuard): boolean {
    if (!this.#assumes || this.#isKnown(guard)) return false;
    const row = guardedRow(guard);
    if (!this.#written.has(rowName(row))) return true;
    return LASTING.has(guard.expect.is) && this.#assumed.has(guardName(guard));
  }

  #assume(guard: RowGuard): void {
    this.#assumed.set(guardName(guard), guard);
    this.#see([guard]);
  }

  /** The units to load before the change. */
  #unitsOf(change: CallerChange): readonly LoadUnit[] {
    const units = kindOfCallers(change).needs(change, this.#assumes);
    // It may be about an event that the transaction itself has appended, which has its sequence
    // only once the tail is known.
    if ("sequence" in change && this.#copy.hasAppended(change.workflowRunId)) {
      return [...units, { of: "outboxTail", workflowRunId: change.workflowRunId }];
    }
    return units;
  }

  /**
   * A run or a stage that the transaction creates is known whole. A run that was not there has no
   * stages.
   */
  #own(change: CallerChange): void {
    if (change.kind === "createRun") {
      this.#copy.own({ of: "run", id: change.row.id });
      this.#copy.own({ of: "stages", workflowRunId: change.row.id });
    }
    if (change.kind === "createStage") {
      const { workflowRunId, stageId } = change.row;
      this.#copy.own({ of: "stage", workflowRunId, stageId });
    }
  }

  /** A guard of a method held on the local copy; notes what makes it hold in the database. */
  #seeThatItHolds(guard: RowGuard): void {
    if (!this.#written.has(rowName(guardedRow(guard)))) {
      this.#see([guard]);
      return;
    }
    // The transaction wrote the row. What it is now follows from what it was and from that write.
    switch (guard.expect.is) {
      case "present":
      case "absent":
        // Seen when the row was first written.
        return;
      case "record":
        // The stored record or the transaction's own. Which one is stored was not seen yet.
        if (violatedRow(this.#copy.base, guard) === null) this.#see([guard]);
        return;
      default:
        this.#see([guardOfRow(this.#copy.base, guard)]);
    }
  }

  /**
   * The change with everything decided that the database would decide: decided by the local copy,
   * and guarded.
   */
  #resolve(change: CallerChange): CallerChange {
    const { local } = this.#copy;
    switch (change.kind) {
      case "upsertStage": {
        const { workflowRunId, stageId } = change.row;
        if (local.stages.get(workflowRunId, stageId) === undefined) {
          this.#seeRow(stageRef(change.row));
          return { kind: "createStage", row: change.row };
        }
        const { row, set } = change;
        return { kind: "updateStage", workflowRunId, stageId, set, at: row.updatedAt, bump: 1 };
      }
      case "saveArtifact": {
        if (change.linkStageId === null) return change;
        const { workflowRunId } = change.row;
        const stageId = change.linkStageId;
        const stage = local.stages.get(workflowRunId, stageId);
        const link: RowGuard = {
          on: "stage",
          workflowRunId,
          stageId,
          expect: stage === undefined ? { is: "absent" } : { is: "record", id: stage.id },
        };
        this.#seeThatItHolds(link);
        const row = { ...change.row, workflowStageId: stage?.id ?? null };
        return { ...change, row, replaceStage: true, linkStageId: null };
      }
      case "acquireIdempotencyKey":
      case "releaseIdempotencyKey":
        this.#seeRow(idempotencyKeyRef(change));
        return change;
      default:
        return change;
    }
  }

  #record(change: CallerChange, applied: boolean): void {
    if (change.kind !== "appendOutboxEvent") {
      this.#recordRow(change, kindOfCallers(change).row(change));
    } else if (applied) this.#recordEvent(change);
    else this.#writeSet.hold(change);
    this.#joining?.wrote(change, this.#known);
    if ("sequence" in change) this.#seeOwnEvent(change);
    if (change.kind === "deleteStage") this.#copy.forgetStage(change.id);
  }

  #recordRow(change: CallerChange, row: RowRef | null): void {
    this.#writeSet.add(change, row);
    if (row !== null) this.#written.set(rowName(row), row);
  }

  /** The event that was just applied is the run's last; its sequence is known only now. */
  #recordEvent(change: ChangeOf<"appendOutboxEvent">): void {
    const last = lastOutboxEvent(this.#copy.local, change.row.workflowRunId);
    if (last === undefined) return;
    this.#recordRow(change, outboxEventRef(last));
    this.#copy.ownEvent(last.workflowRunId, last.sequence);
  }
}
