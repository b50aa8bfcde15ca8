import * as z from "zod";
import { describe, expect, it } from "vitest";
import { type Workflow, workflow } from "../../src/engine/index.ts";
import { Chain } from "../../src/engine/chain.ts";
import { definitionFor } from "../../src/engine/definition.ts";
import { refusalOf } from "./support.ts";

const input = z.null();
const base = workflow("w", { input });
const one = () => 1;

describe("versions", () => {
  const of = (version: number, ...ids: string[]) =>
    ids.reduce((begun, id) => begun.stage(id, one), Chain.of("w", { input, version })).build();
  const v1 = of(1, "a", "b");

  it("begin with 1, and are told with the name", () => {
    expect(base.stage("a", one).build()).toMatchObject({ id: "w", name: "w", version: 1 });
    const named = workflow("w", { input, version: 3, name: "Documents" }).stage("a", one).build();
    expect(named).toMatchObject({ id: "w", name: "Documents", version: 3, previous: [] });
  });

  it.each([[0], [1.5], [-1], [Number.NaN], ["2"]])(
    "are whole numbers from 1, not %j",
    async (version) => {
      const error = await refusalOf(() => workflow("w", { input, version: version as number }));
      expect(error.message).toMatch(/^version must be a whole number/);
      expect(error.details).toMatchObject({ field: "version" });
    },
  );

  it("hold the earlier ones, newest first, with those that these name", () => {
    const v2 = workflow("w", { input, version: 2, previous: [v1] })
      .stage("a", one)
      .build();
    const v4 = workflow("w", { input, version: 4, previous: [v1, v2] })
      .stage("b", one)
      .build();
    expect(v2.previous).toEqual([v1]);
    expect(v4.previous).toEqual([v2, v1]);
    const short = workflow("w", { input, version: 5, previous: [v4] })
      .stage("c", one)
      .build();
    expect(short.previous.map(({ version }) => version)).toEqual([4, 2, 1]);
  });

  it("are refused when they are not older, of another workflow, or two of one", async () => {
    const begin =
      (version: number, ...previous: Workflow[]) =>
      () =>
        workflow("w", { input, version, previous });
    expect((await refusalOf(begin(1, v1))).message).toBe(
      "previous names version 1, and this one is 1",
    );
    const twice = await refusalOf(begin(2, v1, of(1, "c")));
    expect(twice.message).toBe("previous has two of version 1");
    expect(twice.details).toEqual({ field: "previous" });
    const other = workflow("x", { input }).stage("a", one).build();
    expect((await refusalOf(begin(2, other))).message).toBe(
      'previous names the workflow "x", and this one is "w"',
    );
  });

  it("go on with the current code while the shape is the same, else with the newest that has it", () => {
    const v2 = of(2, "a", "b");
    const v3 = workflow("w", { input, version: 3, previous: [v1, v2] })
      .stage("a", one)
      .build();
    expect(definitionFor(v3, v3.shape)).toBe(v3);
    expect(definitionFor(v3, v1.shape)).toBe(v2);
    const v4 = workflow("w", { input, version: 4, previous: [v3] })
      .stage("a", one)
      .stage("b", one)
      .build();
    expect(definitionFor(v4, v1.shape)).toBe(v4);
    expect(definitionFor(v4, "0000000000000000")).toBeNull();
  });
});
