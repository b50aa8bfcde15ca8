/**
 * Takes runs of typed workflows from stage to stage: every transition of a run, each one commit; the
 * worker's way through them; and `runs`, which starts and steers them. Not here: what a workflow is
 * and what its code does (`engine/`), and where jobs come from (`queue/`). Imports `engine/`,
 * `persistence/`, `changes/`, `queries/`, `model/` and `contract/`.
 */
export { endDead } from "./death.ts";
export { drive } from "./drive.ts";
export { runsOf } from "./runs.ts";
