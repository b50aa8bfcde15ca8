/**
 * The unit of work of a transaction's callback.
 *
 * Reads load what they touch into a local copy, once, and are answered from it; writes change the copy at once,
 * so that a stale version or a missing row shows at that call, and are recorded. `commit` sends what was
 * recorded, guarded by all that was seen, as one commit. If a guard does not hold, someone else wrote in
 * between: the caller runs the callback again with a new Transaction.
 */
import {
  type Change,
  type ChangeOf,
  type Guard,
  guardedRow,
  isRowGuard,
  kindOfChange,
  unitOfGuard,
} from "../../changes/index.ts";
import type { Status } from "../../contract/index.ts";
import { checkGuards } from "../../memory/guards.ts";
import {
  type ClaimedJob,
  newCommitId,
  type OutboxEventRow,
  tokenBefore,
  tokenOf,
} from "../../model/index.ts";
import {
  idempotencyKeyRef,
  jobRef,
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
  kindOfQuery,
  type Query,
  type ResultsOf,
} from "../../queries/index.ts";
import type { AutoCommit } from "../auto-commit.ts";
import { invalid, requireRoom } from "../encode.ts";
import type { UnitOfWork, Write, Written } from "../unit-of-work.ts";
import { acrossRuns, isAcrossRuns } from "./cross-run-reads.ts";
import { LocalCopy } from "./local-copy.ts";
import { guardOfRow, guardsOf, guardsOfQuery } from "./read-set.ts";
import { WriteSet } from "./write-set.ts";

/** PENDING runs that a transaction's claims choose from, with what a claim is usually followed by. */
const CLAIM_CANDIDATES = 10;

export class Transaction implements UnitOfWork {
  readonly #direct: AutoCommit;
  readonly #copy: LocalCopy;
  readonly #writeSet = new WriteSet();
  readonly #guards = new Map<string, Guard>();
  /** Rows that the transaction wrote, by their names. */
  readonly #written = new Map<string, RowRef>();
  #size = 0;
  #open = true;
  /** Nested callbacks under way. */
  nested = 0;
  #landed = false;
  readonly #calls: Promise<void>[] = [];
  /** Reads and writes run one after the other, in the order in which they were asked for. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(direct: AutoCommit) {
    this.#direct = direct;
    this.#copy = new LocalCopy((queries) => direct.read(queries));
  }

  get open(): boolean {
    return this.#open;
  }

  /** Its commit has landed. False for an attempt that was given up, or is not decided yet. */
  get landed(): boolean {
    return this.#landed;
  }

  requireOpen(): void {
    if (!this.#open) throw invalid("The transaction is over: its callback has ended");
  }

  async call<T>(body: () => Promise<T>): Promise<T> {
    this.requireOpen();
    const result = body();
    this.#calls.push(
      result.then(
        () => undefined,
        () => undefined,
      ),
    );
    return result;
  }

  async now(): Promise<number> {
    return this.#direct.now();
  }

  ordinal(now: number): string {
    return this.#direct.ordinal(now);
  }

  portions(changes: readonly Change[]): readonly (readonly Change[])[] {
    return [changes];
  }

