/**
 * Whether the service can do its work: the database answers and has the tables that this code
 * knows, the queue is bound where it is needed, and the settings hold.
 */
import { isServiceError } from "../contract/index.ts";
import { withDeadline } from "../model/index.ts";
import { dispatchSettings } from "../queue/index.ts";
import { APPLY_MIGRATIONS, hasStages, lackOf } from "../worker/index.ts";
import type { HttpEnv } from "./env.ts";

/** The newest migration that this code needs. */
export const MIGRATION = "0000_create_schema.sql";

/** A database that does not answer such a question within this time does no work either. */
const DEADLINE_MS = 5_000;

/** The answer of `/readyz`. */
export interface Readiness {
  readonly ready: boolean;
  /** For each, "ok" or what is wrong. */
  readonly checks: {
    readonly database: string;
    readonly migrations: string;
    readonly coordinators: string;
    readonly queue: string;
    readonly settings: string;
    /**
     * Whether callers are let in over HTTP. It does not count for `ready`, since other Workers need
     * no token.
     */
    readonly api: string;
  };
}

export async function readiness(env: HttpEnv): Promise<Readiness> {
  const { database, migrations } = await databaseOf(env);
  const coordinators = lackOf(env, "RUNS") ?? "ok";
  const queue = needsQueue(env) ? (lackOf(env, "JOBS") ?? "ok") : "ok";
  const settings = settingsOf(env);
  const open = [env.API_TOKENS, env.ACCESS_TEAM_DOMAIN].some((value) => (value ?? "") !== "");
  const api = open ? "ok" : "closed: neither API_TOKENS nor Cloudflare Access";
  const needed = [database, migrations, coordinators, queue, settings];
  return {
    ready: needed.every((check) => check === "ok"),
    checks: { database, migrations, coordinators, queue, settings, api },
  };
}

async function databaseOf(
  env: HttpEnv,
): Promise<Pick<Readiness["checks"], "database" | "migrations">> {
  const lack = lackOf(env, "DB");
  if (lack !== null) return { database: lack, migrations: "unknown" };
  try {
    const known = env.DB.prepare(`SELECT 1 FROM "d1_migrations" WHERE "name" = ?`).bind(MIGRATION);
    const applied = await withDeadline(known.first(), DEADLINE_MS, "D1");
    if (applied !== null) return { database: "ok", migrations: "ok" };
    return { database: "ok", migrations: `${MIGRATION} is not applied: ${APPLY_MIGRATIONS}` };
  } catch (error) {
    // There is no table of migrations, or no database: the log tells which.
    console.error("wfe-not-ready", error);
    const database = `does not answer, or has no tables: ${APPLY_MIGRATIONS}`;
    return { database, migrations: "unknown" };
  }
}

/** Without a queue jobs wait to be polled. Where something is there to be woken, that is a mistake. */
function needsQueue(env: HttpEnv): boolean {
  return hasStages() || env.HANDLER !== undefined || env.WAKE_UPS === "on";
}

function settingsOf(env: HttpEnv): string {
  try {
    dispatchSettings(env);
    return "ok";
  } catch (error) {
    if (isServiceError(error)) return error.message;
    throw error;
  }
}
