/**
 * A command with everything that it starts. `wrangler dev` is a wrapper that starts Node that
 * starts workerd, so that ending the one process one has spawned would leave the others running.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const LINES_KEPT = 200;
const WINDOWS = process.platform === "win32";
/** Ends the command with this process, in whatever way this process ends. */
const GUARD = fileURLToPath(new URL("guard.mjs", import.meta.url));

export class ProcessGroup {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #output: string[] = [];
  #exitCode: number | null = null;
  /** Nothing writes to our pipes any more. The system may give the process ids to others now. */
  #closed = false;
  #stdout = "";

  constructor(name: string, args: readonly string[], options: { cwd: string; env: Env }) {
    this.name = name;
    this.#child = spawn(process.execPath, [GUARD, ...args], {
      ...options,
      detached: !WINDOWS,
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child.stdout?.on("data", (data: Buffer) => this.#keep(data, true));
    this.#child.stderr?.on("data", (data: Buffer) => this.#keep(data, false));
    this.#child.on("exit", (code, signal) => {
      this.#exitCode = code ?? (signal === null ? 1 : 128);
    });
    this.#child.on("close", () => (this.#closed = true));
  }

  get exited(): boolean {
    return this.#exitCode !== null;
  }

  /** The last lines that it wrote, to find out what went wrong. */
  get lastOutput(): string {
    return this.#output.join("").trimEnd().split("\n").slice(-25).join("\n");
  }

  /** Resolves to the whole standard output, when the command has ended by itself. */
  async finished(): Promise<{ code: number; stdout: string }> {
    await new Promise((resolve) => this.#child.once("close", resolve));
    return { code: this.#exitCode ?? 1, stdout: this.#stdout };
  }

  /** Asks it to end, and insists after `patienceMs`. Resolves when all of it is gone. */
  async stop(patienceMs = 5_000): Promise<void> {
    this.signal("SIGTERM");
    if (!(await this.#goneWithin(patienceMs))) await this.kill();
  }

  /** Ends it as a crash does: no handler runs, and nothing is flushed. */
  async kill(): Promise<void> {
    this.signal("SIGKILL");
    if (!(await this.#goneWithin(10_000))) throw new Error(`${this.name} cannot be killed`);
  }

  signal(signal: "SIGTERM" | "SIGKILL"): void {
    const { pid } = this.#child;
    if (pid === undefined || this.#closed) return;
    if (WINDOWS) spawnSync("taskkill", ["/pid", String(pid), "/T", "/F"]);
    else sendTo(-pid, signal);
  }

  async #goneWithin(ms: number): Promise<boolean> {
    const deadline = Date.now() + ms;
    while (!this.#isGone()) {
      if (Date.now() > deadline) return false;
      await sleep(20);
    }
    return true;
  }

  /** Signal 0 asks whether anyone is left in the group. */
  #isGone(): boolean {
    const { pid } = this.#child;
    if (pid === undefined || this.#closed) return true;
    return this.exited && (WINDOWS || !sendTo(-pid, 0));
  }

  #keep(data: Buffer, isStdout: boolean): void {
    const text = data.toString();
    if (isStdout) this.#stdout += text;
    this.#output.push(text);
    if (this.#output.length > LINES_KEPT) this.#output.shift();
  }
}

type Env = Readonly<Record<string, string | undefined>>;

/** False when there is no such process any more. */
function sendTo(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}
