/** Entry of `npm run token`: see start.mjs. */
const [major, minor] = process.versions.node.split(".").map(Number);

if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `This needs Node 22.18 or newer, and this is Node ${process.versions.node}. ` +
      "Use `npm run token`: it runs on the Node that `npm ci` has installed in this folder.",
  );
  process.exitCode = 1;
} else {
  await import("./token.ts");
}
