/**
 * The amount of work that one invocation of the consumer does. A handler in another Worker bounds
 * it: an invocation may cause 32 others, and a call beyond them fails without reaching the handler.
 * So the kinds of work in a batch share these calls.
 */
import type { WakeUpKind } from "../changes/index.ts";
import { CLAIM_JOBS_MAX } from "../model/index.ts";
import { PAGE_MAX } from "./relay.ts";

/** https://developers.cloudflare.com/workers/runtime-apis/bindings/service-bindings/#limits */
const INVOCATIONS_MAX = 32;
/** Invocations that one call of the handler takes: itself, its connection to the service, and a run's coordinator. */
const INVOCATIONS_PER_CALL = 3;
/** Calls kept for failures, and as many for events, beside jobs: one for each message, up to this. */
const KEPT_MAX = 3;
/** The same if the messages have come before: the event that cannot be published must be found. */
const KEPT_AGAIN = 5;
/** Failures that one wake-up hands over to an embedded handler. */
const FAILURES_MAX = 100;
/**
 * Calls of an embedded handler's `publishEvents` in one wake-up. Each may end in a mark or a count,
 * and an invocation may ask D1 1,000 times.
 */
const PUBLISH_CALLS_MAX = 50;
/**
 * Events of a page of an embedded handler, at the first, second and later deliveries of the wake-up.
 * Its consumer may have died of an event, so fewer and fewer are tried together.
 */
const PAGES_AGAIN = [PAGE_MAX, 10, 1] as const;

/** The most calls of the handler for each kind of work. */
export interface Shares {
  readonly jobs: number;
  readonly failures: number;
  readonly outbox: number;
  /** Events of one page of the outbox. */
  readonly pageMax: number;
}

/** The messages of one kind. */
export interface Asked {
  readonly count: number;
  /** The largest number of deliveries of one of them: 1 for the first delivery. */
  readonly attempts: number;
}

const NOT_ASKED: Asked = { count: 0, attempts: 1 };

/** Shares the calls of one invocation between the kinds of messages of its batch. */
export function sharesOf(asked: ReadonlyMap<WakeUpKind, Asked>, embedded: boolean): Shares {
  const of = (kind: WakeUpKind) => asked.get(kind) ?? NOT_ASKED;
  const again = of("outbox").attempts - 1;
  if (embedded) {
    const pageMax = PAGES_AGAIN[Math.min(again, PAGES_AGAIN.length - 1)] ?? PAGE_MAX;
    return {
      jobs: CLAIM_JOBS_MAX,
      failures: FAILURES_MAX,
      outbox: PUBLISH_CALLS_MAX,
      pageMax,
    };
  }
  // Each kind asks once whether the handler is there, or has its method.
  const calls = Math.floor((INVOCATIONS_MAX - asked.size) / INVOCATIONS_PER_CALL);
  const others = calls - Math.min(of("runs").count, 1);
  const kept = { failures: keptFor(of("failures")), outbox: keptFor(of("outbox")) };
  const jobs = Math.min(of("jobs").count, Math.max(1, others - kept.failures - kept.outbox));
  const left = others - jobs;
  const failures = Math.floor((left * kept.failures) / Math.max(1, kept.failures + kept.outbox));
  const outbox = left - failures;
  // So few events that halving them finds one, although every call fails.
  const pageMax = again > 0 ? Math.min(PAGE_MAX, 2 ** (outbox - 1)) : PAGE_MAX;
  return { jobs, failures, outbox, pageMax };
}

function keptFor({ count, attempts }: Asked): number {
  if (count === 0) return 0;
  return attempts > 1 ? KEPT_AGAIN : Math.min(count, KEPT_MAX);
}
