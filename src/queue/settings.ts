/**
 * How dispatch is tuned: plain variables of the Worker, each with a default. docs/operations.md
 * says when to change which.
 */
import * as z from "zod";
import { RETRY_BASE_MS, RETRY_CAP_MS, STALE_LEASE_MS_DEFAULT } from "../model/index.ts";
import { ServiceError } from "../contract/index.ts";

const DAY_MS = 86_400_000;

/**
 * A number, or a text of its digits, as variables are. Any other text is refused. An empty
 * text is not taken as zero.
 */
const numeric = (what: string, digits: RegExp, min: number, max: number) =>
  z
    .custom<string | number>(
      (value) =>
        (typeof value === "number" || typeof value === "string") &&
        digits.test(String(value)) &&
        Number(value) >= min &&
        Number(value) <= max,
      `must be ${what} from ${min} to ${max}`,
    )
    .transform(Number);
const wholeNumber = (min: number, max: number) =>
  numeric("a whole number", /^(?:0|[1-9]\d*)$/, min, max);
const part = numeric("a number", /^[01](?:\.\d+)?$/, 0, 1);

const schema = z.object({
  /** Milliseconds after which a lease that was not renewed has expired. Default: five minutes. */
  LEASE_MS: wholeNumber(1_000, DAY_MS).default(STALE_LEASE_MS_DEFAULT),
  /** Milliseconds between two renewals of the consumer's leases. Default: a third of LEASE_MS. */
  HEARTBEAT_MS: wholeNumber(100, DAY_MS).optional(),
  /** Milliseconds that a handler may take for one job. A consumer has 15 minutes in all. */
  HANDLER_TIMEOUT_MS: wholeNumber(100, 14 * 60_000).default(14 * 60_000),
  /** The pause after n failed deliveries is this times 2^n. */
  RETRY_BASE_MS: wholeNumber(0, DAY_MS).default(RETRY_BASE_MS),
  /** The longest pause, before jitter. */
  RETRY_CAP_MS: wholeNumber(0, 31 * DAY_MS).default(RETRY_CAP_MS),
  /**
   * A pause grows by a random part of it, at most this one, so that jobs that failed together do
   * not come back together.
   */
  RETRY_JITTER: part.default(0.2),
  /** A job that has been due for longer has lost its permit, and gets another from the sweep. */
  OVERDUE_MS: wholeNumber(0, DAY_MS).default(5_000),
  /** A run that has been PENDING for longer gets a wake-up from the sweep. */
  RUN_WAITS_MS: wholeNumber(0, DAY_MS).default(30_000),
  /** An event with this many failures goes to the DLQ. */
  OUTBOX_ATTEMPTS: wholeNumber(1, 1_000).default(10),
  /** Days for which idempotency keys are kept; 0: for ever. */
  IDEMPOTENCY_KEYS_DAYS: wholeNumber(0, 36_500).default(30),
  /**
   * "on": wake-ups are sent even though no HANDLER is bound, because the Worker itself has a
   * handler.
   */
  WAKE_UPS: z.enum(["on", "auto"]).default("auto"),
});

/**
 * The variables, as a Worker's environment holds them: numbers, or texts of their digits. Each may
 * be left out.
 *
 * @example
 * const vars: DispatchVars = { LEASE_MS: 60_000, HANDLER_TIMEOUT_MS: "30000", RETRY_JITTER: 0.1 };
 */
export type DispatchVars = { readonly [Name in keyof z.input<typeof schema>]?: string | number };

/** The variables, checked, with the defaults filled in. All durations are milliseconds. */
export interface DispatchSettings {
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  readonly handlerTimeoutMs: number;
  readonly retry: { readonly baseMs: number; readonly capMs: number; readonly jitter: number };
  readonly overdueMs: number;
  readonly runWaitsMs: number;
  readonly outboxAttempts: number;
  /** Null: idempotency keys are kept for ever. */
  readonly keepKeysMs: number | null;
  readonly wakeUpsAlways: boolean;
}

/** Characters of a refused value that the error repeats. */
const VALUE_SHOWN_MAX = 100;

function refused(name: string, value: unknown, rule: string): ServiceError {
  const shown = (JSON.stringify(value) ?? String(value)).slice(0, VALUE_SHOWN_MAX);
  const message = `The setting ${name} is ${shown}: it ${rule}`;
  return new ServiceError("INVALID_ARGUMENT", message, { field: name });
}

/** The rule that a variable breaks, to follow "it". */
function ruleOf(issue: z.core.$ZodIssue | undefined): string {
  if (issue?.code === "invalid_value") return `must be one of ${issue.values.join(", ")}`;
  return issue?.code === "custom" ? issue.message : "must be text";
}

/**
 * Checks the variables and fills in the defaults.
 * @throws INVALID_ARGUMENT that names the variable, its value and its rule.
 */
export function dispatchSettings(vars: DispatchVars): DispatchSettings {
  const checked = known.get(vars) ?? settingsOf(vars);
  known.set(vars, checked);
  return checked;
}

/** The settings of each environment that was asked about. An isolate has one, which never changes. */
const known = new WeakMap<DispatchVars, DispatchSettings>();

function settingsOf(vars: DispatchVars): DispatchSettings {
  const result = schema.safeParse(vars);
  if (!result.success) {
    const [issue] = result.error.issues;
    const name = String(issue?.path[0]);
    throw refused(name, Reflect.get(vars, name), ruleOf(issue));
  }
  const set = result.data;
  const heartbeatMs = set.HEARTBEAT_MS ?? Math.ceil(set.LEASE_MS / 3);
  if (heartbeatMs >= set.LEASE_MS) {
    throw refused(
      "HEARTBEAT_MS",
      vars.HEARTBEAT_MS,
      `must be below LEASE_MS, which is ${set.LEASE_MS}`,
    );
  }
  return {
    leaseMs: set.LEASE_MS,
    heartbeatMs,
    handlerTimeoutMs: set.HANDLER_TIMEOUT_MS,
    retry: { baseMs: set.RETRY_BASE_MS, capMs: set.RETRY_CAP_MS, jitter: set.RETRY_JITTER },
    overdueMs: set.OVERDUE_MS,
    runWaitsMs: set.RUN_WAITS_MS,
    outboxAttempts: set.OUTBOX_ATTEMPTS,
    keepKeysMs: set.IDEMPOTENCY_KEYS_DAYS === 0 ? null : set.IDEMPOTENCY_KEYS_DAYS * DAY_MS,
    wakeUpsAlways: set.WAKE_UPS === "on",
  };
}
