/**
 * The routes of `/v1`, one file per resource: what a request looks like, what it does through the
 * connection, what it answers. Not here: what all routes share (`http/`), and the records' schemas
 * (`http/schemas/`). Imports both, and what `http/` may import.
 */
export { aiCalls } from "./ai-calls.ts";
export { annotations } from "./annotations.ts";
export { artifacts } from "./artifacts.ts";
export { audit } from "./audit.ts";
export { commits } from "./commits.ts";
export { events } from "./events.ts";
export { idempotencyKeys } from "./idempotency-keys.ts";
export { jobLeases } from "./job-leases.ts";
export { jobs } from "./jobs.ts";
export { logs } from "./logs.ts";
export { outbox } from "./outbox.ts";
export { runs } from "./runs.ts";
export { stages } from "./stages.ts";
