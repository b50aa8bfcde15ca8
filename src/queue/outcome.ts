/**
 * Checks the answer of a handler, which is code of the application: any answer that is no outcome
 * is a failure of the job.
 */
import * as z from "zod";
import {
  encodeText,
  INSTANT_RULE,
  instantOf,
  JOB_ERROR_BYTES_MAX,
  utf8Length,
} from "../model/index.ts";
import type { JobOutcome } from "../contract/index.ts";

const instant = z.unknown().transform((value, context) => {
  const time = instantOf(value);
  if (time !== null) return new Date(time);
  context.addIssue({ code: "custom", message: INSTANT_RULE });
  return z.NEVER;
});

const outcome = z.discriminatedUnion("status", [
  z.object({ status: z.literal("completed") }),
  z.object({ status: z.literal("suspended"), until: instant }),
  z.object({ status: z.literal("failed"), error: z.string(), retry: z.boolean().default(true) }),
  z.object({ status: z.literal("settled") }),
]);

/**
 * The outcome that the answer is; otherwise a failure with retry, whose error names the wrong
 * field.
 */
export function toOutcome(answer: unknown): JobOutcome {
  const parsed = outcome.safeParse(answer);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const where = ["outcome", ...(issue?.path ?? []).map(String)].join(".");
    return failure(`The handler's answer is no outcome: ${where}: ${issue?.message}`);
  }
  return parsed.data.status === "failed"
    ? { ...parsed.data, error: fitting(parsed.data.error) }
    : parsed.data;
}

/** The failure, with retry, of a job whose handler threw `error`. Never throws. */
export function failure(error: unknown): Extract<JobOutcome, { status: "failed" }> {
  return { status: "failed", error: fitting(told(error)), retry: true };
}

function told(error: unknown): string {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  } catch {
    // For example an object without a prototype. The job has to fail in this case, too.
    return "The handler threw something that has no text";
  }
}

/** Shortened to what the column holds: a long error must not keep the job from failing. */
function fitting(text: string): string {
  if (utf8Length(encodeText(text)) <= JOB_ERROR_BYTES_MAX) return text;
  // No character takes more than six bytes, escaped.
  return `${text.slice(0, Math.floor(JOB_ERROR_BYTES_MAX / 6) - 20)} ... (shortened)`;
}
