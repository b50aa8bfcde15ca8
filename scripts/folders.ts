/**
 * Folders that a command is told to write to. They are checked before the programs start that write
 * to them, since some of these neither say what is wrong nor end.
 */
import { mkdir, mkdtemp, rmdir, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Complaint } from "./complaint.ts";

/** Makes the folder, and those above it. Throws a `Complaint` that names the flag when it cannot be written to. */
export async function requireFolder(flag: string, folder: string): Promise<void> {
  try {
    await make(folder);
    await rmdir(await mkdtemp(join(folder, ".writable-")));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Complaint(`${flag} ${folder} is no folder that can be written to (${why}).`, {
      cause: error,
    });
  }
}

/** `mkdir` with its option `recursive` does not end where the system has no such folder, as in /proc. */
async function make(folder: string): Promise<void> {
  if ((await stat(folder).catch(() => null))?.isDirectory() === true) return;
  if (dirname(folder) !== folder) await make(dirname(folder));
  await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
    // Somebody else was faster; what is in the way of a folder shows later.
    if (error.code !== "EEXIST") throw error;
  });
}
