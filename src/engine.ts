/**
 * `workflow-engine-cloudflare/engine`: defines typed workflows, and starts and steers their runs over a
 * connection. Imports nothing of the platform, so workflows are defined and tested in plain Node.
 * Wiring only.
 */
export * from "./engine/index.ts";
export { runsOf } from "./runner/runs.ts";
