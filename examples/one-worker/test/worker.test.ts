import { describe, expect, it } from "vitest";
import { testRun } from "workflow-engine-cloudflare/engine/testing";
import { digest } from "../worker.ts";

const input = { text: "one two\n\nthree" };

describe("digest", () => {
  it("counts the words and finds the longest paragraph", async () => {
    const t = await testRun(digest, input);
    expect(await t.output()).toEqual({ longest: "one two", words: 3 });
  });

  it("tries a stage again that fails once", async () => {
    const t = await testRun(digest, { text: "flaky" });
    expect(await t.output()).toMatchObject({ longest: "flaky" });
    expect(t.events.map(({ type }) => type)).toContain("stage:retrying");
  });

  it("ends alike, wherever its worker dies", async () => {
    const t = await testRun(digest, input, { crash: "everywhere" });
    expect(await t.output()).toEqual({ longest: "one two", words: 3 });
  });
});
