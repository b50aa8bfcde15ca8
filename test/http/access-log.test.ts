import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { ADMIN, ended, send, URL_OF_SERVICE } from "./support.ts";

const lines: string[] = [];

beforeEach(() => {
  lines.length = 0;
  vi.spyOn(console, "log").mockImplementation((line: string) => {
    lines.push(line);
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

/** The answer to an admin where the setting is this. */
async function ask(path: string, ACCESS_LOG: string): Promise<Response> {
  const request = new Request(URL_OF_SERVICE + path, {
    headers: { Authorization: `Bearer ${ADMIN}` },
  });
  return ended(await send(request, { ACCESS_LOG }));
}

const statuses = () => lines.map((line) => (JSON.parse(line) as { status: number }).status);

it.each([
  ["on", [200, 404]],
  ["errors", [404]],
  ["off", []],
])(
  "with ACCESS_LOG %s the log has requests with %j, of one with 200 and one with 404",
  async (setting, logged) => {
    expect((await ask("/v1/time", setting)).status).toBe(200);
    expect((await ask("/v1/nothing", setting)).status).toBe(404);
    expect(statuses()).toEqual(logged);
  },
);

it.each(["none", "ON", ""])("ACCESS_LOG %j closes the API, which says so", async (setting) => {
  const response = await ask("/v1/time", setting);
  expect(await response.json()).toMatchObject({
    status: 503,
    code: "NOT_CONFIGURED",
    detail: `ACCESS_LOG is "${setting}": it must be on, errors or off (docs/operations.md)`,
  });
  expect(statuses()).toEqual([503]);
});
