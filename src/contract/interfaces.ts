/**
 * The contract: what an engine for multi-stage workflows asks of its storage. It is the union of
 * the interface as handed over (0.8 to 0.10) and the current one (0.11, 0.12), so an object of ours
 * serves an engine of either kind. docs/contract.md says, line by line, what each method guarantees
 * here.
 */
import type {
  AcquireIdempotencyKeyOptions,
  AnnotationFilters,
  CreateAICallInput,
  CreateAnnotationInput,
  CreateLogInput,
  CreateOutboxEventInput,
  CreateRunInput,
  CreateStageInput,
  DequeueResult,
  EnqueueJobInput,
  SaveArtifactInput,
  UpdateRunInput,
  UpdateStageInput,
  UpsertStageInput,
} from "./inputs.ts";
import type {
  JobRecord,
  OutboxRecord,
  WorkflowAnnotationRecord,
  WorkflowArtifactRecord,
  WorkflowRunRecord,
  WorkflowStageRecord,
  WorkflowStageStatus,
  WorkflowStatus,
} from "./records.ts";

/**
 * What `acquireIdempotencyKey` found.
 * - `acquired`: the key is this caller's. Do the work, then complete or release the key.
 * - `replay`: the work was done before, with this result. JSON made text of its Dates.
 * - `in_progress`: another caller has the key. Try again later.
 * @example
 * const key = await persistence.acquireIdempotencyKey("order-42", "createRun");
 * if (key.status === "replay") console.log("done before", key.result);
 */
export type AcquireIdempotencyKeyResult =
  | { status: "acquired" }
  | { status: "replay"; result: unknown }
  | { status: "in_progress" };

/**
 * Runs, stages and all that belongs to them.
 *
 * Every method acts at once and by itself, in one round trip unless it says otherwise. On the
 * handle of a transaction the same methods act on the transaction's own view. Any call may throw a
 * {@link ServiceError}: INVALID_ARGUMENT and PAYLOAD_TOO_LARGE name the field and the limit, and
 * nothing was written; OVERLOADED means that nothing was written and a later try may succeed;
 * UNAVAILABLE means that nobody can tell whether it was written. A method's own errors are named
 * with it. Rows written and read, and the round trips of each method, are in docs/cost.md.
 *
 * @example
 * const run = await persistence.createRun({
 *   workflowId: "digest",
 *   workflowName: "Digest",
 *   workflowType: "digest",
 *   input: { url: "https://example.com/" },
 * });
 * await persistence.updateRun(run.id, { status: "RUNNING", expectedVersion: run.version });
 */
export interface WorkflowPersistence {
  /**
   * Runs `fn` on a private view of the database and commits what it wrote, whole or not at all.
   * `fn` sees its own writes. The transaction is serializable over the runs it touched; lists
   * across runs are read committed. `fn` runs again on fresh data, up to 25 times in all, when
   * somebody else wrote what it had read, or when a write of a row that it had not read turns out
   * to be refused: then the call that is refused throws in the second run. So keep side effects of
   * your own out of it. `jobs.enqueue`, `complete`, `suspend` and `fail` of the same connection
   * join the transaction (in browsers they are refused). A nested call joins, too. At most 1,000
   * changes and 12 Mi characters of text. Costs a round trip for each read that does not run beside
   * others, and one for all writes.
   * @throws CONFLICT when the 25 runs are used up, and what `fn` throws, unchanged. Nothing was
   * written then.
   * @example
   * await persistence.withTransaction(async (tx) => {
   *   const stage = await tx.getStage("run-1", "fetch");
   *   if (stage === null) throw new Error("no such stage");
   *   await tx.updateStage(stage.id, { status: "COMPLETED", outputData: { pages: 3 } });
   *   await tx.updateRun("run-1", { status: "COMPLETED", completedAt: new Date() });
   * });
   */
  withTransaction<T>(fn: (tx: WorkflowPersistence) => Promise<T>): Promise<T>;

