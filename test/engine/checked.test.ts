import * as z from "zod";
import { describe, expect, it } from "vitest";
import { checkedConfig, checkedInput } from "../../src/engine/checked.ts";
import { stage, type StandardSchema, workflow } from "../../src/engine/index.ts";
import { handWritten, refusalOf } from "./support.ts";

const one = () => 1;
const taking = (input: StandardSchema) => workflow("w", { input }).stage("a", one).build();

describe("an input", () => {
  const Sections = z.object({
    sections: z.array(z.object({ title: z.string() })),
    lang: z.string().default("en"),
  });

  it("is what the schema makes of it: defaults filled in, unknown members gone", async () => {
    const given = { sections: [{ title: "a", more: 1 }], extra: true };
    expect(await checkedInput(taking(Sections), given)).toEqual({
      sections: [{ title: "a" }],
      lang: "en",
    });
    expect(given).toEqual({ sections: [{ title: "a", more: 1 }], extra: true });
  });

  it("is refused with the path, and the schema's own words", async () => {
    const given = { sections: [{ title: "a" }, { title: 5 }] };
    const error = await refusalOf(() => checkedInput(taking(Sections), given));
    expect(error.code).toBe("INVALID_ARGUMENT");
    expect(error.message).toBe(
      "input.sections[1].title: Invalid input: expected string, received number",
    );
    expect(error.details).toEqual({ field: "input.sections[1].title" });
  });

  it("is refused with three problems, and the number of the rest", async () => {
    const given = { sections: Array.from({ length: 5 }, () => ({})), lang: 1 };
    const error = await refusalOf(() => checkedInput(taking(Sections), given));
    expect(error.message.split("; ")).toEqual([
      expect.stringMatching(/^input\.sections\[0\]\.title: /),
      expect.stringMatching(/^input\.sections\[1\]\.title: /),
      expect.stringMatching(/^input\.sections\[2\]\.title: /),
      "and 3 more",
    ]);
    expect(error.details).toEqual({ field: "input.sections[0].title" });
  });

  it.each([["at once"], ["later"]] as const)(
    "is checked by a schema that answers %s",
    async (when) => {
      const schema = handWritten<{ n: number }>(
        (value) =>
          typeof value === "object" && value !== null && "n" in value
            ? []
            : [{ message: "lacks a number", path: [{ key: "a b" }, "list", 2] }],
        when,
      );
      expect(await checkedInput(taking(schema), { n: 1 })).toEqual({ n: 1 });
      const error = await refusalOf(() => checkedInput(taking(schema), null));
      expect(error.message).toBe('input["a b"].list[2]: lacks a number');
    },
  );

  it("is named itself where the schema tells no path, or no problem at all", async () => {
    const bare = handWritten<null>(() => [{ message: "no" }]);
    expect((await refusalOf(() => checkedInput(taking(bare), 1))).message).toBe("input: no");
    const mute: StandardSchema = {
      "~standard": { version: 1, vendor: "mute", validate: () => ({ issues: [] }) },
    };
    const error = await refusalOf(() => checkedInput(taking(mute), 1));
    expect(error.message).toBe("input was refused by its schema");
    expect(error.details).toEqual({ field: "input" });
  });

  it("is plain JSON, whatever the schema lets through", async () => {
    const anything = taking(handWritten<unknown>(() => []));
    expect(await checkedInput(anything, undefined)).toBeNull();
    expect(await checkedInput(anything, { gone: undefined, at: [0] })).toEqual({ at: [0] });
    const dated = await refusalOf(() => checkedInput(anything, { at: new Date(0) }));
    expect(dated.message).toBe("input.at holds a Date, which JSON cannot keep");
    const error = await refusalOf(() => checkedInput(anything, { n: [1n] }));
    expect(error.message).toBe("input.n[0] holds a bigint, which JSON cannot keep");
    const large = await refusalOf(() => checkedInput(anything, "a".repeat(2_000_000)));
    expect(large).toMatchObject({ code: "PAYLOAD_TOO_LARGE", details: { field: "input" } });
  });

  it("lets through what the schema itself throws: that is a bug of the schema", async () => {
    const broken = handWritten<null>(() => {
      throw new RangeError("bug");
    });
    await expect(checkedInput(taking(broken), null)).rejects.toThrow(new RangeError("bug"));
  });
});

