import type { Jobs } from "../../../src/persistence/jobs.ts";
import type { ConsumerJobs } from "../../../src/queue/consumer-jobs.ts";
import type { AICallLogger, Backend, WorkflowPersistence } from "../../../src/contract/index.ts";
import type { World } from "../support/world.ts";

export type Method =
  | `persistence.${keyof WorkflowPersistence}`
  | `jobs.${keyof Jobs}`
  | `consumer.${keyof ConsumerJobs}`
  | `aiCalls.${keyof AICallLogger}`;

/**
 * What a repeat of the call comes to that was told UNAVAILABLE, when the first one has landed after all. When it has
 * not, a repeat is simply the first one.
 */
export type Repeat =
  /** The same answer, and no further effect. */
  | "the same"
  /** No further effect, and an answer that tells so: the value, or the fault's code or name. */
  | { readonly answers: unknown }
  | { readonly fails: string }
  /** A second effect, for this reason. */
  | { readonly adds: string };

export interface Scenario {
  readonly method: Method;
  /** What is special about it. */
  readonly title?: string;
  /** Made before the call, through the same connection or another one, without faults. */
  readonly prepare?: (backend: Backend, world: World, other: Backend) => Promise<unknown>;
  readonly call: (backend: Backend, world: World) => Promise<unknown>;
  readonly repeat: Repeat;
}

export function nameOf({ method, title }: Scenario): string {
  return title === undefined ? method : `${method}, ${title}`;
}
