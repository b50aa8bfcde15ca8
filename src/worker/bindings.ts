/**
 * Whether the bindings are there that a Worker needs, and whether it works stages itself. A binding that
 * is missing is told before anything is written, with the lines that bind it.
 */
import { ServiceError } from "../contract/index.ts";

interface Kind {
  readonly is: string;
  /** A method that every binding of this kind has. */
  readonly method: string;
  /** Of wrangler.toml. */
  readonly lines: readonly string[];
}

const KINDS = {
  DB: {
    is: "a D1 database",
    method: "prepare",
    lines: [
      "[[d1_databases]]",
      'binding = "DB"',
      'database_name = "workflow-engine"',
      'database_id = "the id that wrangler d1 create prints"',
      'migrations_dir = "node_modules/workflow-engine-cloudflare/migrations"',
    ],
  },
  RUNS: {
    is: "the namespace of the Durable Object class RunCoordinator",
    method: "getByName",
    lines: [
      "[[durable_objects.bindings]]",
      'name = "RUNS"',
      'class_name = "RunCoordinator"',
      "",
      "[[migrations]]",
      'tag = "v1"',
      'new_sqlite_classes = ["RunCoordinator"]',
    ],
  },
  JOBS: {
    is: "a queue",
    method: "sendBatch",
    lines: [
      "[[queues.producers]]",
      'binding = "JOBS"',
      'queue = "workflow-engine-jobs"',
      "",
      "[[queues.consumers]]",
      'queue = "workflow-engine-jobs"',
      "max_batch_size = 10",
      "max_batch_timeout = 0",
    ],
  },
} as const satisfies Readonly<Record<string, Kind>>;

export type Needed = keyof typeof KINDS;

/** What is wrong with the binding, and the lines that it needs. Null: it is there. */
export function lackOf(env: object, name: Needed): string | null {
  const { is, method, lines } = KINDS[name];
  const bound: unknown = Reflect.get(env, name);
  const missing = bound === undefined || bound === null;
  if (!missing && typeof Reflect.get(Object(bound), method) === "function") return null;
  const wrong = missing ? "is missing" : "is of another kind";
  return `The binding ${name} ${wrong}: it must be ${is}. wrangler.toml needs:\n${lines.join("\n")}`;
}

/** @throws INVALID_ARGUMENT that names the first binding that is missing, and its lines. */
export function requireBindings(env: object, names: readonly Needed[]): void {
  for (const name of names) {
    const lack = lackOf(env, name);
    if (lack !== null) throw new ServiceError("INVALID_ARGUMENT", lack, { field: name });
  }
}

let worksStages = false;

/** Says that this Worker's code works stages: from then on all its commits wake the queue's consumer. */
export function declareStages(): void {
  worksStages = true;
}

/** Whether this Worker's code works stages: it has an `engine`. */
export function hasStages(): boolean {
  return worksStages;
}
