/**
 * `Idempotency-Key` of requests that act outside of transactions. The commit that acts takes the
 * key along, so at no time is one of them there without the other. The answer is known only
 * afterwards, and a second commit keeps it. Until that has landed, the answer is made again from
 * what the first commit left.
 */
import type { Context } from "hono";
import * as z from "zod";
import { askedAgain, type Change, lackForCommit } from "../../changes/index.ts";
import {
  decodeNullableJson,
  encodeJson,
  type IdempotencyKeyRow,
  tokenOf,
  utf8Length,
} from "../../model/index.ts";
import { type QueryOf } from "../../queries/index.ts";
import { recordAiCall } from "../../persistence/ai-calls.ts";
import { Connection } from "../../persistence/connection.ts";
import { AutoCommit } from "../../persistence/auto-commit.ts";
import { toDelivery } from "../../model/records.ts";
import type { UnitOfWork } from "../../persistence/unit-of-work.ts";
import { validCommit } from "../../changes/validation.ts";
import { CarryingStore } from "./store.ts";
import {
  ANSWER_BYTES_MAX,
  answerOf,
  inUse,
  type Kept,
  keptAs,
  keptOf,
  type KeyedRequest,
  replayed,
  requireSame,
} from "./responses.ts";
import { type Caller, requireNoLack } from "../tokens.ts";
import type { AppEnv } from "../env.ts";

/** How one kind of request does its work once. */
interface Way {
  /**
   * The change that the acting commit takes along. Null where acting twice does no harm and only
   * the answer is kept.
   */
  carried(keyed: KeyedRequest, at: number): Change | null;
  /**
   * Makes the answer again for a request that has acted and has no kept answer. Null where one is
   * kept from the beginning.
   */
  again: ((unit: AutoCommit, row: IdempotencyKeyRow, request: Asked) => Promise<unknown>) | null;
  /**
   * Refuses a caller that may not be answered: callers of one name share their keys, and need not
   * have the same scopes. Absent where the route's scopes decide alone.
   * @throws FORBIDDEN
   */
  readonly allow?: (request: Asked) => void;
}

interface Asked {
  readonly keyed: KeyedRequest;
  readonly bodyText: string;
  readonly caller: Caller;
}

const claimed = z.object({ request: z.string(), claimed: z.literal(true) });

/** The jobs that the claim has leased, as far as they are still leased as they were. */
const DEQUEUE: Way = {
  carried: (keyed, at) => completion(keyed, at, { request: keyed.request, claimed: true }),
  async again(unit, row, { keyed }) {
    const { request } = keptAs(claimed, decodeNullableJson(row.result));
    requireSame(request, keyed.request);
    const claim: QueryOf<"claimedJobs"> = {
      q: "claimedJobs",
      since: row.acquiredAt,
      commitId: tokenOf(row),
    };
    const [jobs] = await unit.read([claim]);
    return { jobs: jobs.map(toDelivery) };
  },
};

/** The commit's reads, as they are answered now. The key's token is the commit's own id. */
const COMMIT: Way = {
  // The key is not completed: completing leaves a trace by which the commit itself could not be
  // settled.
  carried: ({ key, commandType }, at) => ({
    kind: "acquireIdempotencyKey",
    key,
    commandType,
    at,
    staleBefore: null,
  }),
  async again(unit, row, { bodyText }) {
    const { id, reads } = validCommit(JSON.parse(bodyText));
    if (tokenOf(row) !== id) throw inUse();
    return { results: await unit.read(askedAgain(reads)) };
  },
  allow({ caller, bodyText }) {
    requireNoLack(caller, lackForCommit(caller.scopes, validCommit(JSON.parse(bodyText))));
  },
};

const AI_CALL: Way = {
  carried: (keyed, at) => {
    const { request } = keyed;
    return completion(keyed, at, { request, status: 204, headers: {}, body: null });
  },
  again: null,
};

