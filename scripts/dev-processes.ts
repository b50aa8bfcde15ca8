/**
 * The service and the example app as two `wrangler dev` processes with a real service binding
 * between them, and the local database that the service keeps. Used by `npm start` and by the
 * end-to-end test, which kills the service in the middle.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Complaint } from "./complaint.ts";
import { ProcessGroup } from "./process-group.ts";
import { failureOf, isRefused, quietly, ROOT, WRANGLER } from "./wrangler.ts";

const DOCUMENTS = { name: "documents", directory: join(ROOT, "examples", "documents") };
const SERVICE_CONFIG = join(DOCUMENTS.directory, "service.toml");
const SERVICE_NAME = "workflow-engine-cloudflare";
const START_TIMEOUT_MS = 60_000;

export interface DevOptions {
  /** Where the service's local database lives. */
  readonly stateDir: string;
  readonly servicePort: number;
  readonly appPort: number;
  /** Overrides the variable of the service. */
  readonly leaseMs?: number;
  /** The service's wrangler.toml. Default: the example's, which has the example as its handler. */
  readonly config?: string;
  /** The app: its Worker's name, and where its wrangler.toml is. Default: the example. */
  readonly app?: { readonly name: string; readonly directory: string };
  /** The service's secret API_TOKENS. Without it, the HTTP API is closed. */
  readonly apiTokens?: string;
  /** Flags of the runtime, beside those that it always gets. */
  readonly v8Flags?: readonly string[];
}

export type Row = Readonly<Record<string, unknown>>;

export class DevProcesses {
  readonly serviceUrl: string;
  readonly appUrl: string;
  readonly #options: DevOptions;
  readonly #scratchDir: string;
  #service: ProcessGroup | null = null;
  #app: ProcessGroup | null = null;
  #running: ProcessGroup[] = [];
  /** True as soon as `stop` has been called. */
  stopped = false;

  /** Starts nothing yet. */
  static async create(options: DevOptions): Promise<DevProcesses> {
    return new DevProcesses(options, await mkdtemp(join(tmpdir(), "workflow-engine-")));
  }

  private constructor(options: DevOptions, scratchDir: string) {
    this.#options = options;
    this.#scratchDir = scratchDir;
    this.serviceUrl = `http://127.0.0.1:${options.servicePort}`;
    this.appUrl = `http://127.0.0.1:${options.appPort}`;
  }

  /** Applies the migrations that the local database lacks. */
  async migrate(): Promise<void> {
    await this.#wrangler("migrations", "d1 migrations apply DB --local", this.#persistTo());
  }