describe("a config", () => {
  const model = z.object({
    model: z.string().default("small"),
    limits: z
      .object({ words: z.number().default(9), pages: z.number() })
      .default({ words: 9, pages: 1 }),
  });
  const write = stage({ config: model, run: one });
  const strict = stage({ config: z.object({ key: z.string() }), run: one });
  const definition = workflow("w", { input: z.null() })
    .stage("plain", one)
    .parallel({ write, other: one })
    .stageIf("again", () => true, write)
    .build();
  const defaults = { model: "small", limits: { words: 9, pages: 1 } };

  it("has every stage that takes one, with its defaults", async () => {
    expect(await checkedConfig(definition, undefined)).toEqual({
      write: defaults,
      again: defaults,
    });
  });

  it("has the parts that were given, and defaults for the rest", async () => {
    const given = { again: { limits: { pages: 3 } } };
    expect(await checkedConfig(definition, given)).toEqual({
      write: defaults,
      again: { model: "small", limits: { words: 9, pages: 3 } },
    });
  });

  it("is not there for a stage whose member is undefined; null is the schema's to judge", async () => {
    expect(await checkedConfig(definition, { write: undefined })).toMatchObject({
      write: defaults,
    });
    const error = await refusalOf(() => checkedConfig(definition, { write: null }));
    expect(error.details).toEqual({ field: "config.write" });
  });

  it("is empty where no stage takes one", async () => {
    expect(await checkedConfig(taking(z.null()), {})).toEqual({});
  });

  it("is refused with the path", async () => {
    const error = await refusalOf(() => checkedConfig(definition, { write: { model: 5 } }));
    expect(error.message).toMatch(/^config\.write\.model: /);
    expect(error.details).toEqual({ field: "config.write.model" });
  });

  it("is refused where a part is missing that has no default", async () => {
    const needy = workflow("w", { input: z.null() }).stage("send", strict).build();
    const error = await refusalOf(() => checkedConfig(needy, {}));
    expect(error.details).toEqual({ field: "config.send.key" });
    expect(await checkedConfig(needy, { send: { key: "k" } })).toEqual({ send: { key: "k" } });
  });

  it.each<[unknown, string, string]>([
    [
      { nowhere: {} },
      'config.nowhere is a config of no stage; those that take one: "write", "again"',
      "config.nowhere",
    ],
    [
      { plain: {} },
      'Stage "plain" takes no config; those that take one: "again", "write"',
      "config.plain",
    ],
    [[], "config must be an object with stages' ids for names", "config"],
    [null, "config must be an object with stages' ids for names", "config"],
    ["big", "config must be an object with stages' ids for names", "config"],
  ])("is not %j", async (given, says, field) => {
    const error = await refusalOf(() => checkedConfig(definition, given));
    expect(error.message).toBe(says);
    expect(error.details).toEqual({ field });
  });

  it("is told to be of no stage before what it was meant for is told to be missing", async () => {
    const needy = workflow("w", { input: z.null() }).stage("send", strict).build();
    const error = await refusalOf(() => checkedConfig(needy, { sned: { key: "k" } }));
    expect(error.message).toBe('config.sned is a config of no stage; those that take one: "send"');
    const none = await refusalOf(() => checkedConfig(taking(z.null()), { a: {} }));
    expect(none.message).toBe('Stage "a" takes no config; those that take one: none');
  });

  it("takes nothing that every object inherits for a stage's", async () => {
    const named = workflow("w", { input: z.null() }).stage("toString", write).build();
    expect(await checkedConfig(named, {})).toEqual({ toString: defaults });
  });
});
