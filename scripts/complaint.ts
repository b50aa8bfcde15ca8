/** How our commands end when something is wrong: with a sentence that says what to do, never with a stack. */

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

function sentenceOf(error: unknown): string {
  if (error instanceof Complaint) return error.message;
  const { message, code } = error as { message?: unknown; code?: unknown };
  const text = typeof message === "string" ? message : String(error);
  // What the system refuses (EACCES: permission denied, open '...') names the file.
  if (typeof code === "string" && /^E[A-Z]+$/.test(code)) return `The system refuses: ${text}.`;
  return `This should not happen: ${text}. Repeat it with DEBUG=1 in the environment to see where.`;
}
