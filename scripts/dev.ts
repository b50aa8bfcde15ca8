/**
 * `npm run dev`: the service alone under `wrangler dev`, with its local database up to date.
 * Arguments after `--` go to `wrangler dev`.
 */
import { spawn, spawnSync } from "node:child_process";
import { parseArgs } from "node:util";
import { readFolder, readPort } from "./arguments.ts";
import { command, whenAbandoned } from "./complaint.ts";
import { requirePort } from "./dev-processes.ts";
import { requireFolder } from "./folders.ts";
import { failureOf, quietly, REGISTRY, registryAt, ROOT, WRANGLER } from "./wrangler.ts";

/** That of `wrangler dev`. */
const DEFAULT_PORT = "8787";

/** The arguments of `wrangler dev` that matter here. */
function told(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    strict: false,
    options: {
      "persist-to": { type: "string" },
      config: { type: "string", short: "c" },
      env: { type: "string", short: "e" },
      port: { type: "string" },
    },
  });
  return new Map(
    Object.entries(values).flatMap(([name, value]) =>
      typeof value === "string" ? [[name, value] as const] : [],
    ),
  );
}

/** Brings up to date the database that these arguments name. */
function migrate(args: ReadonlyMap<string, string>): void {
  const flags = [...args].flatMap(([name, value]) =>
    name === "persist-to" || name === "config" || name === "env" ? [`--${name}=${value}`] : [],
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
    const known = told(args);
    const [state, port] = [known.get("persist-to"), known.get("port")];
    if (state !== undefined) {
      await requireFolder("--persist-to", readFolder("--persist-to", state, ROOT));
    }
    // wrangler takes 0 for any. Where nothing names a port, it would take another in silence.
    const named = port ?? (known.has("config") ? "0" : DEFAULT_PORT);
    if (named !== "0") await requirePort(readPort("--port", named), "npm run dev -- --port");
    migrate(known);
    console.log(`Another project reaches this service with these lines in its .env:`);
    console.log(`WRANGLER_REGISTRY_PATH=${REGISTRY}`);
    // Without it, wrangler takes the file for the Worker's own variables, too.
    console.log(`CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV=false`);
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
  process.exitCode = await new Promise<number>((ended) =>
    child.once("close", (code) => ended(code ?? 1)),
  );
}

await command(() => main(process.argv.slice(2)));
