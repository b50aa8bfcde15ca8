/** How our commands end when something is wrong: with a sentence that says what to do, never with a stack. */

/** Taken at once: it may be gone before anybody asks. */
const PARENT = process.ppid;

/** A failure that a person can do something about: its message is all there is to say. */
export class Complaint extends Error {
  override readonly name = "Complaint";
}

/** Runs a command to its end. Never rejects: a failure is told in the exit code and on standard error. */
export async function command(main: () => void | Promise<void>, exitCode = 1): Promise<void> {
  try {
    await main();
  } catch (error) {
    console.error(sentenceOf(error));
    if (process.env["DEBUG"]) console.error(error);
    process.exitCode = exitCode;
  }
}

/** An npm that is told to end does not pass it on; it, or its shell, just is not there any more. */
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
  // What the system refuses (EACCES: permission denied, open '...') names the file.
  if (typeof code === "string" && /^E[A-Z]+$/.test(code)) return `The system refuses: ${text}.`;
  return `This should not happen: ${text}. Repeat it with DEBUG=1 in the environment to see where.`;
}
