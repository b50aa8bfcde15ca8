/** The HTTP API of a real `wrangler dev`: the tour of docs/http.md, command by command, and the client over the network. */
import { spawnSync } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { apiTokensOf } from "../../scripts/dev-token.ts";
import { type DevProcesses, ROOT } from "../../scripts/dev-processes.ts";
import { connectHttp } from "../../src/client/index.ts";
import { type Dev, startDev } from "./support.ts";

const TOKEN = "tour-token";
let dev: Dev;
let processes: DevProcesses;

beforeAll(async () => {
  dev = await startDev({ apiTokens: apiTokensOf(TOKEN) }, { app: false });
  processes = dev.processes;
});

afterAll(async () => {
  await dev.stop();
});

describe("the tour of docs/http.md", () => {
  it("answers what the page says", async () => {
    const page = await readFile(join(ROOT, "docs", "http.md"), "utf8");
    const steps = [...page.matchAll(/```sh\n(.*?)```\n\n(?:[^`]*?)(?:```json\n(.*?)```)/gs)];
    expect(steps.length).toBeGreaterThan(4);
    for (const [, command = "", answer = ""] of steps) {
      const { stdout, status } = spawnSync("bash", ["-euc", command], {
        encoding: "utf8",
        env: { ...process.env, URL: processes.serviceUrl, TOKEN },
      });
      expect(status, command).toBe(0);
      // A step of two commands is about what the last one answers.
      const last = stdout.slice(Math.max(0, stdout.lastIndexOf("}{") + 1));
      expect(JSON.parse(last), command).toMatchObject(JSON.parse(answer) as object);
    }
  });
});

describe("the client over the network", () => {
  it("has real transactions, and tells a wrong token from a lost answer", async () => {
    const { persistence, jobs } = connectHttp({ url: processes.serviceUrl, token: TOKEN });
    const failed = persistence.withTransaction(async (tx) => {
      await tx.createRun({
        id: "gone",
        workflowId: "w",
        workflowName: "",
        workflowType: "",
        input: 0,
      });
      await jobs.enqueue({ workflowRunId: "gone", workflowId: "w", stageId: "s" });
      throw new RangeError("no");
    });
    await expect(failed).rejects.toThrow(RangeError);
    expect(await persistence.getRun("gone")).toBeNull();
    const stranger = connectHttp({ url: processes.serviceUrl, token: "wrong" });
    await expect(stranger.persistence.getRun("x")).rejects.toMatchObject({
      code: "UNAUTHENTICATED",
    });
    const nobody = connectHttp({ url: "http://127.0.0.1:9", token: TOKEN });
    await expect(nobody.persistence.getRun("x")).rejects.toMatchObject({ code: "UNAVAILABLE" });
    const signal = AbortSignal.abort(new Error("enough"));
    const aborted = connectHttp({ url: processes.serviceUrl, token: TOKEN, signal });
    await expect(aborted.persistence.getRun("x")).rejects.toThrow("enough");
  });
});
