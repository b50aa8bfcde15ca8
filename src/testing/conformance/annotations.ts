import { expect } from "vitest";
import type { Test } from "./harness.ts";
import {
  anAnnotation,
  at,
  expectCode,
  keysOfAnnotations,
  seedRun,
  seedStage,
  upTo,
} from "./support.ts";

/** appendAnnotations, and the order in which listAnnotations returns what it wrote. */
export function annotations(test: Test): void {
  test("appendAnnotations fills in every default", async ({ a, b }) => {
    const run = await seedRun(a);

    expect(await a.persistence.appendAnnotations([anAnnotation(run.id)])).toBeUndefined();

    const stored = await b.persistence.listAnnotations(run.id);
    const { id, createdAt } = at(stored, 0);
    expect(stored).toEqual([
      {
        id,
        createdAt,
        workflowRunId: run.id,
        workflowStageRecordId: null,
        attempt: 0,
        scope: "run",
        scopeId: null,
        actorKind: null,
        actorId: null,
        actorVersion: null,
        key: "review.verdict",
        value: "fine",
        payload: null,
        idempotencyKey: null,
      },
    ]);
    expect(createdAt).toBeInstanceOf(Date);
  });

  test("appendAnnotations stores what it is given, except emitEvent", async ({ a }) => {
    const run = await seedRun(a);
    const stage = await seedStage(a, run.id);
    const given = {
      workflowStageRecordId: stage.id,
      attempt: 2,
      scope: "my.scope",
      scopeId: "call-7",
      key: "score",
      value: { points: 3 },
      payload: ["why"],
      idempotencyKey: "once",
    };

    await a.persistence.appendAnnotations([
      anAnnotation(run.id, {
        ...given,
        actor: { kind: "agent", id: "agent-1", version: "v3" },
        emitEvent: true,
      }),
    ]);

    const [stored] = await a.persistence.listAnnotations(run.id);
    expect(stored).toMatchObject({
      ...given,
      actorKind: "agent",
      actorId: "agent-1",
      actorVersion: "v3",
    });
    expect(stored).not.toHaveProperty("emitEvent");
    expect(stored).not.toHaveProperty("actor");
  });

  test("appendAnnotations takes null for what is optional", async ({ a }) => {
    const run = await seedRun(a);

    await a.persistence.appendAnnotations([
      anAnnotation(run.id, {
        workflowStageRecordId: null,
        scopeId: null,
        payload: null,
        idempotencyKey: null,
        value: null,
        actor: {},
      }),
    ]);

    expect(await a.persistence.listAnnotations(run.id)).toMatchObject([
      { workflowStageRecordId: null, scopeId: null, payload: null, value: null, actorId: null },
    ]);
  });

  test("appendAnnotations of nothing does nothing", async ({ a }) => {
    const run = await seedRun(a);

    expect(await a.persistence.appendAnnotations([])).toBeUndefined();
    expect(await a.persistence.listAnnotations(run.id)).toEqual([]);
  });

  test("appendAnnotations takes rows of several runs at once", async ({ a }) => {
    const one = await seedRun(a);
    const two = await seedRun(a);

    await a.persistence.appendAnnotations([
      anAnnotation(one.id, { key: "a" }),
      anAnnotation(two.id, { key: "b" }),
      anAnnotation(one.id, { key: "c" }),
    ]);

    expect(await keysOfAnnotations(a, one.id)).toEqual(["a", "c"]);
    expect(await keysOfAnnotations(a, two.id)).toEqual(["b"]);
  });

  test("appendAnnotations writes all of a call or nothing", async ({ a }) => {
    const run = await seedRun(a);
    const good = anAnnotation(run.id);
    const bad = {
      run: anAnnotation("nobody"),
      stage: anAnnotation(run.id, { workflowStageRecordId: "nobody" }),
      value: anAnnotation(run.id, { value: 1n }),
    };

    await expectCode(a.persistence.appendAnnotations([good, bad.run]), "NOT_FOUND");
    await expectCode(a.persistence.appendAnnotations([good, bad.stage]), "NOT_FOUND");
    await expectCode(a.persistence.appendAnnotations([good, bad.value]), "INVALID_ARGUMENT");

    expect(await a.persistence.listAnnotations(run.id)).toEqual([]);
  });

  test("annotations of one call keep its order", async ({ a, b }) => {
    const run = await seedRun(a);
    const keys = upTo(60).map((n) => `key-${(n * 37) % 61}`);

    await a.persistence.appendAnnotations(keys.map((key) => anAnnotation(run.id, { key })));

    expect(await keysOfAnnotations(b, run.id)).toEqual(keys);
  });

  test("annotations of several calls keep the order of the calls", async ({ a }) => {
    const run = await seedRun(a);
    const keys = ["m", "z", "a", "k", "b", "y"];

    for (const key of keys) await a.persistence.appendAnnotations([anAnnotation(run.id, { key })]);

    const stored = await a.persistence.listAnnotations(run.id);
    const times = stored.map((annotation) => annotation.createdAt.getTime());
    expect(stored.map((annotation) => annotation.key)).toEqual(keys);
    expect(times).toEqual(times.toSorted((left, right) => left - right));
  });

  test("annotations of one instant keep the order of insertion, whoever wrote them", async ({
    a,
    b,
  }) => {
    const run = await seedRun(a);
    const keys = upTo(24).map(String);

    for (const [index, key] of keys.entries()) {
      const { persistence } = index % 2 === 0 ? a : b;
      await persistence.appendAnnotations([anAnnotation(run.id, { key })]);
    }

    const stored = await a.persistence.listAnnotations(run.id);
    const inOrder = stored.toSorted(
      (left, right) =>
        left.createdAt.getTime() - right.createdAt.getTime() ||
        keys.indexOf(left.key) - keys.indexOf(right.key),
    );
    expect(stored.map((row) => row.key)).toEqual(inOrder.map((row) => row.key));
  });

  test("an idempotency key makes the first write win, in one call and across calls", async ({
    a,
    b,
  }) => {
    const run = await seedRun(a);
    const write = (value: number) =>
      anAnnotation(run.id, { value, idempotencyKey: "once", scope: `scope-${value}` });

    await a.persistence.appendAnnotations([write(1), write(2)]);
    await b.persistence.appendAnnotations([write(3), anAnnotation(run.id, { key: "new" })]);

    const key = "review.verdict";
    const stored = await a.persistence.listAnnotations(run.id, { key });
    expect(stored).toMatchObject([{ value: 1, scope: "scope-1" }]);
    expect(await a.persistence.listAnnotations(run.id)).toHaveLength(2);
  });

  test("the empty string is an idempotency key, null is none", async ({ a }) => {
    const run = await seedRun(a);
    const write = (value: string, idempotencyKey: string | null) =>
      anAnnotation(run.id, { value, idempotencyKey });

    await a.persistence.appendAnnotations([write("empty 1", ""), write("null 1", null)]);
    await a.persistence.appendAnnotations([write("empty 2", ""), write("null 2", null)]);

    const values = (await a.persistence.listAnnotations(run.id)).map((row) => row.value);
    expect(values).toEqual(["empty 1", "null 1", "null 2"]);
  });

  test("an idempotency key counts within one run and one annotation key", async ({ a }) => {
    const one = await seedRun(a);
    const two = await seedRun(a);
    const idempotencyKey = "once";

    await a.persistence.appendAnnotations([
      anAnnotation(one.id, { key: "x", idempotencyKey }),
      anAnnotation(one.id, { key: "y", idempotencyKey }),
      anAnnotation(two.id, { key: "x", idempotencyKey }),
    ]);

    expect(await keysOfAnnotations(a, one.id)).toEqual(["x", "y"]);
    expect(await keysOfAnnotations(a, two.id)).toEqual(["x"]);
  });

  test("listAnnotations returns 1,000 unless told otherwise", async ({ a }) => {
    const run = await seedRun(a);
    const keys = upTo(1_005).map((n) => `key-${n}`);
    for (const part of [keys.slice(0, 500), keys.slice(500)]) {
      await a.persistence.appendAnnotations(part.map((key) => anAnnotation(run.id, { key })));
    }

    const unlimited = await a.persistence.listAnnotations(run.id);
    const more = await a.persistence.listAnnotations(run.id, { limit: 10_000 });

    expect(unlimited.map((row) => row.key)).toEqual(keys.slice(0, 1_000));
    expect(more.map((row) => row.key)).toEqual(keys);
  });
}
