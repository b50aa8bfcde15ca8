/**
 * `npm run dev`: the service alone under `wrangler dev`, with its local database up to date.
 * Arguments after `--` go to `wrangler dev`.
 */
import { spawn, spawnSync } from "node:child_process";
import { parseArgs } from "node:util";
import { command, whenAbandoned } from "./complaint.ts";
import { failureOf, quietly, REGISTRY, registryAt, ROOT, WRANGLER } from "./wrangler.ts";

/** Applies the missing migrations to the database that these arguments of `wrangler dev` name. */
function migrate(args: readonly string[]): void {
  const { values } = parseArgs({
    args: [...args],
    strict: false,
    options: {
      "persist-to": { type: "string" },
      config: { type: "string", short: "c" },
      env: { type: "string", short: "e" },
    },
  });
  const flags = Object.entries(values).flatMap(([name, value]) =>
    name === "persist-to" || name === "config" || name === "env"
      ? [`--${name}=${String(value)}`]
      : [],
  );
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [WRANGLER, "d1", "migrations", "apply", "DB", "--local", ...flags],
    { cwd: ROOT, encoding: "utf8", env: quietly() },
  );
  if (status === 0) return;
  throw failureOf("The migrations do not apply to the local database", `${stdout}\n${stderr}`);
}

async function main(args: readonly string[]): Promise<void> {
  if (!args.includes("--help") && !args.includes("-h")) {
    migrate(args);
    console.log(`Another project reaches this service with this line in its .env:`);
    console.log(`WRANGLER_REGISTRY_PATH=${REGISTRY}`);
  }
  const child = spawn(process.execPath, [WRANGLER, "dev", ...args], {
    cwd: ROOT,
    stdio: "inherit",
    env: { ...process.env, ...registryAt(REGISTRY) },
  });
  // A terminal's Ctrl-C reaches both processes. wrangler ends in order; this one waits for it.
  process.on("SIGINT", () => {});
  for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
  whenAbandoned(() => child.kill("SIGTERM"));
  process.exitCode = await new Promise<number>((resolve) =>
    child.once("close", (code) => resolve(code ?? 1)),
  );
}

await command(() => main(process.argv.slice(2)));
