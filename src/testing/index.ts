/** `workflow-engine-cloudflare/testing`: what others may run. */
export { createMemoryBackend, type MemoryBackend, type MemoryBackendOptions } from "./memory.ts";