  async read<const Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    return this.#inTurn(() => this.#answers(queries));
  }

  async #answers<Qs extends readonly Query[]>(queries: Qs): Promise<ResultsOf<Qs>> {
    const results: AnyResult[] = [];
    await this.#copy.load(queries.flatMap((query) => kindOfQuery(query).loads(query) ?? []));
    for (const query of queries) results.push(await this.#answer(query));
    return inOrderOf(queries, results);
  }

  async write<const Qs extends readonly Query[] = readonly []>(
    write: Write<Qs>,
  ): Promise<Written<Qs>> {
    return this.#inTurn(async () => this.#write(write));
  }

  /** Refuses further calls, and lets those finish that were made: what the callback did not await belongs to it, too. */
  async close(): Promise<void> {
    this.#open = false;
    await Promise.all(this.#calls);
  }

  /** False when somebody else wrote what the callback had seen; nothing was written then. */
  async commit(): Promise<boolean> {
    const changes = this.#writeSet.changes(this.#copy.local);
    // One load is one snapshot; what it showed held at that instant.
    if (changes.length === 0 && this.#copy.loads <= 1) {
      this.#landed = true;
      return true;
    }
    const guards = [...this.#guards.values()].toSorted((a, b) =>
      a.on < b.on ? -1 : a.on > b.on ? 1 : 0,
    );
    const written = await this.#direct.write({ guards, changes });
    this.#landed = written.applied;
    return written.applied;
  }

  async #inTurn<T>(call: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(call);
    this.#last = turn.then(
      () => undefined,
      () => undefined,
    );
    return turn;
  }

  async #answer(query: Query): Promise<AnyResult> {
    if (isAcrossRuns(query)) {
      const result = await acrossRuns(query, {
        copy: this.#copy,
        written: this.#written,
        read: (fetched) => this.#direct.read(fetched),
      });
      if (query.q === "unpublishedEvents" || query.q === "deadLetters") this.#seeOwnEvents(result);
      if (query.q === "pendingRuns") await this.#prefetch(result);
      return result;
    }
    this.#see(guardsOfQuery(this.#copy.base, query));
    const result = answer(this.#copy.local, query);
    if (query.q === "stages" && query.status !== null) {
      this.#seeStages(query.workflowRunId, query.status);
    }
    return result;
  }

  /** Stages that a list by status looks at only since the transaction changed their status. */
  #seeStages(workflowRunId: string, status: Status): void {
    for (const { stageId, status: own } of this.#copy.local.stages.part(workflowRunId).values()) {
      const stored = this.#copy.base.stages.get(workflowRunId, stageId);
      if (own !== status || stored === undefined || stored.status === status) continue;
      this.#seeRow(stageRef({ workflowRunId, stageId }));
    }
  }

  #seeRow(row: RowRef): void {
    this.#see(guardsOf(this.#copy.base, { what: "row", row }));
  }

  #seeOwnEvents(result: AnyResult): void {
    for (const event of result as OutboxEventRow[]) this.#seeOwnEvent(event);
  }

  /** A sequence that was shown or named is kept: nobody else may take it first. */
  #seeOwnEvent({ workflowRunId, sequence }: { workflowRunId: string; sequence: number }): void {
    if (!this.#writeSet.owns(outboxEventRef({ workflowRunId, sequence }))) return;
    const tail = this.#copy.tailOf(workflowRunId);
    this.#see([{ on: "outboxTail", workflowRunId, sequence: tail }]);
  }

  /** The connection has just been given a job, outside the transaction: its own doing is no one else's. */
  claimed(job: ClaimedJob): void {
    const renewed = this.#inTurn(async () => this.#renew(job));
    this.#calls.push(renewed.catch(() => undefined));
  }

  #renew(job: ClaimedJob): void {
    const { workflowRunId, ordinal, lockedAt } = job;
    const before = this.#copy.base.jobs.get(workflowRunId, ordinal);
    // Only what was read and not written is renewed, and only if nobody else wrote in between.
    if (before === undefined || this.#written.has(rowName(jobRef(job)))) return;
    if (tokenBefore(job) !== tokenOf(before)) return;
    const status = "RUNNING" as const;
    const row = { ...before, ...job, status, startedAt: lockedAt, updatedAt: lockedAt };
    this.#copy.base.jobs.set(workflowRunId, ordinal, row);
    this.#copy.local.jobs.set(workflowRunId, ordinal, row);
    for (const [name, guard] of Array.from(this.#guards)) {
      if (guard.on === "list" && guard.list === "jobs" && guard.workflowRunId === workflowRunId) {
        this.#guards.delete(name);
        this.#see(guardsOfQuery(this.#copy.base, { q: "jobs", workflowRunId }));
      } else if (
        guard.on === "job" &&
        guard.workflowRunId === workflowRunId &&
        guard.ordinal === ordinal
      ) {
        this.#guards.delete(name);
        this.#see([guardOfRow(this.#copy.base, guard)]);
      }
    }
  }

  async #prefetch(result: AnyResult): Promise<void> {
    const runs = (result as { id: string }[]).slice(0, CLAIM_CANDIDATES);
    await this.#copy.load(runs.map(({ id }) => ({ of: "run", id })));
  }

  #see(guards: readonly Guard[]): void {
    for (const guard of guards) this.#guards.set(JSON.stringify(guard), guard);
  }

  async #write<Qs extends readonly Query[]>({
    guards = [],
    changes,
    reads,
  }: Write<Qs>): Promise<Written<Qs>> {
    const size = requireRoom(changes, { count: this.#writeSet.count, size: this.#size });
    await this.#copy.load([
      ...guards.flatMap((guard) => unitOfGuard(guard) ?? []),
      ...changes.flatMap((change) => kindOfChange(change).needs(change)),
    ]);
    const violation = checkGuards(this.#copy.local, guards);
    if (violation !== null) {
      const violated = guards[violation.guard];
      if (violated !== undefined) this.#see([this.#asRead(violated)]);
      return { applied: false, violation };
    }
    for (const guard of guards) this.#seeThatItHolds(guard);
    const commitId = newCommitId(await this.#direct.now());
    for (const change of changes) {
      const resolved = this.#resolve(change);
      this.#copy.apply([resolved], commitId);
      this.#record(resolved);
    }
    this.#size = size;
    // Without reads, Qs is the empty list.
    const queries = reads?.(commitId) ?? ([] as unknown as Qs);
    return { applied: true, commitId, results: await this.#answers(queries), late: false };
  }

  /** The guard that what this guard looks at is as it was read. */
  #asRead(guard: Guard): Guard {
    return isRowGuard(guard) ? guardOfRow(this.#copy.base, guard) : guard;
  }

  #seeThatItHolds(guard: Guard): void {
    if (!isRowGuard(guard) || !this.#written.has(rowName(guardedRow(guard)))) {
      this.#see([guard]);
      return;
    }
    // The transaction wrote the row, so what it is now follows from what it was and from that.
    switch (guard.expect.is) {
      case "present":
      case "absent":
        // Seen when the row was first written.
        return;
      case "record":
        // The stored record or its own: which one is stored has not been seen yet.
        if (!checkGuards(this.#copy.base, [guard])) this.#see([guard]);
        return;
      default:
        this.#see([this.#asRead(guard)]);
    }
  }

  /** What a change comes to, given the local copy: what the database would decide, decided here and guarded. */
  #resolve(change: Change): Change {
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
        const link: Guard = {
          on: "stage",
          workflowRunId,
          stageId,
          expect: stage === undefined ? { is: "absent" } : { is: "record", id: stage.id },
        };
        this.#seeThatItHolds(link);
        const row = { ...change.row, workflowStageId: stage?.id ?? null };
        return { ...change, row, replaceStage: true, linkStageId: null };
      }
      case "enqueueJob": {
        const { dedupeKey } = change.row;
        if (dedupeKey !== null)
          this.#see(guardsOf(this.#copy.base, { what: "dedupeKey", dedupeKey }));
        return change;
      }
      case "acquireIdempotencyKey":
      case "releaseIdempotencyKey":
        this.#seeRow(idempotencyKeyRef(change));
        return change;
      default:
        return change;
    }
  }

  #record(change: Change): void {
    if (change.kind === "appendOutboxEvent") this.#recordEvent(change);
    else this.#recordRow(change, kindOfChange(change).row(change));
    if (change.kind === "cancelJobs") this.#noteCancelled(change.workflowRunId);
    if ("sequence" in change) this.#seeOwnEvent(change);
    if (change.kind === "deleteStage") this.#copy.forgetStage(change.id);
  }

  #recordRow(change: Change, row: RowRef | null): void {
    this.#writeSet.add(change, row);
    if (row !== null) this.#written.set(rowName(row), row);
  }

  /** The event that has just been applied is the run's last. */
  #recordEvent(change: ChangeOf<"appendOutboxEvent">): void {
    const last = lastOutboxEvent(this.#copy.local, change.row.workflowRunId);
    if (last === undefined) return;
    this.#recordRow(change, outboxEventRef(last));
    this.#copy.ownEvent(last.workflowRunId, last.sequence);
  }

  #noteCancelled(workflowRunId: string): void {
    for (const job of this.#copy.local.jobs.part(workflowRunId).values()) {
      if (job.status === "CANCELLED") this.#written.set(rowName(jobRef(job)), jobRef(job));
    }
  }
}
