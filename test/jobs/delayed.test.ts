import { describe, expect, it } from "vitest";
import type { EnqueueJobInput } from "../../src/contract/index.ts";
import { PROMOTED_MAX } from "../../src/model/index.ts";
import { JOB, MINUTE, pass, present, START, times, usingTheClock, ways } from "./support.ts";

usingTheClock();

describe.each(ways)("delayed jobs that have become due, $name", ({ open }) => {
  it("are made ready by a claim, the longest due first, a bounded number at a time", async () => {
    const { jobs } = open().connect();
    const later = (stageId: string, ms: number, more: Partial<EnqueueJobInput> = {}) => ({
      ...JOB,
      stageId,
      scheduledFor: new Date(START + MINUTE + ms),
      ...more,
    });
    await jobs.enqueue(later("beyond", PROMOTED_MAX, { priority: 9 }));
    await jobs.enqueueParallel(times(PROMOTED_MAX, (index) => later(`${index}`, index)));
    expect(await jobs.dequeue()).toBeNull();
    pass(2 * MINUTE);
    // Not the most urgent one: that is the last to become due, and this claim does not come to it.
    expect(present(await jobs.dequeue()).stageId).toBe("0");
    expect(present(await jobs.dequeue()).stageId).toBe("beyond");
    expect(present(await jobs.dequeue()).stageId).toBe("1");
  });

  it("count among them jobs that wait for another attempt", async () => {
    const { jobs } = open().connect();
    await jobs.enqueue({ ...JOB, stageId: "again", priority: 9 });
    const failed = present(await jobs.dequeue());
    await jobs.enqueueParallel(
      times(PROMOTED_MAX, () => ({ ...JOB, scheduledFor: new Date(START + 1_000) })),
    );
    // Its pause is longer than theirs.
    await jobs.fail(failed.jobId, "no", true);
    pass(MINUTE);
    expect(present(await jobs.dequeue()).stageId).toBe(JOB.stageId);
    expect(present(await jobs.dequeue()).stageId).toBe("again");
  });
});
