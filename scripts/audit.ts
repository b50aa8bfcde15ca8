/**
 * `npm run audit`: lists the rows that are not finished and that nothing will ever move on, in the
 * local database or, with `--remote`, in the deployed one. It asks the same as `backend.audit()`.
 * Exits with 1 when there are any.
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { selectAudit } from "../src/store/audit.ts";
import type { Statement } from "../src/store/sql.ts";
import { readFolder } from "./arguments.ts";
import { Complaint, command } from "./complaint.ts";
import { DEFAULT_STATE, ROOT, select } from "./wrangler.ts";

const USAGE = `Usage: npm run audit -- [options]

  --remote        the deployed database; the local one otherwise
  --state DIR     where the local database is kept, default .wrangler/state
  --config FILE   the wrangler.toml that binds the database as DB, default ./wrangler.toml
  --help          print this`;
const FINDINGS_MAX = 100;

interface Finding {
  readonly entity: string;
  readonly workflowRunId: string;
  readonly key: string;
  readonly status: string;
  readonly problem: string;
}

function main(args: readonly string[]): void {
  const { values } = parse(args);
  if (values.help === true) console.log(USAGE);
  else report(audit(values));
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        remote: { type: "boolean" },
        state: { type: "string" },
        config: { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new Complaint(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  }
}

function audit(options: { remote?: boolean; state?: string; config?: string }): Finding[] {
  const database = {
    remote: options.remote === true,
    state: readFolder("--state", options.state ?? DEFAULT_STATE),
    config: resolve(options.config ?? join(ROOT, "wrangler.toml")),
  };
  const sql = inlined(selectAudit({ q: "audit", now: Date.now(), limit: FINDINGS_MAX }));
  return select(database, sql) as Finding[];
}

/** wrangler takes no parameters, so the audit's, which are numbers, are written into its SQL. */
function inlined({ sql, params }: Statement): string {
  return sql.replace(/\?(\d+)/g, (_, place: string) => String(Number(params[Number(place) - 1])));
}

function report(findings: readonly Finding[]): void {
  for (const { entity, workflowRunId, key, status, problem } of findings) {
    const id = key === "" ? workflowRunId : `${workflowRunId}/${key}`;
    console.log(`${problem}  ${entity} ${id} is ${status}`);
  }
  const more = findings.length === FINDINGS_MAX ? " or more" : "";
  console.log(findings.length === 0 ? "Nothing is stranded." : `${findings.length}${more} found.`);
  if (findings.length > 0) process.exitCode = 1;
}

await command(() => main(process.argv.slice(2)), 2);
