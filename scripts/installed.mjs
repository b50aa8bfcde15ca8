/**
 * Runs before each npm script. It checks that the packages of package.json are installed and that
 * their own Node runs; if not, one sentence says what to do. Plain, old JavaScript, so that an old
 * Node can still say it.
 */
import { readFileSync } from "node:fs";

const read = (path) => JSON.parse(readFileSync(new URL(`../${path}`, import.meta.url), "utf8"));

/** The first package that is not as package.json has it, or null. An alias ends with its version, too. */
function missing() {
  const { dependencies, devDependencies } = read("package.json");
  for (const [name, wanted] of Object.entries({ ...dependencies, ...devDependencies })) {
    const version = wanted.slice(wanted.lastIndexOf("@") + 1);
    try {
      if (read(`node_modules/${name}/package.json`).version === version) continue;
    } catch {
      // The package is missing or incomplete.
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
