/**
 * The contract over the network: the conformance suite in Node, through `connectHttp`, against the service as it is deployed, under a real
 * `wrangler dev`. Thousands of requests, one after the other: two halves run side by side, each with a service of its own.
 */
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { ROOT } from "../../../scripts/wrangler.ts";
import { apiTokensOf } from "../../../scripts/dev-token.ts";
import { connectHttp } from "../../../src/client/index.ts";
import { registerSuite } from "../../../src/testing/conformance/harness.ts";
import { AREAS } from "../../../src/testing/conformance/index.ts";
import { type Dev, startDev } from "../support.ts";
import { DatabaseFile } from "./database-file.ts";

const TOKEN = "conformance-token";

/** Every second area, from this one on. */
export function describeHalf(first: 0 | 1): void {
  let dev: Dev;
  let database: DatabaseFile;

  beforeAll(async () => {
    // Without a handler: the tests themselves work the jobs.
    const config = join(ROOT, "wrangler.toml");
    dev = await startDev({ apiTokens: apiTokensOf(TOKEN), config }, { app: false });
    database = new DatabaseFile(dev.stateDir);
  });

  afterAll(async () => {
    database.close();
    await dev.stop();
  });

  const half = Object.entries(AREAS).filter((_, index) => index % 2 === first);
  registerSuite(
    {
      name: "over the network",
      connect: (options) =>
        connectHttp({ url: dev.processes.serviceUrl, token: TOKEN, ...options }),
      reset: () => {
        database.empty();
      },
    },
    Object.fromEntries(half),
  );
}
