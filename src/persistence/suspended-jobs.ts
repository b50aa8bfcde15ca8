/** Jobs that wait to be polled. */
import { joinId, type JobRow } from "../model/index.ts";
import { PAGE_ROWS } from "../queries/index.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

/** All SUSPENDED jobs whose nextPollAt has come, page by page. */
export async function suspendedJobsDue(
  direct: UnitOfWork,
): Promise<Array<{ jobId: string; stageId: string; workflowRunId: string }>> {
  const now = await direct.now();
  const rows: JobRow[] = [];
  for (;;) {
    const last = rows.at(-1);
    const after =
      last === undefined
        ? null
        : {
            nextPollAt: last.nextPollAt ?? now,
            workflowRunId: last.workflowRunId,
            ordinal: last.ordinal,
          };
    const [page] = await direct.read([{ q: "suspendedJobs", now, after }]);
    rows.push(...page);
    if (page.length < PAGE_ROWS) break;
  }
  return rows.map((row) => ({
    jobId: joinId(row.workflowRunId, row.ordinal),
    stageId: row.stageId,
    workflowRunId: row.workflowRunId,
  }));
}
