/** Anomalies between two callbacks of `withTransaction`. Each race is in the first run of a callback. */
import type { Backend, WorkflowPersistence } from "../../src/contract/index.ts";
import { aRun, aStage, present } from "../../src/testing/conformance/support.ts";
import type { Finding, Open } from "./anomaly.ts";

const RUN = "run-1";

async function tokensOf(persistence: WorkflowPersistence, id = RUN): Promise<number> {
  return present(await persistence.getRun(id)).totalTokens;
}

async function statusOf(persistence: WorkflowPersistence, stageId: string): Promise<string> {
  return present(await persistence.getStage(RUN, stageId)).status;
}

async function seed({ persistence }: Backend, ...stageIds: string[]): Promise<void> {
  await persistence.createRun(aRun({ id: RUN }));
  for (const stageId of stageIds) {
    await persistence.createStage(aStage(RUN, { stageId, status: "RUNNING" }));
  }
}

/** Runs a's transaction; its first run, and only that, meets somebody else on the way. */
async function meeting(
  { persistence }: Backend,
  body: (tx: WorkflowPersistence, first: boolean) => Promise<void>,
): Promise<void> {
  let runs = 0;
  await persistence.withTransaction(async (tx) => {
    runs += 1;
    await body(tx, runs === 1);
  });
}

export async function lostUpdate(open: Open): Promise<Finding> {
  const [a, b] = [open(), open()];
  const race: string[] = [];
  await seed(a);

  await meeting(a, async (tx, first) => {
    const tokens = await tokensOf(tx);
    if (first) {
      race.push(`a reads ${tokens}`);
      await b.persistence.withTransaction(async (other) => {
        await other.updateRun(RUN, { totalTokens: (await tokensOf(other)) + 1 });
      });
      race.push(`b has made it ${await tokensOf(b.persistence)}`);
      race.push(`a makes it ${tokens + 1}`);
    }
    await tx.updateRun(RUN, { totalTokens: tokens + 1 });
  });

  const tokens = await tokensOf(b.persistence);
  return { race, anomaly: tokens === 2 ? null : `two increments have made ${tokens}` };
}

/** A stage may be skipped only while the other one still runs. */
export async function writeSkew(open: Open): Promise<Finding> {
  const [a, b] = [open(), open()];
  const race: string[] = [];
  await seed(a, "left", "right");
  const skip = async (tx: WorkflowPersistence, stageId: string, other: string) => {
    if ((await statusOf(tx, other)) !== "RUNNING") return;
    await tx.updateStageByRunAndStageId(RUN, stageId, { status: "SKIPPED" });
  };

  await meeting(a, async (tx, first) => {
    if (first) {
      race.push(`a sees right ${await statusOf(tx, "right")}`);
      await b.persistence.withTransaction((other) => skip(other, "right", "left"));
      race.push(`b has made right ${await statusOf(b.persistence, "right")}`);
      race.push("a skips left");
    }
    await skip(tx, "left", "right");
  });

  const left = await statusOf(b.persistence, "left");
  const right = await statusOf(b.persistence, "right");
  const both = left === "SKIPPED" && right === "SKIPPED";
  return { race, anomaly: both ? "both stages are skipped" : null };
}

export async function dirtyRead(open: Open): Promise<Finding> {
  const [a, b] = [open(), open()];
  const race: string[] = [];
  await seed(a);
  let seen: string | null = null;
  const failure = new Error("the callback fails");

  try {
    await a.persistence.withTransaction(async (tx) => {
      await tx.updateRun(RUN, { status: "COMPLETED" });
      race.push("a has written");
      seen = await b.persistence.getRunStatus(RUN);
      race.push("b has read");
      throw failure;
    });
  } catch (error) {
    if (error === failure) race.push("a has failed");
  }

  return { race, anomaly: seen === "PENDING" ? null : `b has read ${seen}, which never was` };
}

export async function nonRepeatableRead(open: Open): Promise<Finding> {
  const [a, b] = [open(), open()];
  const race: string[] = [];
  await seed(a);
  let anomaly: string | null = null;

  await meeting(a, async (tx, first) => {
    const before = await tokensOf(tx);
    if (first) {
      race.push(`a reads ${before}`);
      await b.persistence.updateRun(RUN, { totalTokens: 1 });
      race.push("b has made it 1");
      race.push("a reads again");
    }
    const after = await tokensOf(tx);
    if (after !== before) anomaly = `a has read ${before}, then ${after}`;
  });

  return { race, anomaly };
}

/** One token is moved from a run to another: all together they are always 2. */
export async function readSkew(open: Open): Promise<Finding> {
  const [a, b] = [open(), open()];
  const race: string[] = [];
  await seed(a);
  await a.persistence.createRun(aRun({ id: "run-2" }));
  await a.persistence.updateRun(RUN, { totalTokens: 2 });
  let sum = 0;

  await meeting(a, async (tx, first) => {
    const tokens = await tokensOf(tx);
    if (first) {
      race.push(`a reads ${tokens} of run-1`);
      await b.persistence.withTransaction(async (other) => {
        await other.updateRun(RUN, { totalTokens: 1 });
        await other.updateRun("run-2", { totalTokens: 1 });
      });
      race.push("b has moved one to run-2");
    }
    const others = await tokensOf(tx, "run-2");
    if (first) race.push(`a reads ${others} of run-2`);
    sum = tokens + others;
  });

  return { race, anomaly: sum === 2 ? null : `a has counted ${sum} tokens of 2` };
}

/** A run is completed when every stage that there is has been completed. */
export async function phantomStage(open: Open): Promise<Finding> {
  const [a, b] = [open(), open()];
  const race: string[] = [];
  await seed(a, "extract");
  await a.persistence.updateStageByRunAndStageId(RUN, "extract", { status: "COMPLETED" });

  await meeting(a, async (tx, first) => {
    const stages = await tx.getStagesByRun(RUN);
    if (first) {
      race.push(`a lists ${stages.length} stage`);
      await b.persistence.createStage(aStage(RUN, { stageId: "review" }));
      race.push("b has added review");
    }
    if (!stages.every(({ status }) => status === "COMPLETED")) return;
    if (first) race.push("a completes the run");
    await tx.updateRun(RUN, { status: "COMPLETED" });
  });

  const completed = (await b.persistence.getRunStatus(RUN)) === "COMPLETED";
  return { race, anomaly: completed ? "the run is completed, review is not" : null };
}
