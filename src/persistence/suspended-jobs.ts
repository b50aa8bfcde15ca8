/** Jobs that wait to be polled. */
import { joinId } from "../model/index.ts";
import { allPages, fullPage, suspendedJobPlace, type SuspendedJobPlace } from "../queries/index.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/** All SUSPENDED jobs whose nextPollAt has come, page by page. */
export async function suspendedJobsDue(
  direct: UnitOfWork,
): Promise<Array<{ jobId: string; stageId: string; workflowRunId: string }>> {
  const now = await direct.now();
  const rows = await allPages(async (after: SuspendedJobPlace | null) => {
    const [page] = await direct.read([{ q: "suspendedJobs", now, after }]);
    return fullPage(page, suspendedJobPlace);
  });
  return rows.map((row) => ({
    jobId: joinId(row.workflowRunId, row.ordinal),
    stageId: row.stageId,
    workflowRunId: row.workflowRunId,
  }));
}
