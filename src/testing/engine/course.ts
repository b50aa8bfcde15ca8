/** One run, its clock and its workers. A worker has one job at a time, so all happens in one order. */
import type { Backend } from "../../contract/index.ts";
import type { StageRunner } from "../../engine/delivery.ts";
import { type Duration, durationMs, shown } from "../../engine/duration.ts";
import type { Run, RunOutput, SignalNameOf } from "../../engine/runs.ts";
import { noStage } from "../../engine/names.ts";
import { type FailedTry, stageRunner } from "../../engine/work.ts";
import type { InputOf, OutputOf, OutputsOf, SignalsOf, Workflow } from "../../engine/workflow.ts";
import { createMemoryStore, type MemoryStore } from "../../memory/store.ts";
import {
  decodeJson,
  decodeText,
  INSTANT_MAX,
  isParked,
  type JobRow,
  type StageRow,
} from "../../model/index.ts";
import { byText, compareUtf8 } from "../../model/order.ts";
import { AutoCommit } from "../../persistence/auto-commit.ts";
import { Connection } from "../../persistence/connection.ts";
import { unitOf } from "../../persistence/connection-core.ts";
import { ownMethods } from "../../persistence/own-methods.ts";
// By their files: the folders' indexes bring what needs the platform.
import { ConsumerJobs } from "../../queue/consumer-jobs.ts";
import { handOverFailures } from "../../queue/hand-over.ts";
import { LEASE_LOST } from "../../queue/lease-keeper.ts";
import { dispatchSettings } from "../../queue/settings.ts";
import { drive, endDead, runsOf } from "../../runner/index.ts";
import { sweep } from "../../schedule/sweep.ts";
import { PAUSED, valueOf, WaitsForSignal } from "./ended.ts";
import { type Fault, MortalStore } from "./mortal-store.ts";
import { type ToldStore, toldStore } from "./told-store.ts";
import type { TestEvent, TestLog, TestRun, TestRunOptions, TestStage } from "./test-run.ts";

const SETTINGS = dispatchSettings({ RETRY_JITTER: 0 });

/** Something that happens by itself, at its instant. */
interface Due {
  readonly at: number;
  readonly what: "work" | "lease" | "failure";
  readonly stageId: string;
}

/** A stage that is about to run, with the step that runs it. */
interface Held {
  readonly step: Promise<boolean>;
  readonly go: () => void;
}

/** The job that a worker has in its hands, and the signal of the stages that it runs. */
interface Leased {
  readonly ordinal: string;
  readonly attempt: number;
  readonly over: AbortController;
}

export class Course<W extends Workflow> implements TestRun<W> {
  readonly run: Run<W>;
  readonly backend: Backend;
  deaths = 0;
  readonly #workflow: W;
  readonly #clock: { now: number };
  readonly #store: MemoryStore;
  readonly #stages: StageRunner;
  #worker: MortalStore;
  readonly #first: MortalStore;
  #held: Held | null = null;
  /** The last try that failed. */
  #failure: FailedTry | null = null;
  #leased: Leased | null = null;
  #stopAt: { readonly id: string; readonly reached: () => Promise<void> } | null = null;

  private constructor(
    { workflow, env }: { readonly workflow: W; readonly env: object },
    { run, backend, clock, store, told }: Started<W>,
    fault: Fault | null,
  ) {
    told.tell = () => this.#abortLost();
    this.#workflow = workflow;
    this.run = run;
    this.backend = backend;
    this.#clock = clock;
    this.#store = store;
    this.#first = new MortalStore(store, fault);
    this.#worker = this.#first;
    const onFailure = (failure: FailedTry) => {
      this.#failure = failure;
    };
    this.#stages = stageRunner([workflow], { env, now: () => clock.now, onFailure });
    ownMethods(this);
  }

  static async started<W extends Workflow>(
    workflow: W,
    input: InputOf<W>,
    { now = Date.now(), env = {}, ...options }: TestRunOptions<W>,
    fault: Fault | null = null,
  ): Promise<Course<W>> {
    const clock = { now: Number(now) };
    const store = createMemoryStore({ now: () => clock.now });
    const told = toldStore(store);
    const backend = new Connection(told);
    const run = await runsOf(backend).start(workflow, input, options);
    return new Course({ workflow, env }, { run, backend, clock, store, told }, fault);
  }

  get now(): number {
    return this.#clock.now;
  }

  /** What each commit of the first worker changed. */
  get commits(): readonly string[] {
    return this.#first.commits;
  }

