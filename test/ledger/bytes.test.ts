/** What a run takes in the file, and how many rows are written for it, by the size of its values. */
import { applyD1Migrations, reset } from "cloudflare:test";
import { beforeAll, describe, expect, it } from "vitest";
import costs from "../../docs/cost.md?raw";
import { env } from "../support/env.ts";
import { BYTES_BUDGET, BYTES_RATIO_MAX } from "./budget.ts";
import { NOW, recordedConnection } from "./live.ts";
import { Recorder } from "./recorder.ts";
import { asNdjson, leaveRun, ROWS_OF_RUN } from "./runs-in-file.ts";

/** Runs that are measured: so many that pages of 4 KB do not matter. */
const RUNS = 40;
/** Fewer, of values that take many pages each. */
const LARGE_RUNS = 5;

interface Left {
  /** All of it for one run. */
  readonly file: number;
  readonly ndjson: number;
  readonly rows: number;
  readonly written: number;
}

async function fileBytes(): Promise<number> {
  const { meta } = await env.DB.prepare("SELECT 1").run();
  return meta.size_after;
}

async function measure(bytes: number): Promise<Left> {
  await reset();
  await applyD1Migrations(env.DB, env.TEST_MIGRATIONS);
  const recorder = new Recorder(env.DB);
  const backend = recordedConnection(recorder, NOW);
  // The first run of its workflow writes a row more.
  await leaveRun(backend, bytes);
  const file = await fileBytes();
  const first = await asNdjson(env.DB);
  recorder.reset();
  const runs = bytes > 5_000 ? LARGE_RUNS : RUNS;
  for (let n = 0; n < runs; n += 1) await leaveRun(backend, bytes);
  const { rowsWritten } = recorder.figures();
  const all = await asNdjson(env.DB);
  return {
    file: ((await fileBytes()) - file) / runs,
    ndjson: (all.bytes - first.bytes) / runs,
    rows: (all.rows - first.rows) / runs,
    written: rowsWritten / runs,
  };
}

const left = new Map<number, Left>();

beforeAll(async () => {
  for (const { bytes } of BYTES_BUDGET) left.set(bytes, await measure(bytes));
}, 120_000);

function leftBy(bytes: number): Left {
  const found = left.get(bytes);
  if (found === undefined) throw new Error(`No runs with values of ${bytes} bytes`);
  return found;
}

describe.each(BYTES_BUDGET)("a run with values of $bytes bytes", ({ bytes, file, written }) => {
  it("takes no more in the file than its budget, which is close", () => {
    const { file: is, rows } = leftBy(bytes);
    expect(rows).toBe(ROWS_OF_RUN);
    expect(is).toBeLessThanOrEqual(file);
    expect(is).toBeGreaterThan(0.95 * file);
  });

  it("takes no more rows written than its budget", () => {
    expect(leftBy(bytes).written).toBeLessThanOrEqual(written);
  });

  it("is told in docs/cost.md", () => {
    const kilobytes = (figure: number) => `${(figure / 1_000).toFixed(0)} KB`;
    const { file: is, ndjson } = leftBy(bytes);
    const told = costs.replaceAll(/ +/g, " ");
    const figures = [kilobytes(file), kilobytes(ndjson), (is / ndjson).toFixed(2), written];
    expect(told).toContain(`| ${bytes} B | ${figures.join(" | ")} |`);
  });
});

describe("the file", () => {
  it.each([200, 1_500, 10_000, 100_000])(
    "is little larger than the rows as NDJSON, with values of %s bytes",
    (bytes) => {
      const { file, ndjson } = leftBy(bytes);
      expect(file / ndjson).toBeLessThanOrEqual(BYTES_RATIO_MAX);
    },
  );

  it("has no row more for values of less than 800 bytes", () => {
    expect(leftBy(799).written).toBe(leftBy(200).written);
  });
});
