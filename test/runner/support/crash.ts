/** Runs of typed workflows whose consumer and whose app's Worker die, and after that nothing but the sweep. */
import { expect } from "vitest";
import type { Store } from "../../../src/changes/index.ts";
import type { AuditProblem } from "../../../src/contract/index.ts";
import type { StageRunner } from "../../../src/engine/delivery.ts";
import type { Run, RunOutput } from "../../../src/engine/runs.ts";
import { stageRunner } from "../../../src/engine/work.ts";
import type { Workflow } from "../../../src/engine/workflow.ts";
import { consume, dispatchSettings } from "../../../src/queue/index.ts";
import { sweep } from "../../../src/schedule/index.ts";
import { type Death, MortalStore } from "../../../src/testing/engine/mortal-store.ts";
import { wakerOf } from "../../../src/worker/index.ts";
import { permits, RecordingQueue } from "../../queue/support/queue.ts";
import { toDelivery } from "../../queue/support/world.ts";
import { emptyDatabase } from "../../support/database.ts";
import { env } from "../../support/env.ts";
import { Engine } from "./engine.ts";

/** A lease runs out between two ticks of the recovery. */
const VARS = { RETRY_JITTER: 0, LEASE_MS: 60_000 };
const SETTINGS = dispatchSettings(VARS);
const TICK_MS = 61_000;
const TICKS_MAX = 40;

type Runs = Readonly<Record<string, unknown>>;
export type AnyRun = Run<Workflow<unknown, unknown, Runs, Runs>>;

export interface Scenario {
  readonly name: string;
  /** Called for each run: what its stages keep is the run's own. */
  readonly make: () => Workflow;
  /** After the start. */
  readonly begun?: (run: AnyRun) => Promise<void>;
  /** After each tick. */
  readonly each?: (run: AnyRun, engine: Engine) => Promise<void>;
  /** What the audit names until the sweep has handed over a job that has failed for good. */
  readonly meanwhile?: readonly AuditProblem[];
  readonly ends: RunOutput<unknown>;
}

export const WHO = ["consumer", "app", "both"] as const;
export interface Fault {
  readonly commit: number;
  readonly death: Death;
  readonly who: (typeof WHO)[number];
}

/** What a call of a Worker that dies rejects with. */
function workerDied(): Error {
  return Object.assign(new Error("Network connection lost."), { retryable: true });
}

/** An app's Worker that dies in one of its calls: before it has run the stage, or after. */
class MortalApp {
  calls = 0;
  died = false;
  dies: { readonly call: number; readonly ran: boolean } | null = null;
  readonly #runner: StageRunner;

  constructor(workflow: Workflow) {
    this.#runner = stageRunner([workflow], { env: {}, now: () => 0 });
  }

  get handler() {
    return {
      handleJob: async () => ({ status: "completed" }) as const,
      runStage: async (...given: Parameters<StageRunner["runStage"]>) =>
        this.#call(async () => this.#runner.runStage(...given)),
      afterGroup: async (...given: Parameters<StageRunner["afterGroup"]>) =>
        this.#call(async () => this.#runner.afterGroup(...given)),
    };
  }

  async #call<T>(make: () => Promise<T>): Promise<T> {
    const call = this.calls;
    this.calls += 1;
    const dies = this.dies?.call === call ? this.dies : null;
    if (dies === null) return make();
    if (dies.ran) await make();
    this.died = true;
    throw workerDied();
  }
}

/** What came of a run. */
export interface Played {
  /** The calls of the app before each commit of the consumers. */
  readonly callsBefore: readonly number[];
  readonly kinds: readonly string[];
  /** The fault has happened, wholly. */
  readonly faulted: boolean;
  readonly output: RunOutput<unknown>;
  /** The results that were taken, in order; siblings, whose ids begin with "p", in any order. */
  readonly accepted: readonly string[];
}