  get events(): readonly TestEvent[] {
    return [...this.#store.state.outboxEvents.part(this.run.id).values()]
      .toSorted((a, b) => a.sequence - b.sequence)
      .map(({ eventType, occurredAt, payload: text }) => {
        const payload = membersOf(decodeJson(text));
        const stage = typeof payload["stageId"] === "string" ? payload["stageId"] : null;
        return { type: eventType, stage, at: occurredAt, payload };
      });
  }

  get stages(): readonly TestStage[] {
    return this.#rows().map(({ stageId, status, attempt, outputData, errorMessage }) => ({
      id: stageId,
      status,
      attempt,
      output: outputData === null ? undefined : decodeJson(outputData),
      error: errorMessage === null ? null : decodeText(errorMessage),
    }));
  }

  get logs(): readonly TestLog[] {
    const ids = new Map(this.#rows().map(({ id, stageId }) => [id, stageId]));
    return [...this.#store.state.logs.part(this.run.id).values()]
      .toSorted(byText(({ ordinal }) => ordinal))
      .map(({ workflowStageId, level, message, metadata }) => ({
        stage: (workflowStageId === null ? undefined : ids.get(workflowStageId)) ?? null,
        level,
        message: decodeText(message),
        data: metadata === null ? undefined : decodeJson(metadata),
      }));
  }

  async until(id: keyof OutputsOf<W> & string): Promise<void> {
    const { plan } = this.#workflow;
    if (!plan.byId.has(id)) throw new Error(noStage(plan, id));
    await this.#letGo();
    for (;;) {
      const status = this.#row(id)?.status;
      if (status === "SUSPENDED") return;
      if (status === "SKIPPED") throw new Error(`Stage ${shown(id)} was skipped`);
      await this.#requireGoing(id);
      if (await this.#stepUpTo(id)) return;
    }
  }

  async advance(time: Duration): Promise<void> {
    const until = this.now + durationMs(time, "time");
    await this.#letGo();
    while (await this.#step(until, { endsWaits: true }));
    this.#clock.now = Math.max(this.now, until);
  }

  async signal<K extends SignalNameOf<W>>(
    name: K,
    payload: SignalsOf<W>[K & keyof SignalsOf<W>],
    options?: { readonly key?: string },
  ): Promise<void> {
    await this.run.signal(name, payload, options);
  }

  async output(): Promise<OutputOf<W>> {
    return valueOf(await this.end(), this.#failure);
  }

  /** Takes the run to its end. @throws Error when it gets to none. */
  async end(): Promise<RunOutput<OutputOf<W>>> {
    await this.#letGo();
    for (;;) {
      const output = await this.run.output();
      if ("value" in output || "reason" in output) return output;
      if (output.status === "SUSPENDED") throw new Error(PAUSED);
      if (!(await this.#step(INSTANT_MAX))) throw new Error(STUCK);
    }
  }

  async #requireGoing(id: string): Promise<void> {
    const output = await this.run.output();
    if (output.status === "SUSPENDED") throw new Error(PAUSED);
    if (output.status === "RUNNING" || output.status === "PENDING") return;
    const stage = this.#row(id);
    const where =
      stage === undefined
        ? `did not come to ${shown(id)}`
        : `had come to ${shown(id)} before: it is ${stage.status}`;
    const reason = "reason" in output ? ` (${output.reason})` : "";
    throw new Error(`The run is ${output.status}${reason}, and ${where}`);
  }

  /** Takes one step, or part of one: true if it stands before the stage. */
  async #stepUpTo(id: string): Promise<boolean> {
    const reached = Promise.withResolvers<void>();
    const going = Promise.withResolvers<void>();
    this.#stopAt = {
      id,
      reached: async () => {
        reached.resolve();
        return going.promise;
      },
    };
    const step = this.#step(INSTANT_MAX);
    const isHeld = await Promise.race([reached.promise.then(() => true), step.then(() => false)]);
    this.#stopAt = null;
    if (isHeld) {
      this.#held = { step, go: going.resolve };
      return true;
    }
    if (!(await step)) throw new Error(STUCK);
    return false;
  }

  /** The stage that `until` has stopped at runs. */
  async #letGo(): Promise<void> {
    const held = this.#held;
    this.#held = null;
    held?.go();
    await held?.step;
  }

  /** Does what is due first, at its instant. False: until then, nothing is. */
  async #step(until: number, { endsWaits = false } = {}): Promise<boolean> {
    for (const due of this.#dues()) {
      if (due.at > until) return false;
      if (due.at > this.now && !endsWaits && this.#waitsForSignal(due)) {
        throw new WaitsForSignal(due);
      }
      this.#clock.now = Math.max(this.now, due.at);
      // Where it did nothing, such as for a job whose concurrency key has no room, a later one may.
      if (await this.#done(due)) return true;
    }
    return false;
  }

  /** In order. */
  #dues(): Due[] {
    return [...this.#store.state.jobs.part(this.run.id).values()]
      .flatMap((job) => this.#dueOf(job) ?? [])
      .toSorted((a, b) => a.at - b.at || compareUtf8(a.stageId, b.stageId));
  }

  #dueOf(job: JobRow): Due | null {
    const { stageId } = job;
    switch (job.status) {
      case "PENDING":
        return { at: job.nextPollAt ?? this.now, what: "work", stageId };
      case "SUSPENDED": {
        const at = job.resumeAt;
        return at === null || isParked(job) ? null : { at, what: "work", stageId };
      }
      case "RUNNING":
        // A lease is stale once it is older than its time.
        return { at: (job.lockedAt ?? 0) + SETTINGS.leaseMs + 1, what: "lease", stageId };
      case "FAILED":
        return job.handOverAt === null ? null : { at: job.handOverAt, what: "failure", stageId };
      case "COMPLETED":
      case "CANCELLED":
      case "SKIPPED":
        return null;
    }
  }

  #waitsForSignal({ what, stageId }: Due): boolean {
    const element = this.#workflow.plan.byId.get(stageId);
    return (
      what === "work" && element?.kind === "wait" && this.#row(stageId)?.status === "SUSPENDED"
    );
  }

  async #done({ what }: Due): Promise<boolean> {
    switch (what) {
      case "work": {
        const worker = this.#worker;
        const worked = await Promise.race([this.#work(worker), worker.death.then(() => true)]);
        if (worker.isDead) this.#worker = new MortalStore(this.#store, null);
        return worked;
      }
      case "lease": {
        const { releasedLeases } = await sweep({
          store: this.#store,
          settings: SETTINGS,
          waker: null,
          handler: {
            embedded: true,
            handler: { handleJob: async () => ({ status: "completed" }) },
          },
        });
        return releasedLeases > 0;
      }
      case "failure": {
        const unit = unitOf(this.backend);
        await handOverFailures({
          store: this.#store,
          callsMax: 1,
          handler: async () => async (failed) => endDead(unit, failed),
        });
        return true;
      }
    }
  }

  /** What a consumer of the queue does with one message. */
  async #work(store: MortalStore): Promise<boolean> {
    const direct = new AutoCommit(store);
    const deliveries = new ConsumerJobs({ direct, workerId: "test", retry: SETTINGS.retry });
    const { jobs } = await deliveries.resumeAndDequeue(1);
    const [job] = jobs;
    if (job === undefined) return false;
    const { jobId, workflowRunId, stageId, attempt } = job;
    const ordinal = jobId.slice(workflowRunId.length + 1);
    const over = new AbortController();
    this.#leased = { ordinal, attempt, over };
    try {
      await drive(
        { workflowRunId, ordinal, stageId, attempt },
        { unit: direct, runner: this.#runner, signal: over.signal },
      );
    } catch (error) {
      const [row] = await store.read([{ q: "job", workflowRunId, ordinal }]);
      if (row?.status !== "RUNNING" || row.attempt !== attempt) throw error;
      const outcome = { status: "failed", error: String(error) } as const;
      await deliveries.settleMany([{ jobId, outcome }]);
    } finally {
      this.#leased = null;
    }
    return true;
  }

  /** A worker that looked would find that it has lost its job, as by its next heartbeat. */
  #abortLost(): void {
    const leased = this.#leased;
    if (leased === null) return;
    const { ordinal, attempt, over } = leased;
    const job = this.#store.state.jobs.get(this.run.id, ordinal);
    if (job?.status !== "RUNNING" || job.attempt !== attempt) over.abort(new Error(LEASE_LOST));
  }

  readonly #runner: StageRunner = {
    runStage: async (delivery, tools) => {
      const runs = delivery.occasion.kind !== "decide";
      if (runs && this.#stopAt?.id === delivery.stageId) await this.#stopAt.reached();
      return this.#stages.runStage(delivery, tools);
    },
    afterGroup: async (delivery, tools) => this.#stages.afterGroup(delivery, tools),
  };

  #row(stageId: string): StageRow | undefined {
    return this.#store.state.stages.get(this.run.id, stageId);
  }

  #rows(): StageRow[] {
    return [...this.#store.state.stages.part(this.run.id).values()].toSorted(
      (a, b) => a.stageNumber - b.stageNumber,
    );
  }
}

interface Started<W extends Workflow> {
  readonly run: Run<W>;
  readonly backend: Backend;
  readonly clock: { now: number };
  readonly store: MemoryStore;
  readonly told: ToldStore;
}

const STUCK = "Nothing moves the run on any more: run.backend.audit() tells what is left";

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value))
    : {};
}
