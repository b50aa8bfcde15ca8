import { expect } from "vitest";
import type { Test } from "./harness.ts";
import {
  anArtifact,
  at,
  expectCode,
  forced,
  nap,
  seedRun,
  seedStage,
  utf8Length,
} from "./support.ts";

/** The seven methods over artifacts. */
export function artifacts(test: Test): void {
  test("saveArtifact stores a whole record", async ({ a, b }) => {
    const run = await seedRun(a);
    const stage = await seedStage(a, run.id);
    const artifact = anArtifact(run.id, {
      workflowStageId: stage.id,
      type: "METADATA",
      metadata: { mime: "text/plain" },
    });

    expect(await a.persistence.saveArtifact(artifact)).toBeUndefined();

    const stored = await b.persistence.listArtifacts(run.id);
    const { id, createdAt } = at(stored, 0);
    expect(stored).toEqual([{ id, createdAt, updatedAt: createdAt, ...artifact }]);
    expect(createdAt).toBeInstanceOf(Date);
    expect(id).not.toBe("");
  });

  test("saveArtifact defaults the stage and the metadata to null", async ({ a }) => {
    const run = await seedRun(a);

    await a.persistence.saveArtifact(anArtifact(run.id));

    expect(await a.persistence.listArtifacts(run.id)).toMatchObject([
      { workflowStageId: null, metadata: null },
    ]);
  });

  test("saveArtifact takes every type", async ({ a }) => {
    const run = await seedRun(a);

    for (const type of ["STAGE_OUTPUT", "ARTIFACT", "METADATA"] as const) {
      await a.persistence.saveArtifact(anArtifact(run.id, { key: type, type }));
    }

    const types = (await a.persistence.listArtifacts(run.id)).map((artifact) => artifact.type);
    expect(types).toEqual(["ARTIFACT", "METADATA", "STAGE_OUTPUT"]);
  });

  test("saveArtifact over a key replaces data, size and type", async ({ a, b }) => {
    const run = await seedRun(a);
    const stage = await seedStage(a, run.id);
    await a.persistence.saveArtifact(
      anArtifact(run.id, { workflowStageId: stage.id, metadata: { mime: "text/plain" } }),
    );
    const [before] = await a.persistence.listArtifacts(run.id);
    await nap();

    const next = { data: [2], size: 3, type: "STAGE_OUTPUT" } as const;
    await b.persistence.saveArtifact(anArtifact(run.id, next));

    const after = await a.persistence.listArtifacts(run.id);
    const { updatedAt } = at(after, 0);
    expect(after).toEqual([{ ...before, ...next, updatedAt }]);
    expect(updatedAt.getTime()).toBeGreaterThan(at(after, 0).createdAt.getTime());
  });

  test("saveArtifact over a key replaces the stage and the metadata when given", async ({ a }) => {
    const run = await seedRun(a);
    const one = await seedStage(a, run.id, { stageId: "one" });
    const two = await seedStage(a, run.id, { stageId: "two" });
    await a.persistence.saveArtifact(
      anArtifact(run.id, { workflowStageId: one.id, metadata: { first: true } }),
    );

    await a.persistence.saveArtifact(
      anArtifact(run.id, { workflowStageId: two.id, metadata: { second: true } }),
    );

    expect(await a.persistence.listArtifacts(run.id)).toMatchObject([
      { workflowStageId: two.id, metadata: { second: true } },
    ]);
  });

  test("saveArtifact refuses a run or a stage that does not exist", async ({ a }) => {
    const run = await seedRun(a);

    await expectCode(a.persistence.saveArtifact(anArtifact("nobody")), "NOT_FOUND");
    await expectCode(
      a.persistence.saveArtifact(anArtifact(run.id, { workflowStageId: "nobody" })),
      "NOT_FOUND",
    );

    expect(await a.persistence.listArtifacts(run.id)).toEqual([]);
  });

  test("saveArtifact refuses undefined data and keeps what is stored", async ({ a }) => {
    const run = await seedRun(a);
    const nothing = anArtifact(run.id, { data: undefined });
    await expectCode(a.persistence.saveArtifact(nothing), "INVALID_ARGUMENT");
    expect(await a.persistence.hasArtifact(run.id, "report.json")).toBe(false);

    await a.persistence.saveArtifact(anArtifact(run.id));
    await expectCode(a.persistence.saveArtifact(nothing), "INVALID_ARGUMENT");

    expect(await a.persistence.loadArtifact(run.id, "report.json")).toEqual({ pages: 1 });
  });

  test("loadArtifact returns undefined for a missing artifact", async ({ a }) => {
    const run = await seedRun(a);
    await a.persistence.saveArtifact(anArtifact(run.id));

    expect(await a.persistence.loadArtifact(run.id, "other.json")).toBeUndefined();
    expect(await a.persistence.loadArtifact("nobody", "report.json")).toBeUndefined();
  });

  test("loadArtifact tells stored null from nothing", async ({ a }) => {
    const run = await seedRun(a);
    await a.persistence.saveArtifact(anArtifact(run.id, { data: null }));

    expect(await a.persistence.loadArtifact(run.id, "report.json")).toBeNull();
    expect(await a.persistence.hasArtifact(run.id, "report.json")).toBe(true);
  });

  test("hasArtifact tells whether the key is taken in that run", async ({ a, b }) => {
    const run = await seedRun(a);
    const other = await seedRun(a);
    await a.persistence.saveArtifact(anArtifact(run.id, { data: false }));

    expect(await b.persistence.hasArtifact(run.id, "report.json")).toBe(true);
    expect(await b.persistence.hasArtifact(run.id, "REPORT.json")).toBe(false);
    expect(await b.persistence.hasArtifact(other.id, "report.json")).toBe(false);
  });

  test("deleteArtifact removes one artifact and no other", async ({ a, b }) => {
    const run = await seedRun(a);
    await a.persistence.saveArtifact(anArtifact(run.id, { key: "a" }));
    await a.persistence.saveArtifact(anArtifact(run.id, { key: "b" }));

    expect(await b.persistence.deleteArtifact(run.id, "a")).toBeUndefined();

    expect(await a.persistence.hasArtifact(run.id, "a")).toBe(false);
    expect(await a.persistence.hasArtifact(run.id, "b")).toBe(true);
  });

  test("deleteArtifact says that a missing artifact was not found", async ({ a }) => {
    const run = await seedRun(a);

    await expectCode(a.persistence.deleteArtifact(run.id, "report.json"), "NOT_FOUND");
    await expectCode(a.persistence.deleteArtifact("nobody", "report.json"), "NOT_FOUND");
  });

  test("an artifact that was deleted can be saved anew", async ({ a }) => {
    const run = await seedRun(a);
    await a.persistence.saveArtifact(anArtifact(run.id, { metadata: { old: true } }));
    const [before] = await a.persistence.listArtifacts(run.id);
    await a.persistence.deleteArtifact(run.id, "report.json");

    await a.persistence.saveArtifact(anArtifact(run.id, { data: 2 }));

    const [after] = await a.persistence.listArtifacts(run.id);
    expect(after).toMatchObject({ data: 2, metadata: null });
    expect(after?.id).not.toBe(before?.id);
  });

  test("listArtifacts goes by key, within one run", async ({ a }) => {
    const run = await seedRun(a, { id: "run-1" });
    const other = await seedRun(a, { id: "run-10" });
    for (const key of ["m", "z", "a/b", "a"]) {
      await a.persistence.saveArtifact(anArtifact(run.id, { key }));
    }
    await a.persistence.saveArtifact(anArtifact(other.id, { key: "b" }));

    const keys = (await a.persistence.listArtifacts(run.id)).map((artifact) => artifact.key);

    expect(keys).toEqual(["a", "a/b", "m", "z"]);
    expect(await a.persistence.listArtifacts("nobody")).toEqual([]);
  });

  test("getStageIdForArtifact returns the record id of a stage", async ({ a }) => {
    const run = await seedRun(a);
    const stage = await seedStage(a, run.id);

    expect(await a.persistence.getStageIdForArtifact(run.id, "extract")).toBe(stage.id);
    expect(await a.persistence.getStageIdForArtifact(run.id, "review")).toBeNull();
    expect(await a.persistence.getStageIdForArtifact("nobody", "extract")).toBeNull();
  });

  test("saveStageOutput returns the key under which it stored the output", async ({ a, b }) => {
    const run = await seedRun(a, { id: "run/1" });
    const stage = await seedStage(a, run.id);
    const output = { text: "żółć 🙂" };

    const key = await a.persistence.saveStageOutput(run.id, "invoices v2", "extract", output);

    expect(key).toBe("workflow-v2/invoices v2/run/1/extract/output.json");
    expect(await b.persistence.loadArtifact(run.id, key)).toEqual(output);
    expect(await b.persistence.listArtifacts(run.id)).toMatchObject([
      {
        key,
        type: "STAGE_OUTPUT",
        size: utf8Length(JSON.stringify(output)),
        workflowStageId: stage.id,
        data: output,
      },
    ]);
  });

  test("saveStageOutput works for a stage without a record", async ({ a }) => {
    const run = await seedRun(a);

    await a.persistence.saveStageOutput(run.id, "invoices", "extract", null);

    expect(await a.persistence.listArtifacts(run.id)).toMatchObject([
      { workflowStageId: null, data: null, size: 4 },
    ]);
  });

  test("saveStageOutput again replaces the output, its size and its stage", async ({ a }) => {
    const run = await seedRun(a);
    await a.persistence.saveStageOutput(run.id, "invoices", "extract", { long: "output" });
    const [before] = await a.persistence.listArtifacts(run.id);
    const stage = await seedStage(a, run.id);

    await a.persistence.saveStageOutput(run.id, "invoices", "extract", 7);

    expect(await a.persistence.listArtifacts(run.id)).toMatchObject([
      { id: before?.id, createdAt: before?.createdAt, data: 7, size: 1, workflowStageId: stage.id },
    ]);
  });

  test("saveStageOutput refuses an undefined output and a missing run", async ({ a }) => {
    const run = await seedRun(a);
    const save = (id: string, output: unknown) =>
      a.persistence.saveStageOutput(id, "invoices", "extract", output);

    await expectCode(save(run.id, forced(undefined)), "INVALID_ARGUMENT");
    await expectCode(save("nobody", 1), "NOT_FOUND");

    expect(await a.persistence.listArtifacts(run.id)).toEqual([]);
  });
}
