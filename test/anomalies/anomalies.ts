/** Every anomaly that the store rules out, with the race that would bring it about and what prevents it. */
import type { Anomaly } from "./anomaly.ts";
import * as commits from "./commits.ts";
import * as mutations from "./mutations.ts";
import * as transactions from "./transactions.ts";

export const ANOMALIES: readonly Anomaly[] = [
  {
    name: "lost update",
    race: ["a reads 0", "b has made it 1", "a makes it 1"],
    scenario: transactions.lostUpdate,
    finding: "two increments have made 1",
    mutation: mutations.withoutTokensOfWrittenRows,
  },
  {
    name: "write skew between two stages of one run",
    race: ["a sees right RUNNING", "b has made right SKIPPED", "a skips left"],
    scenario: transactions.writeSkew,
    finding: "both stages are skipped",
    mutation: mutations.withoutTokensOfReadRows,
  },
  {
    name: "dirty read",
    race: ["a has written", "b has read", "a has failed"],
    scenario: transactions.dirtyRead,
    finding: "b has read COMPLETED, which never was",
    mutation: mutations.writingAtOnce,
  },
  {
    name: "non-repeatable read inside a callback",
    race: ["a reads 0", "b has made it 1", "a reads again"],
    scenario: transactions.nonRepeatableRead,
    finding: "a has read 0, then 1",
    mutation: mutations.readingEachTime,
  },
  {
    name: "read skew between two trips of one callback",
    race: ["a reads 2 of run-1", "b has moved one to run-2", "a reads 1 of run-2"],
    scenario: transactions.readSkew,
    finding: "a has counted 3 tokens of 2",
    mutation: mutations.withoutCommitsOfReads,
  },
  {
    name: "phantom stage",
    race: ["a lists 1 stage", "b has added review", "a completes the run"],
    scenario: transactions.phantomStage,
    finding: "the run is completed, review is not",
    mutation: mutations.withoutLists,
  },
  {
    name: "partial batch",
    race: ["the commit fails at its outbox event", "a is told so"],
    scenario: commits.partialBatch,
    finding: "the run is COMPLETED, the stage COMPLETED, with 0 events",
    mutation: mutations.withoutBatches,
  },
  {
    name: "claim twice",
    race: ["a has chosen the run", "b has claimed it", "a claims it"],
    scenario: commits.claimTwice,
    finding: "both have claimed it",
    mutation: mutations.withoutStatusOfClaims,
  },
  {
    name: "outbox gap",
    race: ["a's commit is under way", "b has cancelled the run", "a's commit is rolled back"],
    scenario: commits.outboxGap,
    finding: "the sequences are 2",
    mutation: mutations.numberedOutsideTheBatch,
  },
  {
    name: "outbox order against commit order",
    race: ["a's commit is under way", "b's commit has landed", "a's commit has landed"],
    scenario: commits.outboxOrder,
    finding: "the events are of b",
    mutation: mutations.numberedBeforeTheBatch,
  },
  {
    name: "lost answer taken for a conflict",
    race: ["a's write has landed", "its answer is lost", "the run is RUNNING in version 2"],
    scenario: commits.lostAnswerTakenForConflict,
    finding: "a expected version 1 and met 2, its own",
    mutation: mutations.withoutSettling,
  },
  {
    name: "lost answer written twice",
    race: ["a's write has landed", "its answer is lost"],
    scenario: commits.lostAnswerWrittenTwice,
    finding: "2 events are there of one",
    mutation: mutations.withoutSettling,
  },
  {
    name: "late duplicate of a write that was given up",
    race: [
      "a's write is under way",
      "a has given it up and written again",
      "the first write has arrived",
    ],
    scenario: commits.lateDuplicate,
    finding: "2 events are there of one",
    mutation: mutations.withoutFence,
  },
];
