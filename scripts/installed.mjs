/**
 * Before each npm script: the packages of this folder are installed, as package.json has them, and the Node that came with them runs.
 * Else one sentence says what to do. Plain JavaScript without anything new in it, so that an old Node can still say so.
 */
import { readFileSync } from "node:fs";

const read = (path) => JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), "utf8"));

/** What is not as package.json has it, or null. An alias (npm:name@version) ends with its version, too. */
function missing() {
  const { dependencies, devDependencies } = read("package.json");
  for (const [name, wanted] of Object.entries({ ...dependencies, ...devDependencies })) {
    const version = wanted.slice(wanted.lastIndexOf("@") + 1);
    try {
      if (read(`node_modules/${name}/package.json`).version === version) continue;
    } catch {
      // It is not there, or only half of it.
    }
    return `${name} ${version}`;
  }
  return null;
}

const lacking = missing();
const [major, minor] = process.versions.node.split(".").map(Number);

if (lacking !== null) {
  console.error(`Run \`npm ci\` first: ${lacking} is not installed in this folder.`);
  process.exitCode = 1;
} else if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `This is Node ${process.versions.node}, too old for this: use the npm script, which runs on the Node that \`npm ci\` has installed in this folder.`,
  );
  process.exitCode = 1;
}
