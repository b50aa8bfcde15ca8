import { runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { RECONNECT } from "../../src/coordinator/index.ts";
import { embed } from "../../src/embed.ts";
import { anEvent, upTo } from "../../src/testing/conformance/support.ts";
import { emptyDatabase } from "../support/database.ts";
import { env } from "../support/env.ts";
import { Watching } from "./watching.ts";

vi.setConfig({ testTimeout: 60_000 });

let RUN = "";

beforeEach(async () => {
  await emptyDatabase();
  RUN = crypto.randomUUID();
});

describe("a coordinator with readers that do not read", () => {
  it("lets no more than 16 MiB wait for all its readers: the slow ones go, and come back from where they were", async () => {
    const silent = await Promise.all(upTo(40).map(() => Watching.silent(RUN)));
    const reading = await Watching.open(RUN);
    const waiting = () =>
      runInDurableObject(env.RUNS.getByName(RUN), (_, state) =>
        state
          .getWebSockets()
          .map((socket) => (socket.deserializeAttachment() as { waiting: number }).waiting)
          .reduce((sum, units) => sum + units, 0),
      );
    const payload = "x".repeat(1_000_000);
    for (const n of upTo(4)) {
      await embed(env).persistence.appendOutboxEvents([anEvent(RUN, { payload })]);
      await reading.untilEvents(n);
      expect(await waiting()).toBeLessThanOrEqual(16 * 1_024 * 1_024);
    }
    await Promise.all(
      silent.map((one) => one.until(({ events, closed }) => events.length > 0 || closed !== null)),
    );
    const gone = silent.filter(({ closed }) => closed === RECONNECT);
    expect(gone.length).toBeGreaterThan(0);
    const back = await Watching.open(RUN, { after: gone[0]?.sequences.at(-1) ?? 0 });
    await back.until(({ sequences }) => sequences.at(-1) === 4);
    expect([...(gone[0]?.sequences ?? []), ...back.sequences]).toEqual(upTo(4));
  });
});
