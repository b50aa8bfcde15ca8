/** How the tables call the contestants. */
import type { Contestant } from "../protocol.ts";

export const NAMES: Record<Contestant, string> = {
  floor: "floor",
  workflows: "Cloudflare Workflows",
  tanstack: "TanStack Workflow",
  engine: "this, engine",
  engineBound: "this, engine beside its service",
  embedded: "this, by contract",
  bound: "this, by contract, bound",
};
