/** `npm run token`: makes a bearer token, and its entry of API_TOKENS. */
import { createHash, randomBytes } from "node:crypto";
import { parseArgs } from "node:util";
import { SCOPES } from "../src/changes/scope.ts";
import { INSTANT_RULE, parseInstant } from "../src/model/instant.ts";
import { Complaint, command } from "./complaint.ts";
import { devToken } from "./dev-token.ts";

const USAGE = `Usage: npm run token -- [options]

Prints a new token, and its entry for the list in the secret API_TOKENS.

  --name NAME           who it is for; default api
  --scopes SCOPES       of ${SCOPES.join(", ")}, separated by commas; default read
  --expires INSTANT     as in 2027-01-01T00:00:00Z; default never
  --dev                 the token of local development instead: makes .dev.vars, unless it is there
  --help                print this`;

function entryOf(token: string, { name, scopes, expires }: Record<string, string | undefined>) {
  const told = (scopes ?? "read").split(",").map((scope) => scope.trim());
  const wanted = [...new Set(told)];
  const unknown = wanted.find((scope) => !SCOPES.some((known) => known === scope));
  if (unknown !== undefined) {
    throw new Complaint(`There is no scope "${unknown}"; there are ${SCOPES.join(", ")}.`);
  }
  // The rules of the service (src/http/tokens.ts), whose types are those of Workers.
  if (name !== undefined && (name === "" || name.length > 64 || name.startsWith("access:"))) {
    throw new Complaint("--name must have 1 to 64 characters, and must not begin with access:.");
  }
  if (expires !== undefined) {
    const instant = parseInstant(expires);
    if (instant === null) {
      throw new Complaint(`--expires ${expires}: it ${INSTANT_RULE}.`);
    }
    if (instant < Date.now()) throw new Complaint(`--expires ${expires} is over already.`);
  }
  const sha256 = createHash("sha256").update(token).digest("hex");
  return {
    name: name ?? "api",
    sha256,
    scopes: wanted,
    ...(expires === undefined ? {} : { expires }),
  };
}

function parse() {
  try {
    return parseArgs({
      options: {
        name: { type: "string" },
        scopes: { type: "string" },
        expires: { type: "string" },
        dev: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    throw new Complaint(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  }
}

async function main(): Promise<void> {
  const { values } = parse();
  if (values.help === true) return console.log(USAGE);
  if (values.dev === true) {
    const beside = (["name", "scopes", "expires"] as const).find((flag) => flag in values);
    if (beside !== undefined) {
      throw new Complaint(
        `--dev takes no --${beside}: the token of local development has all scopes.`,
      );
    }
    return console.log(`token: ${(await devToken()).token}\nIts hash is in .dev.vars.`);
  }
  const { name, scopes, expires } = values;
  const token = randomBytes(24).toString("base64url");
  const entry = entryOf(token, { name, scopes, expires });
  console.log(`token: ${token}\nentry of API_TOKENS: ${JSON.stringify(entry)}`);
}

await command(main);
