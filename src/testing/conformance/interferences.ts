import type { WorkflowPersistence } from "../../contract/index.ts";
import type { ConformanceBackend } from "./harness.ts";
import { anAnnotation, anArtifact, aStage, present, seedRun, seedStage } from "./support.ts";

/** The run that transactions and others meet at. */
export const RUN = "run-1";

/** Something a callback reads of {@link RUN}, and what someone else may do to it meanwhile. */
export interface Interference {
  readonly name: string;
  read(persistence: WorkflowPersistence): Promise<unknown>;
  disturb(other: ConformanceBackend): Promise<unknown>;
}

function change(
  name: string,
  read: Interference["read"],
  disturb: Interference["disturb"],
): Interference {
  return { name, read, disturb };
}

/** The run has a completed stage "extract" and a pending stage "review", one of each other row. */
export async function seedAll(backend: ConformanceBackend): Promise<void> {
  const { persistence } = backend;
  await seedRun(backend, { id: RUN });
  await seedRun(backend, { id: "witness" });
  await seedStage(backend, RUN, { stageId: "extract", status: "COMPLETED" });
  await seedStage(backend, RUN, { stageId: "review", executionGroup: 2 });
  await persistence.saveArtifact(anArtifact(RUN));
  await persistence.appendAnnotations([anAnnotation(RUN)]);
}

const updateReview =
  (update: Parameters<WorkflowPersistence["updateStage"]>[1]): Interference["disturb"] =>
  ({ persistence }) =>
    persistence.updateStageByRunAndStageId(RUN, "review", update);

async function replaceExtract({ persistence }: ConformanceBackend): Promise<void> {
  const stage = present(await persistence.getStage(RUN, "extract"));
  await persistence.deleteStage(stage.id);
  await persistence.createStage(aStage(RUN, { stageId: "extract", status: "COMPLETED" }));
}

export const addStage: Interference["disturb"] = (other) =>
  seedStage(other, RUN, { stageId: "new" });

const saveReport =
  (key: string): Interference["disturb"] =>
  ({ persistence }) =>
    persistence.saveArtifact(anArtifact(RUN, { key, data: "from b" }));

export const INTERFERENCES: readonly Interference[] = [
  change(
    "a run, which is updated",
    (tx) => tx.getRun(RUN),
    ({ persistence }) => persistence.updateRun(RUN, { totalTokens: 7 }),
  ),
  change(
    "a run, which is created",
    (tx) => tx.getRun("new"),
    (other) => seedRun(other, { id: "new" }),
  ),
  change(
    "a run's status, which changes",
    (tx) => tx.getRunStatus(RUN),
    ({ persistence }) => persistence.updateRun(RUN, { status: "CANCELLED" }),
  ),
  change(
    "the status of a run, which is created",
    (tx) => tx.getRunStatus("new"),
    (other) => seedRun(other, { id: "new" }),
  ),
  change(
    "a stage, which is updated",
    (tx) => tx.getStage(RUN, "review"),
    updateReview({ status: "RUNNING" }),
  ),
  change("a stage, which is created", (tx) => tx.getStage(RUN, "new"), addStage),
  change("a stage, which is replaced", (tx) => tx.getStage(RUN, "extract"), replaceExtract),
  change(
    "a stage by its record id, which is updated",
    async (tx) => {
      const stage = present(await tx.getStage(RUN, "review"));
      return tx.getStageById(stage.id);
    },
    updateReview({ status: "RUNNING" }),
  ),
  change("a list of stages, which grows", (tx) => tx.getStagesByRun(RUN), addStage),
  change(
    "a list of stages, one of which is updated",
    (tx) => tx.getStagesByRun(RUN),
    updateReview({ status: "RUNNING" }),
  ),
  change(
    "a list of stages, one of which is replaced",
    (tx) => tx.getStagesByRun(RUN),
    replaceExtract,
  ),
  change(
    "a list of stages of one status, which grows by an update",
    (tx) => tx.getStagesByRun(RUN, { status: "COMPLETED" }),
    updateReview({ status: "COMPLETED" }),
  ),
  change(
    "the first failed stage, which fails only then",
    (tx) => tx.getFirstFailedStage(RUN),
    updateReview({ status: "FAILED" }),
  ),
  change(
    "the last completed stage, which another one overtakes",
    (tx) => tx.getLastCompletedStage(RUN),
    updateReview({ status: "COMPLETED" }),
  ),
  change(
    "the last completed stage before a group, which another one overtakes",
    (tx) => tx.getLastCompletedStageBefore(RUN, 3),
    updateReview({ status: "COMPLETED" }),
  ),
  change(
    "the first stage ready to resume, which is suspended only then",
    (tx) => tx.getFirstSuspendedStageReadyToResume(RUN),
    updateReview({ status: "SUSPENDED" }),
  ),
  change(
    "a stage's record id, which comes into being",
    (tx) => tx.getStageIdForArtifact(RUN, "new"),
    addStage,
  ),
  change(
    "an artifact, which is replaced",
    (tx) => tx.loadArtifact(RUN, "report.json"),
    saveReport("report.json"),
  ),
  change(
    "a missing artifact, which is saved",
    (tx) => tx.loadArtifact(RUN, "new.json"),
    saveReport("new.json"),
  ),
  change(
    "whether there is an artifact, which is saved",
    (tx) => tx.hasArtifact(RUN, "new.json"),
    saveReport("new.json"),
  ),
  change(
    "whether there is an artifact, which is deleted",
    (tx) => tx.hasArtifact(RUN, "report.json"),
    ({ persistence }) => persistence.deleteArtifact(RUN, "report.json"),
  ),
  change("a list of artifacts, which grows", (tx) => tx.listArtifacts(RUN), saveReport("new.json")),
  change(
    "a list of annotations, which grows",
    (tx) => tx.listAnnotations(RUN),
    ({ persistence }) => persistence.appendAnnotations([anAnnotation(RUN, { key: "new" })]),
  ),
];
