/** wrangler, as our commands run it: this folder's own, without questions, unseen by other clones. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { stripVTControlCharacters } from "node:util";
import { Complaint } from "./complaint.ts";

export const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** Where `wrangler dev` in this folder keeps its database by default. */
export const DEFAULT_STATE = join(ROOT, ".wrangler", "state");
export const WRANGLER = join(ROOT, "node_modules", "wrangler", "bin", "wrangler.js");

/**
 * `wrangler dev` processes find one another by name in a folder that all projects of a user share by
 * default. A second clone, whose service has the same name, would take the place of the first. So
 * each clone has a folder of its own.
 */
export const REGISTRY = join(ROOT, ".wrangler", "registry");

type Environment = Record<string, string | undefined>;

/** Nothing here needs an account or the network, so wrangler must not ask or wait for them. */
export function quietly(registry = REGISTRY): Environment {
  return {
    ...process.env,
    CI: "1",
    NO_COLOR: "1",
    FORCE_COLOR: "0",
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_SEND_ERROR_REPORTS: "false",
    WRANGLER_WRITE_LOGS: "false",
    // Without its banner, wrangler does not look for a newer version of itself.
    WRANGLER_HIDE_BANNER: "true",
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    ...registryAt(registry),
  };
}

/** Where both are set, the second one counts. */
export function registryAt(folder: string): Record<string, string> {
  return { WRANGLER_REGISTRY_PATH: folder, CLOUDFLARE_DEV_REGISTRY_PATH: folder };
}

export interface Database {
  readonly remote: boolean;
  readonly state: string;
  /** The wrangler.toml that binds the database as DB. */
  readonly config: string;
}

/** The rows of a SELECT. */
export function select(database: Database, sql: string): unknown[] {
  const { remote, state, config } = database;
  if (statSync(config, { throwIfNoEntry: false })?.isFile() !== true) {
    throw new Complaint(`There is no file ${config}: name your wrangler.toml with --config.`);
  }
  if (remote) return answerOf(database, sql, ["--remote"]);
  if (statSync(state, { throwIfNoEntry: false })?.isDirectory() === false) {
    throw new Complaint(`--state ${state} is no folder.`);
  }
  const local = (folder: string) => answerOf(database, sql, ["--local", `--persist-to=${folder}`]);
  if (existsSync(join(state, "v3", "d1"))) return local(state);
  // wrangler would make an empty database there. It makes one elsewhere: first it reads the
  // configuration, which may be what is wrong.
  const elsewhere = mkdtempSync(join(tmpdir(), "workflow-engine-"));
  try {
    return local(elsewhere);
  } finally {
    rmSync(elsewhere, { recursive: true });
  }
}

function answerOf(database: Database, sql: string, where: readonly string[]): unknown[] {
  const { config } = database;
  const flags = ["--json", `--config=${config}`, `--command=${sql}`];
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [WRANGLER, "d1", "execute", "DB", ...where, ...flags],
    { encoding: "utf8", env: quietly() },
  );
  const answer = parsed(stdout);
  if (status !== 0 || !Array.isArray(answer)) throw failed(`${stderr}\n${stdout}`, database);
  return (answer as { results: unknown[] }[])[0]?.results ?? [];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const noTables = ({ remote, state, config }: Database): string => {
  const where = remote
    ? "--remote"
    : `--local${state === DEFAULT_STATE ? "" : ` --persist-to ${state}`}`;
  const which = config === join(ROOT, "wrangler.toml") ? "" : ` --config ${config}`;
  return `The ${remote ? "deployed" : "local"} database lacks tables: run \`npx wrangler d1 migrations apply DB ${where}${which}\` first.`;
};

/** One sentence for wrangler's output. */
function failed(output: string, database: Database): Complaint {
  const why = whyIn(output);
  const { config } = database;
  const cause = new Error(output.trim());
  const complaint = (text: string) => new Complaint(text, { cause });
  if (/no such (table|column)/i.test(why)) return complaint(noTables(database));
  if (/Couldn't find (a D1 )?DB/i.test(why)) {
    return complaint(
      `${config} binds no D1 database as DB: name the wrangler.toml that does with --config.`,
    );
  }
  if (/TOML/.test(why)) return complaint(`${config} cannot be read: ${why}.`);
  if (/fetch failed|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|network/i.test(why)) {
    return complaint(
      `Cloudflare's API cannot be reached (${why}): look at the network, and try again.`,
    );
  }
  if (
    /CLOUDFLARE_API_TOKEN|[Aa]uthenticat|not logged in|code: (9109|1000[01]|6003|7403)/.test(why)
  ) {
    return complaint(
      "Cloudflare does not let wrangler in: run `npx wrangler login`, or set CLOUDFLARE_API_TOKEN to a token that may read D1.",
    );
  }
  if (/code: 7404/.test(why)) {
    return complaint(
      `Cloudflare has no database with the database_id of ${config}: put the id there that \`npx wrangler d1 list\` shows, or \`npx wrangler d1 create\` prints.`,
    );
  }
  return failureOf("wrangler cannot read the database", output);
}

/** A complaint with wrangler's reason. Its whole output is the cause. */
export function failureOf(what: string, output: string): Complaint {
  return new Complaint(`${what}: ${whyIn(output)}.`, { cause: new Error(output.trim()) });
}

/** The system's words when it refuses something: EACCES: permission denied, open '...'. */
const SYSTEM_ERROR = /^E[A-Z]{3,}: /;

/** Whether the system refused something to wrangler. wrangler does not always end then. */
export function isRefused(output: string): boolean {
  return SYSTEM_ERROR.test(whyIn(output));
}

/**
 * The reason is in the JSON that was asked for; otherwise in a line marked as an error, or in the
 * last line.
 */
function whyIn(output: string): string {
  const plain = stripVTControlCharacters(output);
  const json = /^\{\n {2}"error"[^]*?^\}$/m.exec(plain)?.[0];
  const marked = [...plain.matchAll(/\[ERROR\]\s*(.+)$/gm)].map(([, line = ""]) => line);
  const lines = plain.split("\n").filter((line) => line.trim() !== "");
  // Later errors only follow from this one.
  const refused = marked.find((line) => SYSTEM_ERROR.test(line));
  const told = refused ?? marked.at(-1) ?? lines.at(-1) ?? "";
  const why = (json === undefined ? undefined : textsOf(json)) ?? told;
  return why.trim().replace(/\.$/, "") || "it says nothing";
}

function textsOf(json: string): string | undefined {
  const { error } = parsed(json) as { error: { text?: unknown; notes?: { text?: unknown }[] } };
  const texts = [error, ...(error.notes ?? [])].map(({ text }) => text);
  return texts.filter((text) => typeof text === "string").join("; ");
}
