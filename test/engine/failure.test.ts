import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { Fatal, isFatal, isRetryAfter, RetryAfter } from "../../src/engine/index.ts";
import { refusalOf } from "./support.ts";

/** As an error arrives over RPC: a plain Error with its name, message and own members. */
function overRpc(error: Error): Error {
  return Object.assign(new Error(error.message), structuredClone({ ...error }), {
    name: error.name,
  });
}

describe("Fatal", () => {
  it("is an error with a reason, a cause and a name", () => {
    const cause = new Error("404");
    const error = new Fatal("the page is gone", { cause });
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: "Fatal", message: "the page is gone", cause });
  });

  it("is recognised here, after RPC, and from another realm", () => {
    expect(isFatal(new Fatal("no"))).toBe(true);
    expect(isFatal(overRpc(new Fatal("no")))).toBe(true);
    const foreign: unknown = runInNewContext(`Object.assign(new Error("no"), {"~stage": "fatal"})`);
    expect(foreign).not.toBeInstanceOf(Error);
    expect(isFatal(foreign)).toBe(true);
  });

  it.each([
    [null],
    [undefined],
    ["fatal"],
    [new Error("Fatal")],
    [Object.assign(new Error("no"), { name: "Fatal", code: "fatal" })],
    [new RetryAfter("1s")],
    [{ "~stage": "suspended" }],
  ])("is not %s", (thrown) => {
    expect(isFatal(thrown)).toBe(false);
  });
});

describe("RetryAfter", () => {
  it("holds its pause in milliseconds, and a reason", () => {
    expect(new RetryAfter("30s", "the API is busy")).toMatchObject({
      name: "RetryAfter",
      message: "the API is busy",
      afterMs: 30_000,
    });
    expect(new RetryAfter(250).message).toBe("to be tried again after 250");
    expect(new RetryAfter("5m").message).toBe("to be tried again after 5m");
  });

  it("refuses what is no duration, when it is made", async () => {
    const error = await refusalOf(() => new RetryAfter("soon" as "1s"));
    expect(error.message).toMatch(/^RetryAfter must be whole milliseconds .*; got "soon"$/);
  });

  it("is for 31 days at most", async () => {
    expect(new RetryAfter("31d").afterMs).toBe(2_678_400_000);
    const error = await refusalOf(() => new RetryAfter("60d"));
    expect(error.message).toBe('RetryAfter must be at most 31d; got "60d"');
    expect(error.details).toEqual({ field: "RetryAfter", limit: 2_678_400_000 });
  });

  it("is recognised here, after RPC, and from another realm", () => {
    expect(isRetryAfter(new RetryAfter("1s"))).toBe(true);
    expect(isRetryAfter(overRpc(new RetryAfter("1s")))).toBe(true);
    const foreign: unknown = runInNewContext(`({ "~stage": "retry-after", afterMs: 5 })`);
    expect(isRetryAfter(foreign)).toBe(true);
  });

  it.each([
    [null],
    [new Fatal("no")],
    [{ "~stage": "retry-after" }],
    [{ "~stage": "retry-after", afterMs: "5" }],
    [{ "~stage": "retry-after", afterMs: -1 }],
    [{ "~stage": "retry-after", afterMs: Number.NaN }],
    [{ "~stage": "retry-after", afterMs: 0.5 }],
  ])("is not %o", (thrown) => {
    expect(isRetryAfter(thrown)).toBe(false);
  });
});
