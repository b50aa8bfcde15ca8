/** How our commands fail: with a sentence that says what to do, never with a stack. */

/** Read at the start: the parent may be gone later. */
const PARENT = process.ppid;

/** A failure that a person can do something about. Its message says everything. */
export class Complaint extends Error {
  override readonly name = "Complaint";
}

/** Runs a command to its end. Never rejects: the exit code and standard error tell a failure. */
export async function command(main: () => void | Promise<void>, exitCode = 1): Promise<void> {
  try {
    await main();
  } catch (error) {
    console.error(sentenceOf(error));
    if (process.env["DEBUG"]) console.error(error);
    process.exitCode = exitCode;
  }
}

/** npm does not pass a signal on: when it gets one, its process, or its shell, is just gone. */
export function whenAbandoned(then: () => void): void {
  const watch = setInterval(() => {
    if (process.ppid === PARENT) return;
    clearInterval(watch);
    then();
  }, 500);
  watch.unref();
}

function sentenceOf(error: unknown): string {
  if (error instanceof Complaint) return error.message;
  const { message, code } = error as { message?: unknown; code?: unknown };
  const text = typeof message === "string" ? message : String(error);
  // An error of the system (EACCES: permission denied, open '...') names the file.
  if (typeof code === "string" && /^E[A-Z]+$/.test(code)) return `The system refuses: ${text}.`;
  return `This should not happen: ${text}. Repeat it with DEBUG=1 in the environment to see where.`;
}