  /** Resolves when the service answers. */
  async startService(): Promise<void> {
    const { servicePort, leaseMs, apiTokens, config = SERVICE_CONFIG } = this.#options;
    const service = await this.#startDev("the service", ROOT, servicePort, [
      `--config=${config}`,
      ...this.#persistTo(),
      ...(leaseMs === undefined ? [] : [`--var=LEASE_MS:${leaseMs}`]),
      ...(apiTokens === undefined ? [] : [`--var=API_TOKENS:${apiTokens}`]),
    ]);
    this.#service = service;
    await this.#answered(service, `${this.serviceUrl}/readyz`);
  }

  /** Resolves when the app answers and reaches the service. */
  async startApp(): Promise<void> {
    const { app: worker = DOCUMENTS, appPort } = this.#options;
    // A killed app may have left its entry in the registry.
    await rm(join(this.#scratchDir, "registry", worker.name), { force: true });
    const app = await this.#startDev("the app", worker.directory, appPort, [
      `--persist-to=${join(this.#scratchDir, "app-state")}`,
    ]);
    this.#app = app;
    await this.#answered(app, `${this.appUrl}/health`);
  }

  /**
   * Does what the cron does every minute: `wrangler dev` never fires one by itself. False when the
   * service is away.
   */
  async sweep(): Promise<boolean> {
    const url = `${this.serviceUrl}/cdn-cgi/handler/scheduled?cron=*+*+*+*+*`;
    const signal = AbortSignal.timeout(30_000);
    const response = await fetch(url, { signal }).catch(() => null);
    await response?.text().catch(() => "");
    return response?.ok === true;
  }

  /** Sweeps again and again until told to stop. */
  async keepSweeping(everyMs: number, stopped: () => boolean): Promise<void> {
    while (!stopped()) {
      await this.sweep();
      await sleep(everyMs);
    }
  }

  /**
   * Ends the service as a crash would. A process that dies like this leaves its entry in the registry
   * by which `wrangler dev` processes find one another, and a new one would wait a minute and a half
   * for it to expire; so the entry is removed.
   */
  async killService(): Promise<void> {
    await this.#service?.kill();
    this.#service = null;
    await rm(join(this.#scratchDir, "registry", SERVICE_NAME), { force: true });
  }

  /** Ends the app as a crash would: the service's calls find nobody until `startApp`. */
  async killApp(): Promise<void> {
    await this.#app?.kill();
    this.#app = null;
  }

  async stopService(): Promise<void> {
    await this.#service?.stop();
    this.#service = null;
  }

  /** Stops both and removes what they needed besides the state. May be called at any time. */
  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.#running.map((group) => group.stop()));
    await rm(this.#scratchDir, { recursive: true, force: true });
  }

  /** What the two wrote last. */
  get lastOutput(): string {
    const workers = [this.#service, this.#app].filter((worker) => worker !== null);
    return workers.map((worker) => `--- ${worker.name}\n${worker.lastOutput}`).join("\n");
  }

  /** Reads the local database: the rows of each SELECT, in the order given. */
  async query(...selects: readonly string[]): Promise<Row[][]> {
    const command = `--command=${selects.join(";\n")}`;
    const output = await this.#wrangler("query", "d1 execute DB --local --json", [
      command,
      ...this.#persistTo(),
    ]);
    const results = JSON.parse(output) as { results: Row[] }[];
    return results.map((result) => result.results);
  }

  async #startDev(
    name: string,
    cwd: string,
    port: number,
    args: readonly string[],
  ): Promise<ProcessGroup> {
    const inspectorPort = await freePort();
    return this.#spawn(name, cwd, [
      "dev",
      "--local",
      "--ip=127.0.0.1",
      `--port=${port}`,
      `--inspector-port=${inspectorPort}`,
      "--show-interactive-dev-session=false",
      // The lines that are left are the ones to read when something goes wrong.
      "--log-level=warn",
      ...args,
    ]);
  }

  /** Runs a command to its end. Resolves to what it printed. */
  async #wrangler(name: string, command: string, args: readonly string[]): Promise<string> {
    const process = this.#spawn(name, ROOT, [...command.split(" "), ...args]);
    const { code, stdout } = await process.finished();
    if (code === 0) return stdout;
    throw failureOf(`wrangler ${command} failed`, process.lastOutput);
  }

  #persistTo(): string[] {
    return [`--persist-to=${this.#options.stateDir}`];
  }

  #spawn(name: string, cwd: string, args: readonly string[]): ProcessGroup {
    if (this.stopped) throw new Complaint("stopped");
    const group = new ProcessGroup(name, [WRANGLER, ...args], { cwd, env: this.#environment() });
    this.#running = [...this.#running.filter((other) => !other.exited), group];
    return group;
  }

  #environment(): Record<string, string | undefined> {
    return {
      ...quietly(join(this.#scratchDir, "registry")),
      // No account is used, and so no home folder, which need not exist.
      XDG_CONFIG_HOME: join(this.#scratchDir, "config"),
      // Once in a while workerd 2026-10-23 dies in V8 (OptimizedJSFrame::Summarize) when it takes the
      // stack of optimized code, and what Miniflare then restarts has lost its service bindings.
      // Without the optimizing compilers there is no such code; nothing here needs their speed.
      MINIFLARE_WORKERD_V8_FLAGS: [
        "--no-opt",
        "--no-maglev",
        ...(this.#options.v8Flags ?? []),
      ].join(" "),
    };
  }

  async #answered(worker: ProcessGroup, url: string): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    let last = "no answer";
    for (;;) {
      if (this.stopped) throw new Complaint("stopped");
      const signal = AbortSignal.timeout(5_000);
      const response = await fetch(url, { signal }).catch(() => null);
      if (response?.ok === true) return;
      if (response !== null) last = `${response.status} ${await response.text().catch(() => "")}`;
      if (worker.exited || isRefused(worker.lastOutput))
        throw failureOf(`${worker.name} did not start`, worker.lastOutput);
      if (Date.now() > deadline) {
        throw new Complaint(
          `${worker.name} is not ready after a minute (${last.split("\n")[0]?.slice(0, 200) ?? ""}): try again when this machine has less to do.`,
          { cause: new Error(this.lastOutput) },
        );
      }
      await sleep(100);
    }
  }
}

/** A port that nothing listens on at this moment. */
export async function freePort(): Promise<number> {
  const { port } = await listen(0);
  return port;
}

export async function isPortFree(port: number): Promise<boolean> {
  return listen(port).then(
    () => true,
    () => false,
  );
}

/** Throws a `Complaint` that says what to do when nothing can listen on the port. */
export async function requirePort(port: number, command: string): Promise<void> {
  await listen(port).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === "EADDRINUSE" ? "is in use" : `cannot be had (${error.message})`;
    const what = error.code === "EADDRINUSE" ? "Stop what listens there, or choose" : "Choose";
    throw new Complaint(`Port ${port} ${why}. ${what} another one: ${command} PORT`);
  });
}

/** Listens for a moment; rejects with the system's reason. */
function listen(port: number): Promise<{ port: number }> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      if (address === null || typeof address === "string") throw new TypeError("no TCP address");
      server.close(() => resolve({ port: address.port }));
    });
  });
}
