/** `npm run lint:api`: lints the service's OpenAPI document. The rules are in redocly.yaml. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

// The routes import everything they call, down to classes whose bases only workerd has. Nothing is
// called to make the document, so empty classes do.
const PLATFORM = "cloudflare:workers";
const STAND_IN = "data:text/javascript,export class DurableObject {} export class RpcTarget {}";
registerHooks({
  resolve: (specifier, context, next) =>
    specifier === PLATFORM
      ? { url: STAND_IN, format: "module", shortCircuit: true }
      : next(specifier, context),
});

// By a name that the compiler does not follow: these scripts are checked with the types of Node, the
// service with those of Workers.
const service = new URL("../src/http/", import.meta.url).href;
const { openApiDocument } = (await import(`${service}app.ts`)) as { openApiDocument(): unknown };

const folder = mkdtempSync(join(tmpdir(), "openapi-"));
try {
  const file = join(folder, "openapi.json");
  writeFileSync(file, JSON.stringify(openApiDocument(), null, 2));
  const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));
  const redocly = path("../node_modules/@redocly/cli/bin/cli.js");
  const options = ["--config", path("../redocly.yaml"), "--lint-config", "error"];
  const { status } = spawnSync(process.execPath, [redocly, "lint", file, ...options], {
    stdio: "inherit",
    env: { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" },
  });
  process.exitCode = status ?? 1;
} finally {
  rmSync(folder, { recursive: true });
}
