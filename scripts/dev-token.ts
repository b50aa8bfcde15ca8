/**
 * The token of local development. `.dev.vars` has its hash, for `wrangler dev`, and beside it, in a
 * comment, the token itself: it opens only this machine's own database. Made once, and kept.
 */
import { createHash, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Complaint } from "./complaint.ts";
import { ROOT } from "./wrangler.ts";

const FILE = join(ROOT, ".dev.vars");
const TOKEN = /^# token: (\S+)$/m;

export interface DevToken {
  readonly token: string;
  /** The secret API_TOKENS that knows it. */
  readonly apiTokens: string;
}

export async function devToken(): Promise<DevToken> {
  const there = await readFile(FILE, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  const known = TOKEN.exec(there)?.[1];
  if (known === undefined && /^\s*(export\s+)?API_TOKENS\s*=/m.test(there)) {
    throw new Complaint(
      "The file .dev.vars has API_TOKENS of your own: add the line `# token: TOKEN` with one of them, or take API_TOKENS out.",
    );
  }
  const token = known ?? `dev-${randomBytes(18).toString("base64url")}`;
  const made = { token, apiTokens: apiTokensOf(token) };
  if (known === undefined) {
    const gap = there === "" || there.endsWith("\n") ? "" : "\n";
    const own = `# token: ${token}\nAPI_TOKENS='${made.apiTokens}'\n`;
    await writeFile(FILE, there + gap + own, { mode: 0o600 });
  }
  return made;
}

export function apiTokensOf(token: string): string {
  const sha256 = createHash("sha256").update(token).digest("hex");
  return JSON.stringify([{ name: "dev", sha256, scopes: ["admin"] }]);
}
