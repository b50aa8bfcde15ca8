/** Anomalies of single commits: how they land, and what becomes of their answers. */
import { ServiceError, StaleVersionError } from "../../src/contract/index.ts";
import { anEvent, aRun, aStage, present } from "../../src/testing/conformance/support.ts";
import type { Finding, Open } from "./anomaly.ts";
import { CONNECTION_LOST, type Line, onFirstWrite, type Send } from "./database.ts";

const RUN = "run-1";

export async function partialBatch(open: Open): Promise<Finding> {
  const race: string[] = [];
  const failing: Line = async (batch, send) =>
    send(
      batch.map((statement) => {
        if (!statement.sql.includes(`INSERT INTO "outbox_events"`)) return statement;
        race.push("the commit fails at its outbox event");
        return { sql: "SELECT json_extract('{}', 'no path')", params: [] };
      }),
    );
  const [a, b] = [open(failing), open()];
  await b.persistence.createRun(aRun({ id: RUN }));
  await b.persistence.createStage(aStage(RUN));

  try {
    await a.persistence.withTransaction(async (tx) => {
      await tx.updateRun(RUN, { status: "COMPLETED" });
      await tx.updateStageByRunAndStageId(RUN, "extract", { status: "COMPLETED" });
      await tx.appendOutboxEvents([anEvent(RUN)]);
    });
  } catch {
    race.push("a is told so");
  }

  const run = await b.persistence.getRunStatus(RUN);
  const stage = present(await b.persistence.getStage(RUN, "extract")).status;
  const events = (await b.persistence.getUnpublishedOutboxEvents()).length;
  const nothing = run === "PENDING" && stage === "PENDING" && events === 0;
  return {
    race,
    anomaly: nothing ? null : `the run is ${run}, the stage ${stage}, with ${events} events`,
  };
}

export async function claimTwice(open: Open): Promise<Finding> {
  const race: string[] = [];
  const b = open();
  let ofB: string | null = null;
  const overtaken: Line = onFirstWrite(async (batch, send) => {
    race.push("a has chosen the run");
    ofB = (await b.persistence.claimNextPendingRun())?.id ?? null;
    race.push("b has claimed it");
    const answers = send(batch);
    race.push("a claims it");
    return answers;
  });
  const a = open(overtaken);
  await b.persistence.createRun(aRun({ id: RUN }));

  const ofA = (await a.persistence.claimNextPendingRun())?.id ?? null;

  return { race, anomaly: ofA !== null && ofA === ofB ? "both have claimed it" : null };
}

/** Whether a's callback appends its event depends on a run that b cancels before it lands. */
export async function outboxGap(open: Open): Promise<Finding> {
  const race: string[] = [];
  const b = open();
  const overtaken: Line = onFirstWrite(async (batch, send) => {
    race.push("a's commit is under way");
    await b.persistence.updateRun(RUN, { status: "CANCELLED" });
    race.push("b has cancelled the run");
    try {
      return await send(batch);
    } catch (error) {
      race.push("a's commit is rolled back");
      throw error;
    }
  });
  const a = open(overtaken);
  await b.persistence.createRun(aRun({ id: RUN }));

  await a.persistence.withTransaction(async (tx) => {
    if ((await tx.getRunStatus(RUN)) === "CANCELLED") return;
    await tx.appendOutboxEvents([anEvent(RUN)]);
  });
  await b.persistence.appendOutboxEvents([anEvent(RUN)]);

  const sequences = (await b.persistence.getUnpublishedOutboxEvents()).map((e) => e.sequence);
  const gap = sequences.some((sequence, index) => sequence !== index + 1);
  return { race, anomaly: gap ? `the sequences are ${sequences.join(", ")}` : null };
}

export async function outboxOrder(open: Open): Promise<Finding> {
  const race: string[] = [];
  const b = open();
  const overtaken: Line = onFirstWrite(async (batch, send) => {
    race.push("a's commit is under way");
    await b.persistence.appendOutboxEvents([anEvent(RUN, { eventType: "of b" })]);
    race.push("b's commit has landed");
    const answers = await send(batch);
    race.push("a's commit has landed");
    return answers;
  });
  const a = open(overtaken);

  await a.persistence.appendOutboxEvents([anEvent(RUN, { eventType: "of a" })]);

  const events = await b.persistence.getUnpublishedOutboxEvents();
  const order = events.map(({ eventType }) => eventType).join(", ");
  return { race, anomaly: order === "of b, of a" ? null : `the events are ${order}` };
}

/** The first write lands, but nobody hears of it. */
function losingTheAnswer(race: string[]): Line {
  return onFirstWrite(async (batch, send) => {
    await send(batch);
    race.push("a's write has landed");
    race.push("its answer is lost");
    throw new Error(CONNECTION_LOST);
  });
}

export async function lostAnswerTakenForConflict(open: Open): Promise<Finding> {
  const race: string[] = [];
  const [a, b] = [open(losingTheAnswer(race)), open()];
  await b.persistence.createRun(aRun({ id: RUN }));

  let anomaly: string | null = null;
  try {
    await a.persistence.updateRun(RUN, { status: "RUNNING", expectedVersion: 1 });
  } catch (error) {
    if (!(error instanceof StaleVersionError)) throw error;
    anomaly = `a expected version ${error.expected} and met ${error.actual}, its own`;
  }

  const { status, version } = present(await b.persistence.getRun(RUN));
  race.push(`the run is ${status} in version ${version}`);
  return { race, anomaly };
}

export async function lostAnswerWrittenTwice(open: Open): Promise<Finding> {
  const race: string[] = [];
  const [a, b] = [open(losingTheAnswer(race)), open()];

  await a.persistence.appendOutboxEvents([anEvent(RUN)]);

  const events = (await b.persistence.getUnpublishedOutboxEvents()).length;
  return { race, anomaly: events === 1 ? null : `${events} events are there of one` };
}

export async function lateDuplicate(open: Open): Promise<Finding> {
  const race: string[] = [];
  let arrive: () => ReturnType<Send> = async () => [];
  const delaying: Line = onFirstWrite(async (batch, send) => {
    arrive = () => send(batch);
    race.push("a's write is under way");
    throw new ServiceError("UNAVAILABLE", "D1 did not answer in time");
  });
  const [a, b] = [open(delaying), open()];

  await a.persistence.appendOutboxEvents([anEvent(RUN)]);
  race.push("a has given it up and written again");
  try {
    await arrive();
  } catch {
    // Refused: the batch is rolled back.
  }
  race.push("the first write has arrived");

  const events = (await b.persistence.getUnpublishedOutboxEvents()).length;
  return { race, anomaly: events === 1 ? null : `${events} events are there of one` };
}