  /**
   * Adds a PENDING run with `version` 1. Without an `id` it gets one.
   * @throws ALREADY_EXISTS when the id is taken.
   */
  createRun(data: CreateRunInput): Promise<WorkflowRunRecord>;
  /**
   * Sets the given members, and always `updatedAt` and `version` + 1. Any status may follow any
   * other: only jobs have rules.
   * @throws NOT_FOUND; with `expectedVersion` a `StaleVersionError` instead, whose `actual` is -1
   * when there is no such run.
   * @example
   * const run = await persistence.getRun("run-1");
   * if (run !== null) {
   *   // Fails, and changes nothing, if somebody has written the run since.
   *   await persistence.updateRun(run.id, { totalCost: run.totalCost + 2, expectedVersion: run.version });
   * }
   */
  updateRun(id: string, data: UpdateRunInput): Promise<void>;
  /** The run, or null. */
  getRun(id: string): Promise<WorkflowRunRecord | null>;
  /**
   * Its status alone, or null. In a transaction it depends on less than `getRun`: other writes to
   * the run do not conflict.
   */
  getRunStatus(id: string): Promise<WorkflowStatus | null>;
  /** All runs of that status, oldest first. Long lists take a round trip for every 500 runs. */
  getRunsByStatus(status: WorkflowStatus): Promise<WorkflowRunRecord[]>;
  /**
   * RUNNING runs that neither moved nor wait for anything: no write to the run or its stages after
   * `stuckSince`, no lease of a job taken or renewed since then, no job or poll due later, and no
   * backlog in front of its jobs. Longest without an update first.
   */
  getStuckRuns(stuckSince: Date): Promise<WorkflowRunRecord[]>;
  /**
   * Moves the run from PENDING to RUNNING and sets `startedAt`. True for exactly one of any number
   * of callers; false for the others, and for a run that is not PENDING or does not exist.
   * @example
   * if (await persistence.claimPendingRun("run-1")) console.log("ours: start its first stage");
   */
  claimPendingRun(id: string): Promise<boolean>;
  /**
   * As {@link claimPendingRun}, for the PENDING run of the highest priority, the oldest first. Null
   * when there is none. While enough runs are PENDING, each of several racing callers gets one. One
   * round trip to look and one for each run that is tried.
   */
  claimNextPendingRun(): Promise<WorkflowRunRecord | null>;

  /**
   * Adds a stage with `version` 1.
   * @throws NOT_FOUND when its run does not exist; ALREADY_EXISTS when the run has a stage with
   * that `stageId`.
   */
  createStage(data: CreateStageInput): Promise<WorkflowStageRecord>;
  /**
   * Adds the stage, or updates the one that is there. Returns it as it is afterwards. Of two at
   * once both succeed.
   * @throws NOT_FOUND when its run does not exist.
   * @example
   * const stage = await persistence.upsertStage({
   *   workflowRunId: "run-1",
   *   stageId: "fetch",
   *   create: {
   *     workflowRunId: "run-1",
   *     stageId: "fetch",
   *     stageName: "Fetch",
   *     stageNumber: 1,
   *     executionGroup: 1,
   *   },
   *   update: { status: "RUNNING", startedAt: new Date() },
   * });
   * console.log(stage.version);
   */
  upsertStage(data: UpsertStageInput): Promise<WorkflowStageRecord>;
  /**
   * As {@link updateRun}, for the stage with this record id (`WorkflowStageRecord.id`).
   * @throws NOT_FOUND; with `expectedVersion` a `StaleVersionError` instead.
   */
  updateStage(id: string, data: UpdateStageInput): Promise<void>;
  /**
   * As {@link updateStage}, for the stage that the run has under this `stageId` now.
   * @throws NOT_FOUND; with `expectedVersion` a `StaleVersionError` instead.
   */
  updateStageByRunAndStageId(
    workflowRunId: string,
    stageId: string,
    data: UpdateStageInput,
  ): Promise<void>;
  /** The run's stage with this `stageId`, or null. */
  getStage(runId: string, stageId: string): Promise<WorkflowStageRecord | null>;
  /**
   * The stage with this record id. Null also when it was deleted and made anew: then it has another
   * record id.
   */
  getStageById(id: string): Promise<WorkflowStageRecord | null>;
  /**
   * The run's stages by `executionGroup`, then `stageNumber`, then `stageId`; `desc` reverses all
   * three.
   */
  getStagesByRun(
    runId: string,
    options?: { status?: WorkflowStageStatus; orderBy?: "asc" | "desc" },
  ): Promise<WorkflowStageRecord[]>;
  /**
   * SUSPENDED stages of all runs with `nextPollAt` at or before this instant, in the order of
   * `nextPollAt`.
   */
  getSuspendedStages(beforeDate: Date): Promise<WorkflowStageRecord[]>;
  /** The run's first SUSPENDED stage that waits for no instant (`nextPollAt` is null), or null. */
  getFirstSuspendedStageReadyToResume(runId: string): Promise<WorkflowStageRecord | null>;
  /** The run's first FAILED stage, or null. */
  getFirstFailedStage(runId: string): Promise<WorkflowStageRecord | null>;
  /** The run's last COMPLETED stage, or null. */
  getLastCompletedStage(runId: string): Promise<WorkflowStageRecord | null>;
  /** The run's last COMPLETED stage with an `executionGroup` below this one, or null. */
  getLastCompletedStageBefore(
    runId: string,
    executionGroup: number,
  ): Promise<WorkflowStageRecord | null>;
  /**
   * Deletes the stage with this record id, and its logs. Its artifacts and annotations stay and no
   * longer refer to it. The same `stageId` can be used again at once.
   * @throws NOT_FOUND.
   */
  deleteStage(id: string): Promise<void>;

