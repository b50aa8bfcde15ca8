/** Requests whose answers and log lines are looked at: no token is in any of them, and each line of the access log is one. */
import { afterEach, beforeEach, expect, vi } from "vitest";
import type { HttpEnv } from "../../src/http/env.ts";
import { ADMIN, ended, send as sendUnwatched, URL_OF_SERVICE } from "./support.ts";

/** Every token of these tests begins so, and nothing else does. */
const TOKEN = /secret-/;

/** What has been printed during the test. */
export const printed: string[] = [];
const answers: string[] = [];

/** Watches over every test of the file that calls it. */
export function watch(): void {
  beforeEach(() => {
    printed.length = 0;
    answers.length = 0;
    for (const level of ["debug", "info", "log", "warn", "error"] as const) {
      vi.spyOn(console, level).mockImplementation((...parts: unknown[]) => {
        printed.push(parts.map(shown).join(" "));
      });
    }
  });
  afterEach(() => {
    vi.restoreAllMocks();
    vi.useRealTimers();
    for (const text of [...printed, ...answers]) expect(text).not.toMatch(TOKEN);
    expect(accessLog()).toHaveLength(answers.length);
  });
}

function shown(part: unknown): string {
  if (part instanceof Error) return `${part.stack} ${shown(part.cause)}`;
  return typeof part === "string" ? part : JSON.stringify(part);
}

/** The lines of the access log, each a line of its own. */
export function accessLog(): Record<string, unknown>[] {
  return printed
    .filter((line) => line.includes('"wfe-http"'))
    .map((line) => {
      expect(line).toMatch(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u);
      return JSON.parse(line) as Record<string, unknown>;
    });
}

export async function send(request: Request, overrides: Partial<HttpEnv> = {}): Promise<Response> {
  const response = await ended(await sendUnwatched(request, overrides));
  const headers = JSON.stringify([...response.headers]);
  answers.push(`${headers} ${await response.clone().text()}`);
  return response;
}

export const bearer = (token: string) => ({ Authorization: `Bearer ${token}` });

export async function ask(
  method: string,
  path: string,
  headers: Record<string, string> = bearer(ADMIN),
  overrides: Partial<HttpEnv> = {},
): Promise<Response> {
  return send(new Request(URL_OF_SERVICE + path, { method, headers }), overrides);
}

export async function post(
  path: string,
  body: BodyInit,
  headers: Record<string, string> = { "Content-Type": "application/json" },
): Promise<Response> {
  const init = { method: "POST", headers: { ...bearer(ADMIN), ...headers }, body };
  return send(new Request(URL_OF_SERVICE + path, init));
}

/** The status and the code of a problem, which all faults are. */
export async function codeOf(response: Response): Promise<[number, string]> {
  expect(response.headers.get("Content-Type")).toBe("application/problem+json");
  const problem = await response.json<{ code: string; status: number }>();
  expect(problem.status).toBe(response.status);
  return [response.status, problem.code];
}
