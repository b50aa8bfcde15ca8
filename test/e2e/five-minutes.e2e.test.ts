/** docs/engine.md, from "Five minutes" on: its files and commands, in a project that has the packed package. */
import { spawnSync } from "node:child_process";
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it, onTestFailed, vi } from "vitest";
import { freePort } from "../../scripts/dev-processes.ts";
import { ProcessGroup } from "../../scripts/process-group.ts";
import { quietly, ROOT, WRANGLER } from "../../scripts/wrangler.ts";
import { Consumer, run } from "../package/support.ts";

const read = (...path: string[]) => readFileSync(join(ROOT, ...path), "utf8");
const page = read("docs", "engine.md");
const [, minutes = ""] = page.split(/^## Five minutes$|^## Stages$/m);
const http = read("docs", "http.md");

/** The blocks of one language, in their order. */
function blocks(language: string, text = minutes): string[] {
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "gm"))].map(
    ([, block = ""]) => block,
  );
}

/** The TypeScript of the page, by the name in its first line. */
const sources = new Map(
  blocks("ts", page).map((source) => [/^\/\/ (\S+)\n/.exec(source)?.[1] ?? "", source]),
);

const [installing = "", serving = "", asking = "", ticking = ""] = blocks("sh");

const [testing = ""] = blocks("sh", page).filter((block) => block.includes("vitest@"));
const SERVED = ["digest.ts", "worker.ts", "api.ts"];
const TESTED = ["vitest.config.ts", "setup.ts", "worker.test.ts"];

let consumer: Consumer;
let worker: ProcessGroup | null = null;

beforeAll(() => {
  consumer = new Consumer();
  const [settings = ""] = blocks("toml");
  expect(settings).toMatch(/^# wrangler\.toml\n/);
  consumer.write("wrangler.toml", settings);
  for (const name of [...SERVED, ...TESTED]) {
    const source = sources.get(name);
    if (source === undefined) throw new Error(`The page has no ${name}`);
    consumer.write(name, source);
  }
});
afterEach(async () => {
  await worker?.stop();
});
afterAll(() => {
  consumer.remove();
});

const env = () => quietly(join(consumer.folder, "registry"));

function wrangler(command: string): string[] {
  expect(command).toMatch(/^npx wrangler /);
  return [WRANGLER, ...command.split(" ").slice(2)];
}

const [migrate = "", dev = "", ...more] = serving.trim().split("\n");

/** The Worker of the page, or another file of it, and the tables that it needs. */
async function served(...args: string[]): Promise<string> {
  onTestFailed(() => console.error(worker?.lastOutput));
  expect(more).toEqual([]);
  const cwd = consumer.folder;
  const migrated = spawnSync(process.execPath, wrangler(migrate), { cwd, env: env() });
  expect(migrated.status, String(migrated.stderr)).toBe(0);
  const [port, inspector] = [await freePort(), await freePort()];
  const ports = [`--port=${port}`, `--inspector-port=${inspector}`];
  worker = new ProcessGroup("wrangler dev", [...wrangler(dev), ...args, ...ports], {
    cwd,
    env: env(),
  });
  return `http://127.0.0.1:${port}`;
}

/** What the Worker answers, once it does. */
async function answer(url: string, init: RequestInit = {}): Promise<string> {
  const answered = async () => {
    if (worker?.exited === true) throw new Error("wrangler dev has ended");
    return fetch(url, init).then(
      async (response) => response.text(),
      () => null,
    );
  };
  return vi.waitUntil(answered, { timeout: 90_000, interval: 200 });
}

it("installs the versions that this package is tested with", () => {
  const { version, dependencies, devDependencies } = JSON.parse(read("package.json"));
  expect(installing).toContain(`./workflow-engine-cloudflare-${version}.tgz`);
  const named = [...`${installing}${testing}`.matchAll(/ (@?[\w/-]+)@(\S+)/g)].map(
    ([, name = "", exact]) => [name, exact],
  );
  const plugin = "@cloudflare/vitest-plugin";
  const all = {
    ...dependencies,
    ...devDependencies,
    [plugin]: devDependencies["@cloudflare/vitest-pool-workers"].replace(`npm:${plugin}@`, ""),
  };
  const names = ["zod", "wrangler", "node", "@cloudflare/workers-types", "typescript"];
  expect(named).toEqual([...names, "vitest", plugin].map((name) => [name, all[name]]));
});

it("is tested inside workerd, by the files that the page has for that", () => {
  consumer.link("vitest");
  consumer.link("@cloudflare/vitest-plugin", "@cloudflare/vitest-pool-workers");
  const vitest = [join(ROOT, "node_modules", "vitest", "vitest.mjs"), "run"];
  const { status, output } = run(consumer.folder, process.execPath, ...vitest);
  expect(status, output).toBe(0);
  expect(output).toMatch(/Tests .*1 passed/);
});

it("answers what the document says, by the commands that it names", async () => {
  const url = await served();
  const asked = /^curl --data \$'(.*)' http:\/\/localhost:8787\/\n$/.exec(asking);
  const body = JSON.parse(`"${asked?.[1]}"`) as string;
  const [, said] = /The answer comes .*: `(.*)`\./.exec(minutes) ?? [];
  expect(await answer(`${url}/`, { method: "POST", body })).toBe(said);
});

it("has the API beside its own routes, and after an edit a tick takes runs on", async () => {
  const [making = ""] = blocks("", http).filter((block) => block.includes(".dev.vars"));
  const made = spawnSync("bash", ["-euc", making], { cwd: consumer.folder, encoding: "utf8" });
  expect(made.status, made.stderr).toBe(0);
  const [lease = ""] = /LEASE_MS=\d+/.exec(minutes) ?? [];
  appendFileSync(join(consumer.folder, ".dev.vars"), `${lease}\n`);
  const tick = /^curl http:\/\/localhost:8787(\/\S+)\n$/.exec(ticking)?.[1] ?? "";

  const url = await served("api.ts");
  const started = await answer(`${url}/texts`, { method: "POST", body: "one" });
  const { id } = JSON.parse(started) as { id: string };
  const authorized = { headers: { Authorization: `Bearer ${made.stdout.trim()}` } };
  const status = async () => {
    const found = JSON.parse(await answer(`${url}/v1/runs/${id}`, authorized));
    return (found as { status: string }).status;
  };
  expect(await status()).toBe("RUNNING");
  expect(JSON.parse(await answer(`${url}/v1/runs/${id}`))).toMatchObject({
    code: "UNAUTHENTICATED",
  });
  // While the run works or sleeps.
  appendFileSync(join(consumer.folder, "digest.ts"), "// An edit.\n");
  await vi.waitUntil(() => worker?.lastOutput.includes("Local server updated"), 60_000);
  const over = async () => (await answer(url + tick)) === "ok" && (await status()) === "COMPLETED";
  await vi.waitUntil(over, { timeout: 90_000, interval: 1_000 });
});
