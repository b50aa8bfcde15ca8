/**
 * The sweep: the cron pass that finds all work that lost its wake-up. Not here: how the cron
 * reaches it (`worker/`), and the statements that find the rows (`store/`, by `queries/`). It may
 * import `queue/`, `persistence/`, `changes/`, `queries/`, `model/` and `contract/`, but not
 * `coordinator/`.
 */
export { sweep, type SweepReport, type SweepStep } from "./sweep.ts";
