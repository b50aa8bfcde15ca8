/**
 * The contract over the network: the conformance suite in Node, through `connectHttp`, against the service as it is deployed, under a real
 * `wrangler dev`.
 */
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { ROOT } from "../../scripts/dev-processes.ts";
import { apiTokensOf } from "../../scripts/dev-token.ts";
import { connectHttp } from "../../src/client/index.ts";
import { describeConformance } from "../../src/testing/conformance/index.ts";
import { DatabaseFile } from "./database-file.ts";
import { type Dev, startDev } from "./support.ts";

const TOKEN = "conformance-token";
let dev: Dev;
let database: DatabaseFile;

beforeAll(async () => {
  // Without a handler: the tests themselves are who works the jobs.
  const config = join(ROOT, "wrangler.toml");
  dev = await startDev({ apiTokens: apiTokensOf(TOKEN), config }, { app: false });
  database = new DatabaseFile(dev.stateDir);
});

afterAll(async () => {
  database.close();
  await dev.stop();
});

describeConformance({
  name: "over the network",
  connect: (options) => connectHttp({ url: dev.processes.serviceUrl, token: TOKEN, ...options }),
  reset: () => {
    database.empty();
  },
});
