/** The Worker of the contestants and the service, in one `wrangler dev` on a state of its own. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Complaint } from "../scripts/complaint.ts";
import { freePort } from "../scripts/dev-processes.ts";
import { ProcessGroup } from "../scripts/process-group.ts";
import { failureOf, quietly, ROOT, WRANGLER } from "../scripts/wrangler.ts";
import type { Path, Protocol } from "./protocol.ts";

const MIGRATIONS = join(ROOT, "migrations");
const START_TIMEOUT_MS = 60_000;

export class Workers {
  readonly url: string;
  /** Where the local databases are. */
  readonly state: string;
  readonly #scratch: string;
  readonly #group: ProcessGroup;

  static async start(): Promise<Workers> {
    const scratch = await mkdtemp(join(tmpdir(), "workflow-engine-bench-"));
    return new Workers(scratch, await freePort(), await freePort());
  }

  private constructor(scratch: string, port: number, inspectorPort: number) {
    this.#scratch = scratch;
    this.state = join(scratch, "state");
    this.url = `http://127.0.0.1:${port}`;
    const folder = join(ROOT, "bench", "worker");
    this.#group = new ProcessGroup(
      "wrangler dev",
      [
        WRANGLER,
        "dev",
        `--config=${join(folder, "wrangler.toml")}`,
        `--config=${join(folder, "service.toml")}`,
        `--config=${join(folder, "engine.toml")}`,
        "--ip=127.0.0.1",
        `--port=${port}`,
        `--inspector-port=${inspectorPort}`,
        `--persist-to=${this.state}`,
        "--show-interactive-dev-session=false",
        "--log-level=warn",
      ],
      {
        cwd: folder,
        // wrangler's collector of local traces taxes every call.
        env: { ...quietly(join(scratch, "registry")), X_LOCAL_OBSERVABILITY: "false" },
      },
    );
  }

  /** Resolves when they answer, and all tables are made. */
  async ready(): Promise<void> {
    await this.#answered();
    await this.call("/setup", { migrations: await statementsOfMigrations() });
  }

  async call<P extends Path>(path: P, ask: Protocol[P]["ask"]): Promise<Protocol[P]["answer"]> {
    const body = JSON.stringify(ask);
    const response = await fetch(this.url + path, { method: "POST", body });
    const text = await response.text();
    // The Worker's handlers have the types that are expected here.
    if (response.ok) return JSON.parse(text);
    const why = text.split("\n")[0] ?? "";
    throw new Complaint(`${path} ${body.slice(0, 200)} failed: ${why}`, { cause: new Error(text) });
  }

  /** Its last output, to find out what went wrong. */
  get lastOutput(): string {
    return this.#group.lastOutput;
  }

  /** Ends the processes, and removes their state. */
  async stop(): Promise<void> {
    await this.#group.stop();
    await rm(this.#scratch, { recursive: true, force: true });
  }

  async #answered(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS;
    while (Date.now() < deadline) {
      const signal = AbortSignal.timeout(5_000);
      const response = await fetch(this.url, { signal }).catch(() => null);
      if (response?.ok === true) return;
      if (this.#group.exited) throw failureOf("wrangler dev did not start", this.lastOutput);
      await sleep(100);
    }
    throw new Complaint(
      "wrangler dev is not ready after a minute: try again on a quieter machine.",
      {
        cause: new Error(this.lastOutput),
      },
    );
  }
}

async function statementsOfMigrations(): Promise<string[]> {
  const names = (await readdir(MIGRATIONS)).filter((name) => name.endsWith(".sql")).toSorted();
  const files = await Promise.all(names.map((name) => readFile(join(MIGRATIONS, name), "utf8")));
  return files.flatMap((sql) => sql.split("--> statement-breakpoint"));
}
