/** Our npm scripts where they cannot work, and two clones on one machine. */
import { spawn, spawnSync } from "node:child_process";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { freePort } from "../../scripts/dev-processes.ts";
import { ROOT } from "../../scripts/wrangler.ts";

const CLONED = [
  ".env",
  "assets",
  "examples",
  "migrations",
  "package.json",
  "scripts",
  "src",
  "tsconfig.json",
  "wrangler.toml",
];

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "workflow-engine-commands-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** This repository once more, with or without its packages. */
async function clone(name: string, { installed }: { installed: boolean }): Promise<string> {
  const root = join(folder, name);
  await mkdir(root);
  for (const part of CLONED) await cp(join(ROOT, part), join(root, part), { recursive: true });
  if (installed) {
    await symlink(join(ROOT, "node_modules"), join(root, "node_modules"), "junction");
  }
  return root;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** An environment in which wrangler was never used. */
function nobodys(more: Environment = {}): Environment {
  const home = { HOME: folder, XDG_CONFIG_HOME: join(folder, "config"), TMPDIR: folder };
  const account = { CLOUDFLARE_API_TOKEN: undefined, CLOUDFLARE_ACCOUNT_ID: undefined };
  return { ...process.env, ...home, ...account, ...more };
}

function npmRun(root: string, script: string, args: readonly string[] = [], env: Environment = {}) {
  const command = ["run", "--silent", script, "--", ...args];
  return spawnSync("npm", command, { cwd: root, encoding: "utf8", env: nobodys(env) });
}

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** One sentence that says what is to be done, and nothing of what is behind it. */
function expectSentence({ status, stdout, stderr }: Outcome, what: RegExp): void {
  expect(status).not.toBe(0);
  expect(stdout).toBe("");
  expect(stderr.trim()).toMatch(what);
  expect(stderr.trim().split("\n")).toHaveLength(1);
  expect(stderr).not.toMatch(/^\s*[[{]|\n\s+at |node:internal/);
  expect(stderr).toBe(stripVTControlCharacters(stderr));
}

const scripts = Object.keys(
  (JSON.parse(await readFile(join(ROOT, "package.json"), "utf8")) as { scripts: object }).scripts,
);

describe("before npm ci", () => {
  it.each(scripts)("npm run %s says so", async (script) => {
    expectSentence(
      npmRun(await clone("bare", { installed: false }), script),
      /^Run `npm ci` first: /,
    );
  });

  it("an install of other versions says which package differs", async () => {
    const root = await clone("stale", { installed: false });
    await mkdir(join(root, "node_modules", "eventsource-parser"), { recursive: true });
    const stale = join(root, "node_modules", "eventsource-parser", "package.json");
    await writeFile(stale, JSON.stringify({ version: "0.0.1" }));
    expectSentence(npmRun(root, "token"), /eventsource-parser \d+\.\d+\.\d+ is not installed/);
  });

  it("a Node that is too old is told what to use", () => {
    const old = `Object.defineProperty(process, "versions", { value: { node: "20.1.0" } })`;
    const args = ["--import", `data:text/javascript,${encodeURIComponent(old)}`];
    const script = join(ROOT, "scripts", "installed.mjs");
    const outcome = spawnSync(process.execPath, [...args, script], { encoding: "utf8" });
    expectSentence(outcome, /^This is Node 20\.1\.0, too old .* use the npm script/);
  });
});

/** Cloudflare's API, as far as it refuses. */
async function refusingApi(
  status = 403,
  error = { code: 10000, message: "Authentication error" },
): Promise<{ server: Server; url: string }> {
  const server = createServer((_request, response) => {
    response.writeHead(status, { "Content-Type": "application/json" });
    const errors = [error];
    response.end(JSON.stringify({ success: false, errors, messages: [], result: null }));
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return { server, url: `http://127.0.0.1:${port}` };
}

/** Like `npmRun`, while this process answers. */
async function audit(args: readonly string[], env: Environment = {}): Promise<Outcome> {
  const script = join(ROOT, "scripts", "audit.ts");
  const child = spawn(process.execPath, [script, ...args], { env: nobodys(env) });
  const outcome = { status: null as number | null, stdout: "", stderr: "" };
  child.stdout.on("data", (data: Buffer) => (outcome.stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (outcome.stderr += data.toString()));
  outcome.status = await new Promise((resolve) => child.once("close", resolve));
  return outcome;
}

const account = { CLOUDFLARE_API_TOKEN: "wrong", CLOUDFLARE_ACCOUNT_ID: "0".repeat(32) };

describe("npm run audit", () => {
  const migrate =
    /^The local database lacks tables: run `npx wrangler d1 migrations apply DB --local --persist-to \S+` first\.$/;

  it("says that there is no local database yet, and makes none", async () => {
    const state = join(folder, "none");
    expectSentence(await audit(["--state", state]), migrate);
    expect(await readdir(folder)).not.toContain("none");
  });

  it("says that the local database was never migrated", async () => {
    const state = join(folder, "empty");
    const flags = ["--local", `--persist-to=${state}`, "--command=SELECT 1"];
    const wrangler = join(ROOT, "node_modules", "wrangler", "bin", "wrangler.js");
    const made = spawnSync(process.execPath, [wrangler, "d1", "execute", "DB", ...flags], {
      cwd: ROOT,
      env: nobodys({ CI: "1" }),
    });
    expect(made.status).toBe(0);
    expectSentence(await audit(["--state", state]), migrate);
  });

  it("names the configuration that is not there, or binds no database", async () => {
    const config = join(folder, "none.toml");
    expectSentence(
      await audit(["--config", config]),
      /^There is no file .*none\.toml: .* --config/,
    );
    const state = join(folder, "state");
    await mkdir(join(state, "v3", "d1"), { recursive: true });
    const other = ["--config", join(ROOT, "examples", "documents", "wrangler.toml")];
    const unbound = /binds no D1 database as DB: .* --config/;
    expectSentence(await audit([...other, "--state", state]), unbound);
    await writeFile(config, "name = \n");
    const unreadable = /none\.toml cannot be read: Invalid TOML document/;
    expectSentence(await audit(["--config", config, "--state", state]), unreadable);
    // It is what is wrong, whether or not there is a database.
    const none = join(folder, "none");
    expectSentence(await audit([...other, "--state", none]), unbound);
    expectSentence(await audit(["--config", config, "--state", none]), unreadable);
    expect(await readdir(folder)).not.toContain("none");
    expectSentence(await audit(["--state", config]), /^--state \S+none\.toml is no folder\.$/);
    expectSentence(await audit(["--config", folder]), /^There is no file .* --config/);
  });

  it("says how to be let in, without a token and with a wrong one", async () => {
    const login =
      /^Cloudflare does not let wrangler in: run `npx wrangler login`, or set CLOUDFLARE_API_TOKEN/;
    expectSentence(await audit(["--remote"]), login);
    const { server, url } = await refusingApi();
    const wrong = { ...account, CLOUDFLARE_API_BASE_URL: url };
    expectSentence(await audit(["--remote"], wrong), login);
    server.close();
  });

  it("says that the database_id is of no database there", async () => {
    const none = { code: 7404, message: "The database could not be found" };
    const { server, url } = await refusingApi(404, none);
    const outcome = await audit(["--remote"], { ...account, CLOUDFLARE_API_BASE_URL: url });
    expectSentence(outcome, /no database with the database_id of .*wrangler\.toml: .* d1 create/);
    server.close();
  });

  it("says that Cloudflare's API cannot be reached", async () => {
    const away = { ...account, CLOUDFLARE_API_BASE_URL: `http://127.0.0.1:${await freePort()}` };
    expectSentence(await audit(["--remote"], away), /^Cloudflare's API cannot be reached/);
  });
});

describe("npm run token", () => {
  it.each([
    ["--name", "", /^--name must have 1 to 64 characters/],
    ["--name", "x".repeat(65), /^--name must have 1 to 64 characters/],
    ["--name", "access:x", /must not begin with access:/],
    ["--expires", "2027-02-30T00:00:00Z", /^--expires 2027-02-30\S+: it must be an instant/],
    ["--expires", "2027-01-01T00:00:00", /with its zone/],
    ["--expires", "2027-01-01", /with its zone/],
    ["--expires", "2020-01-01T00:00:00Z", /is over already/],
  ])("makes no entry that the service would refuse: %s %j", (flag, value, why) => {
    expectSentence(npmRun(ROOT, "token", [`${flag}=${value}`]), why);
  });
});

describe("npm run dev", () => {
  it("says why the migrations do not apply", async () => {
    const config = join(folder, "none.toml");
    const missing = /^The migrations do not apply to the local database: Could not read file: /;
    expectSentence(npmRun(ROOT, "dev", ["--config", config]), missing);
    await writeFile(config, "name = \n");
    expectSentence(npmRun(ROOT, "dev", ["--config", config]), /database: Invalid TOML document/);
  });

  it("ends with the npm that runs it, during the migrations and later", async () => {
    const root = await clone("ended", { installed: true });
    for (const serving of [false, true]) {
      const port = await freePort();
      const flags = [`--port=${port}`, "--inspector-port=0"];
      const npm = spawn("npm", ["run", "--silent", "dev", "--", ...flags], {
        cwd: root,
        env: nobodys({ CI: "1", WRANGLER_SEND_METRICS: "false" }),
      });
      // Whatever is started holds these pipes.
      const silent = new Promise((resolve) => npm.once("close", resolve));
      npm.stdout.resume();
      npm.stderr.resume();
      const ready = async () => (await statusOf(`http://localhost:${port}/readyz`)) === 200;
      const migrating = async () => (await readdir(root)).includes(".wrangler");
      await vi.waitUntil(serving ? ready : migrating, { timeout: 90_000, interval: 100 });
      npm.kill("SIGTERM");
      await silent;
      expect(await statusOf(`http://localhost:${port}/readyz`)).toBe(0);
    }
  });
});

/** States that cannot be, as far as this system has them. /proc is a folder in which nobody makes anything. */
const states: [string, () => string, RegExp][] = [
  ["a file", () => join(folder, "file"), /ENOTDIR/],
  ["below a file", () => join(folder, "file", "state"), /ENOTDIR/],
  ["nothing", () => "", /^--(?:state|persist-to) names no folder\.$/],
];
if (process.platform === "linux") {
  states.push(["a folder that takes no file", () => "/proc", /\/proc\/\.writable-/]);
  states.push(["a folder that cannot be made", () => "/proc/state/here", /mkdir '\/proc\/state'/]);
}

describe("a state", () => {
  it.each(states)("that is %s is told at once, by npm start and npm run dev", async (...each) => {
    const [, state, why] = each;
    await writeFile(join(folder, "file"), "");
    const ports = ["--service-port", await freePort(), "--app-port", await freePort()].map(String);
    const told = state();
    expectSentence(npmRun(ROOT, "start", [`--state=${told}`, ...ports]), why);
    expectSentence(npmRun(ROOT, "dev", [`--persist-to=${told}`, "--port=0"]), why);
    expect((await readdir(folder)).filter((name) => name.includes("writable"))).toEqual([]);
  });

  it("that is nothing is not this folder to npm run audit either", () => {
    expectSentence(npmRun(ROOT, "audit", ["--state="]), /^--state names no folder\.$/);
  });
});

describe("a port", () => {
  it.each([
    ["start", "--service-port"],
    ["start", "--app-port"],
    ["dev", "--port"],
  ])("is a plain number to npm run %s %s", (script, flag) => {
    for (const port of ["", "0x50", "65536", " 80"]) {
      const what = new RegExp(`^${flag}: "${port}" is no port`);
      expectSentence(npmRun(ROOT, script, [`${flag}=${port}`]), what);
    }
  });

  it.each(["SERVICE_PORT", "APP_PORT"])("is a plain number in %s", (name) => {
    for (const port of ["", "0x50"]) {
      expectSentence(npmRun(ROOT, "start", [], { [name]: port }), new RegExp(`^${name}: `));
    }
  });

  it("that is in use is told by npm run dev, and what to do", async () => {
    const { server, url } = await refusingApi();
    const { port } = new URL(url);
    const outcome = npmRun(ROOT, "dev", [`--port=${port}`, `--persist-to=${folder}`]);
    expectSentence(
      outcome,
      new RegExp(`^Port ${port} is in use\\. .* npm run dev -- --port PORT$`),
    );
    server.close();
  });

  it("that is in use is told by npm run dev also where none is named", async () => {
    const server = createServer();
    // Where the machine has something there already, that will do.
    await new Promise((resolve) =>
      server.once("error", resolve).listen(8787, "127.0.0.1", () => resolve(null)),
    );
    expectSentence(npmRun(ROOT, "dev"), /^Port 8787 is in use\. .* npm run dev -- --port PORT$/);
    server.close();
  });
});

describe("npm start", () => {
  it("says why there can be no database where it should be", async () => {
    await writeFile(join(folder, "v3"), "");
    const ports = [
      "--service-port",
      String(await freePort()),
      "--app-port",
      String(await freePort()),
    ];
    const outcome = npmRun(ROOT, "start", ["--state", folder, ...ports]);
    const why = /^wrangler d1 migrations apply DB --local failed: ENOTDIR/;
    expectSentence({ ...outcome, stdout: "" }, why);
    expect(outcome.stdout.trim()).toBe("Applying the migrations to the local database ...");
  });
});

describe("npm run token -- --dev", () => {
  it("says that it takes no wishes", () => {
    for (const wish of ["--name=ci", "--scopes=read", "--expires=2100-01-01T00:00:00Z"]) {
      expectSentence(npmRun(ROOT, "token", ["--dev", wish]), /^--dev takes no --\w+: /);
    }
  });

  it("says that .dev.vars cannot be read", async () => {
    const root = await clone("odd", { installed: true });
    await mkdir(join(root, ".dev.vars"));
    expectSentence(npmRun(root, "token", ["--dev"]), /^The system refuses: EISDIR/);
  });

  it("adds the token to a .dev.vars that somebody wrote, and takes nothing from it", async () => {
    const root = await clone("own", { installed: true });
    const file = join(root, ".dev.vars");
    await writeFile(file, "CORS_ORIGINS=https://a.example");
    const { status, stdout } = npmRun(root, "token", ["--dev"]);
    expect(status).toBe(0);
    const text = await readFile(file, "utf8");
    expect(text).toContain("CORS_ORIGINS=https://a.example\n# token: ");
    expect(npmRun(root, "token", ["--dev"]).stdout).toBe(stdout);
    expect(await readFile(file, "utf8")).toBe(text);
    const own = "API_TOKENS='[]'\n";
    await writeFile(file, own);
    expectSentence(
      npmRun(root, "token", ["--dev"]),
      /^The file \.dev\.vars has API_TOKENS of your own: /,
    );
    expect(await readFile(file, "utf8")).toBe(own);
  });
});

/** `npm run dev` in a clone, or `wrangler dev` of an app, until it is stopped. */
function serve(
  cwd: string,
  script: string,
  args: readonly string[],
  port: number,
  env: Environment = {},
) {
  const child = spawn(process.execPath, [script, ...args, `--port=${port}`, "--inspector-port=0"], {
    cwd,
    env: nobodys({ CI: "1", WRANGLER_SEND_METRICS: "false", ...env }),
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const served = { output: "", stop: async () => {} };
  const keep = (data: Buffer) => (served.output += data.toString());
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const ended = new Promise((resolve) => child.once("close", resolve));
  served.stop = async () => {
    const running = child.exitCode === null && child.signalCode === null;
    if (child.pid !== undefined && running) process.kill(-child.pid, "SIGTERM");
    await ended;
  };
  return served;
}

const statusOf = async (url: string) =>
  await fetch(url).then(
    (response) => response.status,
    () => 0,
  );

describe("two clones on one machine", () => {
  it("are not connected: an app finds the service of its own clone, or of the one that it names, and no other", async () => {
    const [one, other] = [
      await clone("one", { installed: true }),
      await clone("other", { installed: true }),
    ];
    const [service, byHand, app] = [await freePort(), await freePort(), await freePort()];
    const wrangler = join(ROOT, "node_modules", "wrangler", "bin", "wrangler.js");
    const documents = join(other, "examples", "documents");
    const running: ReturnType<typeof serve>[] = [];
    const run = (...args: Parameters<typeof serve>) => {
      const worker = serve(...args);
      running.push(worker);
      return worker;
    };
    const answers = async (port: number, path: string, is: (status: number) => boolean) =>
      vi.waitUntil(async () => is(await statusOf(`http://localhost:${port}${path}`)), {
        timeout: 90_000,
        interval: 200,
      });
    // Not even where the environment names one for all.
    const shared = join(folder, "shared", "registry");
    const both = { WRANGLER_REGISTRY_PATH: shared, CLOUDFLARE_DEV_REGISTRY_PATH: shared };
    const served = run(one, join(one, "scripts", "dev.ts"), [], service, both);
    try {
      await answers(service, "/readyz", (status) => status === 200);
      const line = /^WRANGLER_REGISTRY_PATH=.+$/m.exec(served.output)?.[0] ?? "";
      expect(line).toBe(`WRANGLER_REGISTRY_PATH=${join(one, ".wrangler", "registry")}`);
      expect(served.output).toContain(`${line}\nCLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV=false\n`);
      const stranger = run(documents, wrangler, ["dev"], app);
      await answers(app, "/health", (status) => status !== 0);
      expect(stranger.output).toContain("[not connected]");
      expect(await statusOf(`http://localhost:${app}/health`)).not.toBe(200);
      await stranger.stop();
      // By hand, as a newcomer does who has read no page of ours.
      const lone = run(other, wrangler, ["dev"], byHand);
      await answers(byHand, "/readyz", (status) => status === 503);
      expect(lone.output).not.toContain("WRANGLER_REGISTRY_PATH");
      // Nobody's registry but its own knows a service.
      const known = await readdir(folder, { recursive: true });
      expect(
        known.filter((path) => /registry[/\\]workflow-engine-cloudflare$/.test(path)).toSorted(),
      ).toEqual(
        ["one", "other"].map((root) =>
          join(root, ".wrangler", "registry", "workflow-engine-cloudflare"),
        ),
      );
      await writeFile(join(documents, ".env"), `${line}\n`);
      run(documents, wrangler, ["dev"], app);
      await answers(app, "/health", (status) => status === 200);
    } finally {
      await Promise.all(running.map((worker) => worker.stop()));
    }
  });
});
