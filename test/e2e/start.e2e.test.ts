/** `npm start` as a newcomer meets it: what it prints, what it refuses, and what it leaves behind. */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { freePort, isPortFree } from "../../scripts/dev-processes.ts";
import { ROOT } from "../../scripts/wrangler.ts";

let folder: string;
let ports: { service: number; app: number };

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "workflow-engine-start-"));
  ports = { service: await freePort(), app: await freePort() };
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Nobody can make anything there. */
const NO_HOME = process.platform === "linux" ? { HOME: "/proc/nobody", XDG_CONFIG_HOME: "" } : {};

/** Runs `npm start -- ...`, on a state and ports of its own. */
function start(...args: string[]) {
  const own = ["--state", join(folder, "state")];
  const portFlags = ["--service-port", String(ports.service), "--app-port", String(ports.app)];
  const script = join(ROOT, "scripts", "start.ts");
  const child = spawn(process.execPath, [script, ...own, ...portFlags, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    // So that nothing remains of the one that is killed before it can clean up.
    env: { ...process.env, TMPDIR: folder, ...NO_HOME },
  });
  const run = { child, output: "", ended: new Promise<number | null>(() => {}) };
  const keep = (data: Buffer) => (run.output += data.toString());
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  run.ended = new Promise((resolve) => child.once("close", resolve));
  return run;
}

async function expectPortsFree(): Promise<void> {
  expect(await isPortFree(ports.service), "the service's port is free").toBe(true);
  expect(await isPortFree(ports.app), "the app's port is free").toBe(true);
}

describe("npm start", () => {
  it("works on one's own files, in nobody's home, twice on the same state, and stops everything", async () => {
    const file = join(folder, "own.md");
    await writeFile(file, "# Queue\n\nA queue of [jobs](#jobs).\n\n```\nx\n```\n");
    for (const time of ["first", "second"]) {
      const run = start(file);
      expect(await run.ended, `${time}: ${run.output}`).toBe(0);
      expect(run.output).toMatch(/own\.md +parse completed: 1 section,/);
      expect(run.output).toMatch(/corpus +COMPLETED/);
      expect(run.output).toContain("error, line 3: no heading for #jobs (broken-anchor)");
      expect(run.output).toContain("Where to look further");
      await expectPortsFree();
    }
  });

  it("prints no address that does not answer, and no command that fails", async () => {
    const file = join(folder, "own.md");
    await writeFile(file, "# Own\n\ntext\n");
    const run = start("--keep", file);
    await vi.waitUntil(() => run.output.includes("keep running"), { timeout: 120_000 });
    const token = /Bearer ([\w-]+)/.exec(run.output)?.[1] ?? "";
    const addresses = new Set([...run.output.matchAll(/http:\/\/[^\s"',]+/g)].map(([url]) => url));
    expect(addresses.size).toBeGreaterThanOrEqual(6);
    for (const url of addresses) {
      const headers = { Authorization: `Bearer ${token}` };
      const response = await fetch(url, { headers });
      expect(response.status, url).toBe(200);
      await response.body?.cancel();
    }
    const commands = [...run.output.matchAll(/(?:All stages|Stranded\?) +(.+)/g)];
    expect(commands).toHaveLength(2);
    for (const [, command = ""] of commands) {
      const { status, stderr } = spawnSync(command, {
        cwd: ROOT,
        shell: true,
        encoding: "utf8",
        env: { ...process.env, CI: "1", WRANGLER_SEND_METRICS: "false" },
      });
      expect(status, `${command}: ${stderr}`).toBe(0);
    }
    run.child.kill("SIGTERM");
    await run.ended;
  });

  it.each(["SIGINT", "SIGTERM"] as const)("stops everything on %s", async (signal) => {
    const run = start("--keep");
    await vi.waitUntil(() => run.output.includes("parse completed"), { timeout: 90_000 });
    run.child.kill(signal);
    expect(await run.ended, run.output).toBe(signal === "SIGINT" ? 130 : 143);
    expect(run.output).toContain("Stopping");
    await expectPortsFree();
  });

  it("leaves nothing behind when it is killed", async () => {
    const run = start("--keep");
    await vi.waitUntil(() => run.output.includes("parse completed"), { timeout: 90_000 });
    run.child.kill("SIGKILL");
    await run.ended;
    await vi.waitUntil(async () => (await isPortFree(ports.service)) && isPortFree(ports.app));
  });

  it("stops everything on a signal during the migrations", async () => {
    const run = start();
    await vi.waitUntil(() => run.output.includes("migrations"), { timeout: 30_000 });
    run.child.kill("SIGINT");
    expect(await run.ended, run.output).toBe(130);
    expect(run.output).not.toContain("failed");
  });

  it("names the file that does not exist", async () => {
    const run = start("no-such-file.md");
    expect(await run.ended).toBe(1);
    expect(run.output.trim()).toBe("There is no file no-such-file.md.");
  });

  it("names the file that is too large", async () => {
    const file = join(folder, "large.md");
    await writeFile(file, "x".repeat(1_600_000));
    const run = start(file);
    expect(await run.ended).toBe(1);
    expect(run.output).toContain("large.md has 1.6 MB; a document may have 1.5 MB at most");
  });

  it.each([
    ["service", "--service-port"],
    ["app", "--app-port"],
  ] as const)("names the port of the %s that is in use, and what to do", async (which, flag) => {
    const server = await occupy(ports[which]);
    const run = start();
    expect(await run.ended).toBe(1);
    expect(run.output).toContain(`Port ${ports[which]} is in use.`);
    expect(run.output).toContain(`npm start -- ${flag} PORT`);
    server.close();
  });

  it("says what it does not understand", async () => {
    const run = start("--bogus");
    expect(await run.ended).toBe(1);
    expect(run.output).toContain("Unknown option '--bogus'");
    expect(run.output).toContain("Usage: npm start");
  });
});

async function occupy(port: number): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return server;
}

describe("npm run token", () => {
  const token = (...args: string[]) =>
    spawnSync(process.execPath, [join(ROOT, "scripts", "token.ts"), ...args], {
      encoding: "utf8",
    });

  it("makes a token, and the entry that knows it", () => {
    const { stdout, status } = token("--name", "ci", "--scopes", "read,work");
    expect(status).toBe(0);
    const made = /^token: (\S+)$/m.exec(stdout)?.[1] ?? "";
    expect(made).toMatch(/^[\w-]{32}$/);
    expect(JSON.parse(/^entry of API_TOKENS: (.+)$/m.exec(stdout)?.[1] ?? "")).toEqual({
      name: "ci",
      sha256: createHash("sha256").update(made).digest("hex"),
      scopes: ["read", "work"],
    });
  });

  it.each([
    [["--scopes", "all"], 'There is no scope "all"'],
    [["--expires", "2027-01-01"], "--expires 2027-01-01: it must be an instant"],
    [["--bogus"], "Unknown option '--bogus'"],
  ])("refuses %j and says why", (args, why) => {
    const { stderr, status } = token(...args);
    expect(status).toBe(1);
    expect(stderr).toContain(why);
  });
});
