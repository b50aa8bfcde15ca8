/** How the tables call the contestants. */
import type { Contestant } from "../protocol.ts";

export const NAMES: Record<Contestant, string> = {
  floor: "floor",
  workflows: "Cloudflare Workflows",
  tanstack: "TanStack Workflow",
  embedded: "this, embedded",
  bound: "this, bound",
};
