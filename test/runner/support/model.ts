/** What a run of a typed workflow does, told plainly: no commits, no leases, no workers. */

/** How one call of a stage ends. `later`: it asks to be tried again after `LATER_MS`. */
export type Call = "ok" | "fails" | "fatal" | "later";
export type During = "pause" | "pause and resume" | "pause and rerun" | "cancel" | "signal";

export interface Working {
  readonly kind: "stage" | "if";
  readonly id: string;
  /** Of a condition: its answer. With `turns` it is another one each `TURN_MS`. */
  readonly holds: boolean;
  readonly turns: boolean;
  /** By the number of its calls in the run; then it is always "ok". */
  readonly calls: readonly Call[];
  readonly attempts: number;
  /** Polls that find it not ready; null: it does not suspend itself. */
  readonly polls: number | null;
  /** The poll, from 1, that throws; null: none does. */
  readonly throwsAt: number | null;
  readonly keyed: boolean;
  readonly during: { readonly call: number; readonly act: During } | null;
}
export type Element =
  | Working
  | { readonly kind: "wait" | "sleep"; readonly id: string; readonly ms: number };
export type Groups = readonly (readonly Element[])[];

export type Act =
  | { readonly act: "pause" | "resume" | "cancel" }
  | {
      readonly act: "signal";
      readonly name: string;
      readonly key: string;
      readonly payload: number;
    }
  | { readonly act: "rerun"; readonly from: string }
  | { readonly act: "deploy"; readonly to: "same" | "previous" | "unknown" };

export const BACKOFF_MS = 10_000;
export const LATER_MS = 25_000;
export const POLL_MS = 15_000;
export const WITHIN_MS = 40_000;

const TURN_MS = 7_000;

export function holdsAt({ holds, turns }: Working, now: number): boolean {
  return holds !== (turns && Math.floor(now / TURN_MS) % 2 === 1);
}

interface Job {
  readonly order: number;
  id: string;
  due: number;
  failures: number;
  /** Of a stage that waits: when that ends; of one that suspended itself: when it fails. */
  until: number;
  polls: number;
  /** Of a stage that a rerun begins with: its condition is open. */
  decides: boolean;
}

const OPEN = ["PENDING", "RUNNING", "SUSPENDED"];

export class Model {
  now = 0;
  status = "RUNNING";
  output: unknown = undefined;
  readonly events: string[] = ["workflow:started"];
  readonly stages = new Map<string, { status: string; attempt: number }>();
  archived = 0;
  #known = true;
  #order = 0;
  #reruns = 0;
  #jobs: Job[] = [];
  readonly #groups: Groups;
  readonly #valueOf: (id: string, call: number, input: unknown) => unknown;
  readonly #calls = new Map<string, number>();
  readonly #inputs: unknown[] = [];
  readonly #tried = new Map<string, number>();
  readonly #values = new Map<string, unknown>();
  readonly #signals: { name: string; key: string; payload: number; taken: boolean }[] = [];

  constructor(groups: Groups, input: unknown, valueOf: Model["valueOf"]) {
    this.#groups = groups;
    this.#valueOf = valueOf;
    const first = this.#skipTo(0, input);
    if (first === groups.length) {
      this.output = input;
      this.#end("COMPLETED", "workflow:completed");
    }
    for (const { id } of groups[first] ?? []) this.#pending(id, 0);
  }

  /** What a stage gives: of its id, its call's number, and its input. */
  get valueOf() {
    return this.#valueOf;
  }