  /**
   * Adds a line to the log of a run, of a stage, or of neither. A line that names only a stage is
   * in its run's log.
   * @throws NOT_FOUND for a run or a stage that does not exist.
   */
  createLog(data: CreateLogInput): Promise<void>;

  /**
   * Stores an artifact under (run, key), over an older one. `data`, `size` and `type` are always
   * replaced; metadata and the reference to a stage only where they are given. Id and `createdAt`
   * stay.
   * @throws NOT_FOUND for a run or a stage that does not exist.
   * @example
   * await persistence.saveArtifact({
   *   workflowRunId: "run-1",
   *   key: "summary",
   *   type: "ARTIFACT",
   *   data: { words: 120 },
   *   size: 13,
   * });
   */
  saveArtifact(data: SaveArtifactInput): Promise<void>;
  /** The stored data, or `undefined` when there is no such artifact. */
  loadArtifact(runId: string, key: string): Promise<unknown>;
  /** Whether there is such an artifact. Its data is not read. */
  hasArtifact(runId: string, key: string): Promise<boolean>;
  /** @throws NOT_FOUND when there is no such artifact. */
  deleteArtifact(runId: string, key: string): Promise<void>;
  /** The run's artifacts with their data, by key in the order of its UTF-8 bytes. */
  listArtifacts(runId: string): Promise<WorkflowArtifactRecord[]>;
  /**
   * The record id of the run's stage, for a new artifact to refer to; null when there is no such
   * stage.
   */
  getStageIdForArtifact(runId: string, stageId: string): Promise<string | null>;
  /**
   * Stores a stage's output as an artifact and returns its key:
   * `workflow-v2/{workflowType}/{runId}/{stageId}/output.json`. Its size is that of the JSON in
   * bytes of UTF-8. It refers to the stage where there is one.
   * @throws NOT_FOUND when the run does not exist; INVALID_ARGUMENT for `undefined`.
   */
  saveStageOutput(
    runId: string,
    workflowType: string,
    stageId: string,
    output: unknown,
  ): Promise<string>;

  /**
   * Adds annotations, all or none, also to several runs. One with an idempotency key that its run
   * has already under the same key is skipped, without an error.
   * @throws NOT_FOUND for a run or a stage that does not exist.
   * @example
   * await persistence.appendAnnotations([
   *   {
   *     workflowRunId: "run-1",
   *     scope: "run",
   *     key: "review.verdict",
   *     value: "good",
   *     actor: { kind: "user", id: "ada" },
   *     idempotencyKey: "review-7",
   *   },
   * ]);
   */
  appendAnnotations(inputs: CreateAnnotationInput[]): Promise<void>;
  /**
   * The run's annotations, oldest first; those of one call in the order given. `limit` defaults to
   * 1,000 and is at most 10,000.
   */
  listAnnotations(
    workflowRunId: string,
    filters?: AnnotationFilters,
  ): Promise<WorkflowAnnotationRecord[]>;

