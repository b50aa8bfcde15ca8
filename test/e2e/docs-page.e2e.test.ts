/**
 * The page `/docs` in a browser: what it shows, which addresses it asks, and what it sends.
 * CHROME_PATH names the browser if PATH has none.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { apiTokensOf } from "../../scripts/dev-token.ts";
import { ROOT } from "../../scripts/wrangler.ts";
import { browserPath, openPage, type Page } from "./browser.ts";
import { type Dev, startDev } from "./support.ts";

const TOKEN = "token-of-the-page";
const browser = browserPath();

describe.skipIf(browser === null)("the page /docs in a browser", () => {
  let dev: Dev;
  let page: Page;

  beforeAll(async () => {
    const config = join(ROOT, "wrangler.toml");
    dev = await startDev({ apiTokens: apiTokensOf(TOKEN), config }, { app: false });
    page = await openPage(browser ?? "");
    await page.goto(`${dev.processes.serviceUrl}/docs`);
    await shows(".opblock");
  });

  afterAll(async () => {
    await page.close();
    await dev.stop();
  });

  const shows = async (selector: string) =>
    vi.waitUntil(
      async () => page.evaluate(`document.querySelector(${JSON.stringify(selector)}) !== null`),
      {
        timeout: 60_000,
        interval: 100,
      },
    );
  const text = async (selector: string) =>
    page.evaluate(`document.querySelector(${JSON.stringify(selector)}).innerText`);
  const click = async (selector: string) => {
    await shows(selector);
    await page.evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`);
  };

  it("shows every operation of the document", async () => {
    const { paths } = (await (await fetch(`${dev.processes.serviceUrl}/openapi.json`)).json()) as {
      paths: Record<string, object>;
    };
    const operations = Object.values(paths).flatMap((path) => Object.keys(path));
    expect(operations.length).toBeGreaterThan(40);
    expect(await page.evaluate("document.querySelectorAll('.opblock').length")).toBe(
      operations.length,
    );
  });

  it("has the field for the token selected, and nothing to buy, to share or to ask", async () => {
    expect(await page.evaluate("document.activeElement.id")).toBe("token");
    expect(await text("body")).not.toMatch(/\bAsk AI\b|\bDeploy\b|\bShare\b|Powered by/i);
    const links = (await page.evaluate(
      "[...document.querySelectorAll('a[href], iframe, img[src], form[action]')].map((element) => element.href ?? element.src ?? element.action)",
    )) as string[];
    const outside = links.filter((url) => new URL(url).origin !== dev.processes.serviceUrl);
    // The licence, which the document names.
    expect(outside.filter((url) => !url.startsWith("data:"))).toEqual([
      "https://spdx.org/licenses/MIT.html",
    ]);
  });

  it("sends what is tried with the token that was entered, and shows the answer", async () => {
    const block = "#operations-commits-time";
    await click(`${block} .opblock-summary-control`);
    await click(`${block} .try-out__btn`);
    await page.evaluate(`document.querySelector("#token").value = ${JSON.stringify(TOKEN)}`);
    await click(`${block} .execute`);
    await shows(`${block} .live-responses-table .response-col_status`);
    expect(await text(`${block} .live-responses-table tbody .response-col_status`)).toContain(
      "200",
    );
    expect(await text(`${block} .live-responses-table`)).toMatch(/"now": \d{13}/);
  });

  it("has asked nobody but the service, and has nothing to complain of", () => {
    const hosts = page.requests
      .filter((url) => !url.startsWith("data:"))
      .map((url) => new URL(url).origin);
    expect(hosts.length).toBeGreaterThan(5);
    expect([...new Set(hosts)]).toEqual([dev.processes.serviceUrl]);
    expect(page.complaints).toEqual([]);
  });
});
