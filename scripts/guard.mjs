/**
 * Runs a Node command that ends no later than its parent: `node guard.mjs FILE ARGS...`. The parent
 * holds the other end of this process's standard input. However the parent ends, even by SIGKILL,
 * the pipe closes, and the process group, this process included, is killed.
 */
import { spawn } from "node:child_process";

const child = spawn(process.execPath, process.argv.slice(2), {
  stdio: ["ignore", "inherit", "inherit"],
});
child.on("exit", (code) => process.exit(code ?? 1));

// Signals reach the command as well, and it takes its time to end in order.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => {});

function killAll() {
  if (process.platform === "win32") child.kill();
  else process.kill(-process.pid, "SIGKILL");
}

process.stdin.on("end", killAll).on("error", killAll).resume();
