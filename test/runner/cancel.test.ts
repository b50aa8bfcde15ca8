/** How a running stage learns that its run was cancelled. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import * as z from "zod";
import { workflow } from "../../src/engine/index.ts";
import { emptyDatabase } from "../support/database.ts";
import { Engine } from "./support/engine.ts";
import { newGate } from "./support/gate.ts";

/** The first look comes after this time; the first heartbeat, of a lease of 300 s, after 100 s. */
const LOOK_MS = 10_000;

beforeEach(async () => {
  await emptyDatabase();
  // The clock of the database and all deadlines go on.
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("the signal of a running stage", () => {
  it.each([
    ["when its run is cancelled", "cancel", "The lease is lost"],
    ["when a caller sets its run to CANCELLED", "updateRun", "The run has ended"],
    ["not while the lease is there", null, null],
  ] as const)(
    "is aborted by a look within 10 seconds, with no heartbeat, %s",
    async (_, by, why) => {
      const { gate, pass } = newGate();
      let reason: string | null = null;
      const aborted = Promise.withResolvers<void>();
      const long = workflow("long", { input: z.null() })
        .stage("long", async ({ signal }) => {
          signal.addEventListener("abort", () => {
            reason = String(signal.reason.message);
            aborted.resolve();
          });
          await pass();
          return 1;
        })
        .build();
      const kinds: string[] = [];
      const looks: Promise<unknown>[] = [];
      const engine = new Engine({
        workflows: [long],
        around: (store) => ({
          now: async () => store.now(),
          async read(queries) {
            const answer = store.read(queries);
            if (queries.some(({ q }) => q === "jobStates")) looks.push(answer);
            return answer;
          },
          settle: async (commit) => store.settle(commit),
          async attempt(commit) {
            kinds.push(...commit.changes.map(({ kind }) => kind));
            return store.attempt(commit);
          },
        }),
      });
      const run = await engine.runs.start(long, null);
      const worker = engine.consume(1);
      await gate.reached();
      if (by === "cancel") await run.cancel();
      const { persistence } = engine.connection;
      if (by === "updateRun") await persistence.updateRun(run.id, { status: "CANCELLED" });
      vi.advanceTimersByTime(LOOK_MS - 1);
      expect(looks).toHaveLength(0);
      vi.advanceTimersByTime(1);
      await vi.waitUntil(() => looks.length === 1);
      if (by !== null) await aborted.promise;
      else await looks[0];
      gate.open();
      await worker;
      expect(reason).toEqual(why === null ? null : expect.stringContaining(why));
      expect(kinds).not.toContain("touchJob");
      expect((await run.output()).status).toBe(by === null ? "COMPLETED" : "CANCELLED");
    },
  );
});