export async function play(
  scenario: Scenario,
  fault: Fault | null,
  undisturbed: Played | null,
): Promise<Played> {
  await emptyDatabase();
  const workflow = scenario.make();
  const engine = new Engine({ workflows: [workflow] });
  const app = new MortalApp(workflow);
  const callsBefore: number[] = [];
  const mortal = new MortalStore(
    engine.store,
    fault === null || fault.who === "app" ? null : { commit: fault.commit, death: fault.death },
  );
  const counted: Store = {
    now: async () => mortal.now(),
    read: async (queries) => mortal.read(queries),
    settle: async (commit) => mortal.settle(commit),
    async attempt(commit) {
      callsBefore.push(app.calls);
      const here = fault?.commit === callsBefore.length - 1;
      if (here && fault.who === "both") {
        app.dies = { call: app.calls, ran: fault.death === "answer lost" };
      }
      return mortal.attempt(commit);
    },
  };
  if (fault?.who === "app") {
    const calls = undisturbed?.callsBefore[fault.commit] ?? 0;
    app.dies =
      fault.death === "before"
        ? { call: Math.max(calls - 1, 0), ran: calls > 0 }
        : { call: calls, ran: fault.death === "answer lost" };
  }
  let store = counted;
  const work = async (messages: Parameters<typeof consume>[0]) => {
    const consumed = consume(messages, {
      store,
      handler: { embedded: false, handler: app.handler },
      settings: SETTINGS,
      workerId: "consumer",
      waitUntil: () => {},
    });
    await (store === counted ? Promise.race([consumed, mortal.death]) : consumed);
    if (mortal.isDead) store = engine.store;
  };
  const started = await engine.runs.start(workflow, null);
  const run: AnyRun = engine.runs.get(
    workflow as Workflow<unknown, unknown, Runs, Runs>,
    started.id,
  );
  await scenario.begun?.(run);
  await work(permits(1));
  for (let tick = 1; !isOver(await run.output()); tick += 1) {
    const when = `tick ${tick} after ${JSON.stringify(fault)}: ${mortal.commits.join("; ")}`;
    const findings = await engine.connection.audit();
    expect(
      findings.filter(({ problem }) => scenario.meanwhile?.includes(problem) !== true),
      when,
    ).toEqual([]);
    expect(tick, "the run does not end").toBeLessThan(TICKS_MAX);
    await scenario.each?.(run, engine);
    engine.now += TICK_MS;
    const queue = new RecordingQueue();
    const report = await sweep({
      store: engine.store,
      settings: SETTINGS,
      waker: wakerOf({ DB: env.DB, RUNS: env.RUNS, JOBS: queue, ...VARS }, true),
      queue,
      handler: { embedded: false, handler: app.handler },
    });
    expect(report.failed).toEqual([]);
    const sent = queue.take().filter(({ delaySeconds = 0 }) => delaySeconds === 0);
    for (let from = 0; from < sent.length; from += 10) {
      await work(sent.slice(from, from + 10).map(toDelivery));
    }
  }
  return {
    callsBefore,
    kinds: mortal.commits,
    faulted: fault?.who === "consumer" ? callsBefore.length > fault.commit : app.died,
    output: await run.output(),
    accepted: await sound(engine, run.id),
  };
}

function isOver(output: RunOutput<unknown>): boolean {
  return "value" in output || "reason" in output;
}

/** Holds the rows of a run that is over against what is promised. Answers the results that were taken. */
export async function sound(engine: Engine, id: string): Promise<string[]> {
  const ends = (await engine.rows(id)).filter(({ eventType }) =>
    /workflow:(?:completed|failed|cancelled)/.test(eventType),
  );
  expect(ends).toHaveLength(1);
  return consistent(engine, id);
}

/** As {@link sound}, of a run that may have been run again after it was over. */
export async function consistent(engine: Engine, id: string): Promise<string[]> {
  expect(await engine.connection.audit()).toEqual([]);
  const events = await engine.rows(id);
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, at) => at + 1));
  expect(events.at(-1)?.eventType).toMatch(/^workflow:/);
  const begun = new Set<string>();
  const ended = new Set<string>();
  const taken: string[] = [];
  for (const { eventType, stageId, attempt } of events) {
    const what = `${stageId} ${attempt}`;
    if (eventType === "stage:started") {
      expect(begun, what).not.toContain(what);
      begun.add(what);
    }
    if (!/stage:(?:completed|skipped|failed)/.test(eventType)) continue;
    expect(ended, what).not.toContain(what);
    ended.add(what);
    taken.push(`${stageId} ${eventType}`);
  }
  const jobs = await engine.connection.jobs.getJobsByWorkflowRun(id);
  expect(jobs.filter(({ status }) => ["PENDING", "RUNNING", "SUSPENDED"].includes(status))).toEqual(
    [],
  );
  return taken.map((what) => what.replace(/^p\d/, "p"));
}
