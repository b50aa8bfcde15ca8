/** docs/engine.md, "Five minutes": its files and commands, in a project that has the packed package. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { freePort } from "../../scripts/dev-processes.ts";
import { ProcessGroup } from "../../scripts/process-group.ts";
import { quietly, ROOT, WRANGLER } from "../../scripts/wrangler.ts";
import { Consumer } from "../package/support.ts";

const [, minutes = ""] = readFileSync(join(ROOT, "docs", "engine.md"), "utf8").split(
  /^## Five minutes$|^## Stages$/m,
);

/** The blocks of one language, in their order. */
function blocks(language: string): string[] {
  return [...minutes.matchAll(new RegExp(`^\`\`\`${language}\n([^]*?)^\`\`\`$`, "gm"))].map(
    ([, text = ""]) => text,
  );
}

const [installing = "", running = ""] = blocks("sh");
const commands = running.trim().split("\n");

let consumer: Consumer;
let worker: ProcessGroup | null = null;

beforeAll(() => {
  consumer = new Consumer();
});
afterAll(async () => {
  await worker?.stop();
  consumer.remove();
});

it("installs the versions that this package is tested with", () => {
  const { version, dependencies, devDependencies } = JSON.parse(
    readFileSync(join(ROOT, "package.json"), "utf8"),
  );
  expect(installing).toContain(`./workflow-engine-cloudflare-${version}.tgz`);
  const named = [...installing.matchAll(/ (\w+)@(\S+)/g)].map(([, name = "", exact]) => [
    name,
    exact,
  ]);
  expect(named).toEqual(
    ["zod", "wrangler", "node"].map((name) => [
      name,
      { ...dependencies, ...devDependencies }[name],
    ]),
  );
});

it("answers what the document says, by the commands that it names", async ({ onTestFailed }) => {
  onTestFailed(() => console.error(worker?.lastOutput));
  const [source = ""] = blocks("ts");
  const [settings = ""] = blocks("toml");
  expect(source).toMatch(/^\/\/ worker\.ts\n/);
  expect(settings).toMatch(/^# wrangler\.toml\n/);
  consumer.write("worker.ts", source);
  consumer.write("wrangler.toml", settings);
  const [migrate = "", dev = "", ask = "", ...more] = commands;
  expect(more).toEqual([]);
  const args = (command: string) => {
    expect(command).toMatch(/^npx wrangler /);
    return command.split(" ").slice(2);
  };
  const env = quietly(join(consumer.folder, "registry"));
  const cwd = consumer.folder;
  const migrated = spawnSync(process.execPath, [WRANGLER, ...args(migrate)], { cwd, env });
  expect(migrated.status, String(migrated.stderr)).toBe(0);
  const port = await freePort();
  worker = new ProcessGroup(
    "wrangler dev",
    [WRANGLER, ...args(dev), `--port=${port}`, `--inspector-port=${await freePort()}`],
    {
      cwd,
      env,
    },
  );
  const asked = /^curl --data \$'(.*)' http:\/\/localhost:8787\/$/.exec(ask);
  const body = JSON.parse(`"${asked?.[1]}"`) as string;
  const answered = async () => {
    if (worker?.exited === true) throw new Error("wrangler dev has ended");
    const request = fetch(`http://127.0.0.1:${port}/`, { method: "POST", body });
    return request.then(
      async (response) => response.text(),
      () => null,
    );
  };
  const answer = await vi.waitUntil(answered, { timeout: 90_000, interval: 200 });
  const [, said] = /The answer comes .*: `(.*)`\./.exec(minutes) ?? [];
  expect(answer).toBe(said);
});
