/** What comes after a crash: nothing but the sweep, until everything is over. */
import { expect } from "vitest";
import type { AuditFinding, JobHandler } from "../../../src/contract/index.ts";
import { Engine, finished, type Plan, told } from "./engine.ts";
import { HOUR_MS, MINUTE_MS, World } from "./world.ts";
import type { DispatchVars } from "../../../src/queue/index.ts";

const TICKS_MAX = 60;

/** A tick a minute until every lease has run out; after that time goes by in larger steps. */
function pause(tick: number): number {
  if (tick <= 7) return MINUTE_MS + 1;
  return tick <= 10 ? HOUR_MS + 1 : 12 * HOUR_MS;
}

export class Recovery {
  readonly world: World;
  readonly engine: Engine;
  readonly plans: readonly Plan[];

  constructor(plans: readonly Plan[], vars: DispatchVars = {}) {
    this.world = new World(vars);
    this.plans = plans;
    this.engine = new Engine(plans, () => this.world.now);
  }

  /** Starts every run; what that sends is lost. */
  async start(): Promise<void> {
    const { backend } = this.world.part();
    for (const plan of this.plans) await this.engine.start(backend, plan);
    await this.expectSound();
  }

  async expectSound(when?: string): Promise<void> {
    const findings = await this.world.part().backend.audit();
    expect(
      findings.filter((finding) => !this.#isExpected(finding)),
      when,
    ).toEqual([]);
  }

  /** Of a plan that polls, the audit names the stage until the sweep gives it a job. */
  #isExpected({ problem, workflowRunId }: AuditFinding): boolean {
    const plan = this.plans.find(({ run }) => run === workflowRunId);
    return problem === "poll-overdue" && plan?.stages.includes("polls") === true;
  }

  async isOver(): Promise<boolean> {
    const { backend } = this.world.part();
    for (const { run } of this.plans) {
      if ((await backend.persistence.getRunStatus(run)) !== "COMPLETED") return false;
      const jobs = await backend.jobs.getJobsByWorkflowRun(run);
      if (jobs.some(({ status }) => status !== "COMPLETED")) return false;
    }
    return true;
  }

  /** The sweep and its permits, while time passes. Answers how many ticks it took until all was over, and holds the rows against it. */
  async finish(handler: JobHandler = this.engine): Promise<number> {
    await this.expectSound();
    let ticks = 0;
    while (!(await this.isOver())) {
      ticks += 1;
      expect(ticks).toBeLessThan(TICKS_MAX);
      this.world.pass(pause(ticks));
      await this.world.tick(handler);
      await this.expectSound();
    }
    await this.expectFinished();
    return ticks;
  }

  /** Each job is COMPLETED, what its handler commits with it is there once, and no attempt was given twice. */
  async expectFinished(): Promise<void> {
    const { backend } = this.world.part();
    for (const plan of this.plans) expect(await told(backend, plan)).toEqual(finished(plan));
    expect(new Set(this.engine.given).size).toBe(this.engine.given.length);
  }
}
