/** How dispatch is tuned: plain variables of the Worker, each with a default. docs/operations.md tells when to change which. */
import * as z from "zod";
import { RETRY_BASE_MS, RETRY_CAP_MS, STALE_LEASE_MS_DEFAULT } from "../model/index.ts";
import { ServiceError } from "../contract/index.ts";

const DAY_MS = 86_400_000;
const wholeNumber = (min: number, max: number) => z.coerce.number().int().min(min).max(max);

const schema = z.object({
  /** A lease that was not renewed for so long is over. */
  LEASE_MS: wholeNumber(1_000, DAY_MS).default(STALE_LEASE_MS_DEFAULT),
  /** How often the consumer renews the leases of what it works. Default: a third of LEASE_MS. */
  HEARTBEAT_MS: wholeNumber(100, DAY_MS).optional(),
  /** How long a handler may take for one job. A consumer has 15 minutes in all. */
  HANDLER_TIMEOUT_MS: wholeNumber(100, 14 * 60_000).default(14 * 60_000),
  /** The pause after delivery n is this times 2^n. */
  RETRY_BASE_MS: wholeNumber(0, DAY_MS).default(RETRY_BASE_MS),
  RETRY_CAP_MS: wholeNumber(0, 31 * DAY_MS).default(RETRY_CAP_MS),
  /** Up to this part of a pause is added to it at random, so that what failed together does not come back together. */
  RETRY_JITTER: z.coerce.number().min(0).max(1).default(0.2),
  /** A due job that waits for longer has lost its permit, and gets another from the sweep. */
  OVERDUE_MS: wholeNumber(0, DAY_MS).default(5_000),
  /** A PENDING run that waits for longer is worth a wake-up. */
  RUN_WAITS_MS: wholeNumber(0, DAY_MS).default(30_000),
  /** An event that could not be published so often goes to the DLQ. */
  OUTBOX_ATTEMPTS: wholeNumber(1, 1_000).default(10),
  /** Idempotency keys are kept for so many days; 0: for ever. */
  IDEMPOTENCY_KEYS_DAYS: wholeNumber(0, 36_500).default(30),
  /** "on": wake-ups are sent although no HANDLER is bound, since the Worker itself has a handler. */
  WAKE_UPS: z.enum(["on", "auto"]).default("auto"),
});

/** The variables, as a Worker's environment holds them. */
export type DispatchVars = { readonly [Name in keyof z.input<typeof schema>]?: string | number };

export interface DispatchSettings {
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  readonly handlerTimeoutMs: number;
  readonly retry: { readonly baseMs: number; readonly capMs: number; readonly jitter: number };
  readonly overdueMs: number;
  readonly runWaitsMs: number;
  readonly outboxAttempts: number;
  /** Null: for ever. */
  readonly keepKeysMs: number | null;
  readonly wakeUpsAlways: boolean;
}

/** @throws INVALID_ARGUMENT that names the variable. */
export function dispatchSettings(vars: DispatchVars): DispatchSettings {
  const result = schema.safeParse(vars);
  if (!result.success) {
    const issue = result.error.issues[0];
    const field = String(issue?.path[0] ?? "");
    throw new ServiceError("INVALID_ARGUMENT", `${field}: ${issue?.message ?? "is invalid"}`, {
      field,
    });
  }
  const set = result.data;
  const heartbeatMs = set.HEARTBEAT_MS ?? Math.ceil(set.LEASE_MS / 3);
  if (heartbeatMs >= set.LEASE_MS) {
    const message = `HEARTBEAT_MS: must be below LEASE_MS, which is ${set.LEASE_MS}`;
    throw new ServiceError("INVALID_ARGUMENT", message, { field: "HEARTBEAT_MS" });
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
