/**
 * Entry of `npm start`. Plain JavaScript without anything new in it, so that a Node that is too old
 * for the rest can still say so.
 */
const [major, minor] = process.versions.node.split(".").map(Number);

if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `This needs Node 22.18 or newer, and this is Node ${process.versions.node}. ` +
      "Use `npm start`: it runs on the Node that `npm ci` has installed in this folder.",
  );
  process.exitCode = 1;
} else {
  await import("./start.ts");
}