  /**
   * Adds events in this order, each with its run's next sequence. The runs need not exist. In a
   * transaction the events are there exactly if its other writes are.
   * @example
   * await persistence.withTransaction(async (tx) => {
   *   await tx.updateRun("run-1", { status: "COMPLETED" });
   *   await tx.appendOutboxEvents([
   *     {
   *       workflowRunId: "run-1",
   *       eventType: "run.completed",
   *       payload: { runId: "run-1" },
   *       causationId: "job-9",
   *       occurredAt: new Date(),
   *     },
   *   ]);
   * });
   */
  appendOutboxEvents(events: CreateOutboxEventInput[]): Promise<void>;
  /**
   * Events that wait to be published, by run and sequence: `limit` of them (default 100, at most
   * 1,000). When more wait, runs take turns: the page has the first events of every run before the
   * second of any.
   */
  getUnpublishedOutboxEvents(limit?: number): Promise<OutboxRecord[]>;
  /**
   * Marks the events as published, and takes them out of the DLQ. Unknown ids are ignored, and a
   * first `publishedAt` stays. More than 1,000 take several commits; repeating the call does no
   * harm.
   */
  markOutboxEventsPublished(ids: string[]): Promise<void>;
  /**
   * Counts a failed try to publish the event. Returns the count.
   * @throws NOT_FOUND.
   */
  incrementOutboxRetryCount(id: string): Promise<number>;
  /**
   * Sets the event aside: it is not listed as unpublished any more. Nothing if it is published
   * already.
   * @throws NOT_FOUND.
   */
  moveOutboxEventToDLQ(id: string): Promise<void>;
  /**
   * Takes up to this many events out of the DLQ, longest there first, with `retryCount` 0. Returns
   * how many.
   */
  replayDLQEvents(maxEvents: number): Promise<number>;

  /**
   * Takes the key for this caller, unless it is taken or done: of any number of callers one gets
   * `acquired`. Keys count within their `commandType`. A completed key is kept for 30 days by
   * default.
   * @example
   * const key = await persistence.acquireIdempotencyKey("order-42", "ship", {
   *   // A holder that has died does not block the key for ever.
   *   staleInProgressAfterMs: 15 * 60_000,
   * });
   * if (key.status === "acquired") {
   *   await persistence.completeIdempotencyKey("order-42", "ship", { parcel: "P-1" });
   * }
   */
  acquireIdempotencyKey(
    key: string,
    commandType: string,
    options?: AcquireIdempotencyKeyOptions,
  ): Promise<AcquireIdempotencyKeyResult>;
  /**
   * Stores the result, which later callers of `acquireIdempotencyKey` get. It also adds a key that
   * is absent, so that a result is never lost, and replaces the result of a completed one.
   * `undefined` is stored as null.
   */
  completeIdempotencyKey(key: string, commandType: string, result: unknown): Promise<void>;
  /**
   * Lets go of a key in progress, for the next caller to take. Nothing for a completed or an absent
   * key.
   */
  releaseIdempotencyKey(key: string, commandType: string): Promise<void>;
}

/**
 * The queue as every version of an engine knows it: queues of engines 0.8 to 0.12 are assignable to
 * this type. A connection has more ({@link ExtendedJobQueue}), and its queue is assignable to
 * theirs.
 *
 * Delivery is at least once. A delivered job is leased to the connection that dequeued it: for five
 * minutes by default, renewed with `touchJob`. A connection settles only the attempt it was given;
 * when a later attempt owns the job, `complete`, `suspend`, `fail` and `touchJob` throw LEASE_LOST
 * and change nothing. A connection that was never given the job may settle it.
 * @example
 * const job = await jobs.dequeue();
 * if (job !== null) {
 *   try {
 *     console.log("attempt", job.attempt, "of", job.stageId);
 *     await jobs.complete(job.jobId);
 *   } catch (error) {
 *     await jobs.fail(job.jobId, String(error), true);
 *   }
 * }
 */
