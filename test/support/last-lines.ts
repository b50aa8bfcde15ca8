/**
 * What a commit wakes in a Worker may print a line after the file's last test. The pool keeps a line of
 * another event until the file's own sends something, and Vitest waits for the line before it lets the
 * file end. So nothing is printed any more.
 */
import { afterAll } from "vitest";

afterAll(() => {
  for (const level of ["log", "info", "warn", "error", "debug"] as const) {
    console[level] = () => {};
  }
});