/** A lease ends once, however many requests ask for it. */
const RELEASE_STALE: Way = { carried: () => null, again: null };

/** The requests that act at once: leases are facts, not plans. */
export const AT_ONCE: ReadonlyMap<string, Way> = new Map([
  ["/v1/commits", COMMIT],
  ["/v1/jobs/dequeue", DEQUEUE],
  ["/v1/jobs/release-stale", RELEASE_STALE],
  ["/v1/ai-calls", AI_CALL],
]);

/** Answers a repeat from what is kept; otherwise acts, and keeps the answer. */
export async function actOnce(
  context: Context<AppEnv>,
  next: () => Promise<void>,
  keyed: KeyedRequest,
  way: Way,
): Promise<Response | undefined> {
  const { store, caller, bodyText = "" } = context.var;
  const unit = new AutoCommit(store);
  const asked = { keyed, bodyText, caller };
  const found = await answered(unit, way, asked);
  if (found !== null) return replayed(found, keyed.request);
  const at = await unit.now();
  const carried = way.carried(keyed, at);
  const carrying = carried === null ? null : new CarryingStore(store, keyed, at, carried);
  if (carrying !== null) {
    const direct = new AutoCommit(carrying);
    context.set("store", carrying);
    context.set("backend", new Connection(carrying, { workerId: caller.name }));
    context.set("recordAiCall", async (call) => recordAiCall(direct, call));
  }
  await next();
  if (context.res.status >= 400 || (carrying !== null && way.again === null)) return undefined;
  const own = await answerOf(context.res, keyed.request);
  if (await keep(unit, keyed, own, carrying?.landed ?? null)) return undefined;
  // Another request with the key was first to keep its answer, and that one counts.
  const kept = await answered(unit, way, asked);
  if (kept === null) return undefined;
  // In the place of our own answer: middleware around this has set headers on it, such as those of
  // CORS, which Hono keeps.
  context.res = replayed(kept, keyed.request);
  return undefined;
}

/** What a request with the key was answered, or null if there was none. */
async function answered(unit: AutoCommit, way: Way, asked: Asked): Promise<Kept | null> {
  const { key, commandType, request } = asked.keyed;
  const [row] = await unit.read([{ q: "idempotencyKey", key, commandType }]);
  if (row === null) return null;
  way.allow?.(asked);
  const result = decodeNullableJson(row.result);
  const hasAnswer = typeof result === "object" && result !== null && "status" in result;
  if (hasAnswer) return keptOf(result);
  if (way.again === null) throw inUse();
  const body = JSON.stringify(await way.again(unit, row, asked));
  const answer = { request, status: 200, headers: { "Content-Type": "application/json" }, body };
  await keep(unit, asked.keyed, answer, tokenOf(row));
  return answer;
}

/**
 * Keeps the answer; false if another one is kept already. An answer that cannot be kept is given
 * all the same, since the work is done.
 * @param acted the commit that took the key along.
 */
async function keep(
  unit: UnitOfWork,
  keyed: KeyedRequest,
  answer: Kept,
  acted: string | null,
): Promise<boolean> {
  const { key, commandType } = keyed;
  const expect =
    acted === null ? ({ is: "absent" } as const) : ({ is: "unchanged", token: acted } as const);
  const change = completion(keyed, await unit.now(), answer);
  if (utf8Length(change.result ?? "") > ANSWER_BYTES_MAX) return true;
  try {
    const written = await unit.write({
      guards: [{ on: "idempotencyKey", key, commandType, expect }],
      changes: [change],
    });
    return written.applied;
  } catch (error) {
    console.error("wfe-answer-not-kept", error);
    return true;
  }
}

function completion({ key, commandType }: KeyedRequest, at: number, result: object) {
  return {
    kind: "completeIdempotencyKey" as const,
    key,
    commandType,
    at,
    result: encodeJson(result, "result"),
  };
}