export interface JobQueue {
  /** Adds a PENDING job and returns its id. The run need not exist. */
  enqueue(options: EnqueueJobInput): Promise<string>;
  /** Adds all of them or none. Returns their ids in the order of the inputs. */
  enqueueParallel(jobs: EnqueueJobInput[]): Promise<string[]>;
  /**
   * Leases the due job of the highest priority, the oldest first, or null when none is due. Of
   * racing callers each gets a job of its own. `attempt` counts this delivery.
   */
  dequeue(): Promise<DequeueResult | null>;
  /**
   * Ends the job as COMPLETED. Takes PENDING and SUSPENDED jobs, too. Nothing if the job has ended
   * before.
   * @throws NOT_FOUND; LEASE_LOST, and then the late result is kept as the annotation
   * `job.late-result` of the run.
   */
  complete(jobId: string): Promise<void>;
  /**
   * Ends the lease and makes the job wait until `nextPollAt`. Nothing if the job has ended before.
   * @throws NOT_FOUND; LEASE_LOST, as with {@link complete}.
   */
  suspend(jobId: string, nextPollAt: Date): Promise<void>;
  /**
   * Counts a failure and records `error`, at most 65,536 bytes. With `shouldRetry` (default false),
   * and while attempts are left, the job becomes PENDING again after a pause of 2 s, 4 s, 8 s, ...;
   * otherwise it ends as FAILED. Nothing if the job has ended before.
   * @throws NOT_FOUND; LEASE_LOST, as with {@link complete}.
   */
  fail(jobId: string, error: string, shouldRetry?: boolean): Promise<void>;
  /**
   * Renews the lease of a RUNNING job: it counts from now. Nothing, and no error, for any other
   * job. Since 0.11.
   * @throws LEASE_LOST.
   */
  touchJob?(jobId: string): Promise<void>;
  /** The run's jobs in the order in which they were enqueued. Since 0.11. */
  getJobsByWorkflowRun?(workflowRunId: string): Promise<JobRecord[]>;
  /** SUSPENDED jobs whose `nextPollAt` has come, longest due first. Until 0.10. */
  getSuspendedJobsReadyToPoll?(): Promise<
    Array<{ jobId: string; stageId: string; workflowRunId: string }>
  >;
  /**
   * Ends leases that were not renewed for this many milliseconds (default 300,000). Each counts as
   * a failure: the job is PENDING again, or FAILED when its attempts are used up. Returns how many
   * leases it ended. Two round trips for every 100 leases, one when there are none.
   */
  releaseStaleJobs(staleThresholdMs?: number): Promise<number>;
  /**
   * Ends the run's PENDING and SUSPENDED jobs as CANCELLED. RUNNING ones stay. Returns how many it
   * ended.
   */
  cancelByRun(workflowRunId: string): Promise<number>;
}

/**
 * Sums over AI calls, in all and for each `modelKey`. Costs are in the caller's own unit.
 * @example
 * const { totalCost, perModel } = await aiCalls.getStats("run-1/");
 * for (const [model, sums] of Object.entries(perModel)) console.log(model, sums.cost / totalCost);
 */
export interface AIHelperStats {
  totalCalls: number;
  totalInputTokens: number;
  totalOutputTokens: number;
  totalCost: number;
  perModel: Record<
    string,
    { calls: number; inputTokens: number; outputTokens: number; cost: number }
  >;
}

/**
 * The ledger of calls to AI models. It is never part of a transaction.
 * @example
 * aiCalls.logCall({
 *   topic: "run-1/summary",
 *   callType: "text",
 *   modelKey: "small",
 *   modelId: "small-2026-01",
 *   prompt: "Summarise ...",
 *   response: "...",
 *   inputTokens: 900,
 *   outputTokens: 120,
 *   cost: 0.0004,
 * });
 */
export interface AICallLogger {
  /**
   * Records the call in the background: it returns immediately and never throws. A call that cannot
   * be recorded is reported with `console.error`. On Workers give the connection `waitUntil`, or
   * await `flush()`.
   */
  logCall(call: CreateAICallInput): void;
  /**
   * Records the results of a batch, and may be repeated: the same result under the same batch id is
   * recorded once, and a `requestId` has one result, the first. Of two equal results without a
   * `requestId` in one call, both are recorded.
   */
  logBatchResults(batchId: string, results: CreateAICallInput[]): Promise<void>;
  /** Sums over every topic that starts with this text, case-sensitive; `""` is everything. */
  getStats(topicPrefix: string): Promise<AIHelperStats>;
  /**
   * Whether anything is recorded under that id, by `logBatchResults` or by a `logCall` that names
   * it.
   */
  isRecorded(batchId: string): Promise<boolean>;
}

/**
 * An AI call logger that can be waited for.
 * @example
 * await aiCalls.flush();
 */
export interface FlushableAICallLogger extends AICallLogger {
  /**
   * Resolves when every `logCall` made so far has been written or has failed and been reported.
   * Never rejects.
   */
  flush(): Promise<void>;
}