  get nextDue(): number | null {
    if (this.status !== "RUNNING" || this.#jobs.length === 0) return null;
    return Math.max(this.now, Math.min(...this.#jobs.map(({ due }) => due)));
  }

  /** Works all that is due. */
  work(): void {
    for (;;) {
      const due = this.#jobs.filter((job) => this.status === "RUNNING" && job.due <= this.now);
      const [job] = due.toSorted((a, b) => a.order - b.order);
      if (job === undefined) return;
      this.#take(job);
    }
  }

  /** False: it is refused. */
  perform(act: Act): boolean {
    const isLive = OPEN.includes(this.status);
    switch (act.act) {
      case "pause":
        if (this.status === "RUNNING") this.#turn("SUSPENDED", "workflow:suspended");
        return this.status === "SUSPENDED";
      case "resume":
        if (this.status === "SUSPENDED") this.#turn("RUNNING", "workflow:resumed");
        return this.status === "RUNNING";
      case "cancel":
        if (isLive) this.#end("CANCELLED", "workflow:cancelled");
        return this.status === "CANCELLED";
      case "signal":
        if (!isLive || !this.#groups.flat().some(({ id }) => id === act.name)) return false;
        if (this.#signals.some(({ name, key }) => name === act.name && key === act.key))
          return true;
        this.#signals.push({ ...act, taken: false });
        for (const job of this.#jobs)
          if (job.id === act.name) job.due = Math.min(job.due, this.now);
        return true;
      case "rerun":
        return this.#rerun(act.from);
      case "deploy":
        this.#known = act.to !== "unknown";
        return true;
    }
  }

  #rerun(from: string): boolean {
    if (this.status === "RUNNING" || !this.#known || !this.stages.has(from)) return false;
    const group = this.#groupOf(from);
    this.#jobs = [];
    this.#reruns += 1;
    for (const { id } of this.#groups.slice(group + 1).flat()) {
      const stage = this.stages.get(id);
      if (stage === undefined) continue;
      this.#tried.set(id, stage.attempt);
      this.stages.delete(id);
      this.archived += 1;
    }
    this.#turn("RUNNING", `workflow:rerun`);
    for (const { id } of this.#groups[group] ?? []) {
      const stage = this.stages.get(id);
      if (stage === undefined) continue;
      if (id !== from && (stage.status === "COMPLETED" || stage.status === "SKIPPED")) continue;
      this.archived += 1;
      this.#pending(id, stage.attempt, true);
    }
    return true;
  }

  #take(job: Job): void {
    const stage = this.#stage(job.id);
    if (stage.status === "COMPLETED" || stage.status === "SKIPPED") return this.#goOn(job);
    if (stage.status === "SUSPENDED") return this.#wake(job);
    this.#begin(job);
  }

  #begin(job: Job): void {
    const stage = this.#stage(job.id);
    stage.attempt += 1;
    stage.status = "RUNNING";
    this.events.push(`stage:started ${job.id} ${stage.attempt}`);
    if (!this.#known) return this.#fail(job);
    const element = this.#element(job.id);
    if ("ms" in element) return this.#wait(job, element.ms);
    // Of a run's own way, the condition was decided before; of a rerun, it is decided now, once.
    if (job.decides) {
      job.decides = false;
      if (element.kind === "if" && !holdsAt(element, this.now)) return this.#done(job, "SKIPPED");
    }
    this.#call(job, element);
  }

  #call(job: Job, element: Working): void {
    const call = (this.#calls.get(job.id) ?? 0) + 1;
    this.#calls.set(job.id, call);
    const reruns = this.#reruns;
    if (element.during?.call === call) this.#meanwhile(element.during.act, job.id);
    // The result of an earlier rerun, or of a run that is over, is not taken.
    if (reruns !== this.#reruns || !OPEN.includes(this.status)) return;
    const stage = this.#stage(job.id);
    const end = element.calls[call - 1] ?? "ok";
    if (end === "ok" && element.polls !== null) {
      stage.status = "SUSPENDED";
      job.until = this.now + WITHIN_MS;
      job.polls = 0;
      job.due = Math.min(this.now + POLL_MS, job.until);
      this.events.push(`stage:suspended ${job.id}`);
      return;
    }
    if (end === "ok") {
      this.#values.set(job.id, this.#valueOf(job.id, call, this.#inputs[this.#groupOf(job.id)]));
      return this.#done(job, "COMPLETED");
    }
    this.#again(job, element, end);
  }

  #again(job: Job, element: Working, end: Call): void {
    const stage = this.#stage(job.id);
    job.failures += 1;
    if (end === "fatal" || job.failures >= element.attempts) return this.#fail(job);
    stage.status = "PENDING";
    job.due = this.now + (end === "later" ? LATER_MS : BACKOFF_MS * 2 ** (job.failures - 1));
    this.events.push(`stage:retrying ${job.id} ${stage.attempt}`);
  }

  #meanwhile(act: During, id: string): void {
    const wait = this.#groups.flat().find(({ kind }) => kind === "wait");
    if (act === "signal" && wait !== undefined) {
      this.perform({ act, name: wait.id, key: "during", payload: 7 });
    }
    if (act === "cancel") this.perform({ act });
    if (act.startsWith("pause")) this.perform({ act: "pause" });
    if (act === "pause and resume") this.perform({ act: "resume" });
    if (act === "pause and rerun") this.perform({ act: "rerun", from: id });
  }

  #wait(job: Job, ms: number): void {
    this.#stage(job.id).status = "SUSPENDED";
    this.events.push(`stage:suspended ${job.id}`);
    job.until = this.now + ms;
    job.due = job.until;
    if (this.#untaken(job.id) !== undefined) this.#wake(job);
  }

  #wake(job: Job): void {
    const element = this.#element(job.id);
    const isDue = this.now >= job.until;
    const signal = element.kind === "wait" ? this.#untaken(job.id) : undefined;
    if (!isDue && signal === undefined && "ms" in element) {
      job.due = job.until;
      return;
    }
    if (!this.#known) return this.#fail(job);
    if (!("ms" in element)) {
      job.polls += 1;
      if (job.polls === element.throwsAt) return this.#again(job, element, "fails");
      if (job.polls <= (element.polls ?? 0)) {
        if (isDue) return this.#fail(job);
        job.due = Math.min(this.now + POLL_MS, job.until);
        return;
      }
      const input = this.#inputs[this.#groupOf(job.id)];
      this.#values.set(job.id, this.#valueOf(job.id, 0, input));
    } else if (signal !== undefined) {
      signal.taken = true;
      this.#values.set(job.id, { received: true, payload: signal.payload });
    } else if (element.kind === "wait") this.#values.set(job.id, { received: false });
    this.#done(job, "COMPLETED");
  }

  #done(job: Job, status: "COMPLETED" | "SKIPPED"): void {
    const stage = this.#stage(job.id);
    stage.status = status;
    this.events.push(`stage:${status.toLowerCase()} ${job.id} ${stage.attempt}`);
    job.due = this.now;
    const group = this.#groups[this.#groupOf(job.id)] ?? [];
    if (group.some(({ id }) => OPEN.includes(this.stages.get(id)?.status ?? ""))) {
      this.#jobs = this.#jobs.filter((each) => each !== job);
    } else this.#goOn(job);
  }

  #goOn(job: Job): void {
    if (this.status !== "RUNNING") return;
    const at = this.#groupOf(job.id);
    if (!this.#known) return this.#end("FAILED", `workflow:failed ${job.id}`);
    const next = this.#skipTo(at + 1, this.#valueAfter(at));
    const [leader, ...others] = this.#groups[next] ?? [];
    if (leader === undefined) {
      this.output = this.#valueAfter(at);
      return this.#end("COMPLETED", "workflow:completed");
    }
    for (const { id } of others) this.#pending(id, this.#tried.get(id) ?? 0);
    job.id = leader.id;
    job.failures = 0;
    this.stages.set(leader.id, {
      status: "PENDING",
      attempt: (this.#tried.get(leader.id) ?? 0) + ("ms" in leader ? 1 : 0),
    });
    if ("ms" in leader) this.#wait(job, leader.ms);
    else if (!leader.keyed) this.#begin(job);
  }

  /** The group that comes next, from this one on, behind what is skipped. */
  #skipTo(from: number, input: unknown): number {
    for (const [at, group] of this.#groups.entries()) {
      if (at < from) continue;
      this.#inputs[at] = input;
      const [only] = group;
      if (group.length > 1 || only?.kind !== "if" || holdsAt(only, this.now)) return at;
      this.stages.set(only.id, { status: "SKIPPED", attempt: this.#tried.get(only.id) ?? 0 });
      this.events.push(`stage:skipped ${only.id}`);
    }
    return this.#groups.length;
  }

  #valueAfter(at: number): unknown {
    const group = this.#groups[at] ?? [];
    const [only] = group;
    if (group.length > 1) {
      return Object.fromEntries(group.map(({ id }) => [id, this.#values.get(id)]));
    }
    const passes = only?.kind === "sleep" || this.stages.get(only?.id ?? "")?.status === "SKIPPED";
    return passes ? this.#inputs[at] : this.#values.get(only?.id ?? "");
  }

  #fail({ id }: Job): void {
    this.#stage(id).status = "FAILED";
    this.events.push(`stage:failed ${id} ${this.#stage(id).attempt}`);
    this.#end("FAILED", `workflow:failed ${id}`);
  }

  #end(status: string, event: string): void {
    this.#turn(status, event);
    this.#jobs = [];
    for (const stage of this.stages.values()) {
      if (OPEN.includes(stage.status)) stage.status = "CANCELLED";
    }
  }

  #turn(status: string, event: string): void {
    this.status = status;
    this.events.push(event);
  }

  #pending(id: string, attempt: number, decides = false): void {
    this.stages.set(id, { status: "PENDING", attempt });
    this.#order += 1;
    const job = { order: this.#order, id, due: this.now, failures: 0, until: 0, polls: 0, decides };
    this.#jobs.push(job);
  }

  #untaken(id: string) {
    return this.#signals.find(({ name, taken }) => name === id && !taken);
  }

  #groupOf(id: string): number {
    return this.#groups.findIndex((group) => group.some((element) => element.id === id));
  }

  #element(id: string): Element {
    return found(this.#groups.flat().find((element) => element.id === id));
  }

  #stage(id: string) {
    return found(this.stages.get(id));
  }
}

function found<T>(value: T | undefined): T {
  if (value === undefined) throw new TypeError("The model has lost its way");
  return value;
}
