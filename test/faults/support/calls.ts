/** Calls of any kind that fail when they are told to: of a coordinator, of a session. As `faultyD1` for D1. */

export type CallFault = "before" | "lost" | "late";

export interface MadeCall {
  readonly name: string;
  readonly fault: CallFault | null;
  /** Whether it was really made, and has ended. */
  readonly ran: boolean;
}

export type CallPlan = (index: number, name: string) => CallFault | null;

export class FaultyCalls {
  calls: { -readonly [K in keyof MadeCall]: MadeCall[K] }[] = [];
  #plan: CallPlan = () => null;
  #late: (() => Promise<unknown>)[] = [];

  restart(plan: CallPlan = () => null): void {
    this.calls = [];
    this.#plan = plan;
  }

  async make<T>(name: string, call: () => Promise<T>): Promise<T> {
    const fault = this.#plan(this.calls.length, name);
    const made = { name, fault, ran: false };
    this.calls.push(made);
    const run = async () => {
      try {
        return await call();
      } finally {
        made.ran = true;
      }
    };
    if (fault === null) return run();
    if (fault === "lost") await run();
    if (fault === "late") this.#late.push(run);
    throw new Error("Network connection lost.");
  }

  /** Makes the calls that were late; answers what came of them. */
  async land(): Promise<unknown[]> {
    const late = this.#late;
    this.#late = [];
    const answers: unknown[] = [];
    for (const run of late) answers.push(await run());
    return answers;
  }
}

/** Calls until there is none left. Bounded, so that an answer that never ends fails. */
export async function untilNone(call: () => Promise<unknown>): Promise<void> {
  for (let made = 0; made < 1_000; made += 1) if ((await call()) === null) return;
  throw new Error("There is always another one");
}
