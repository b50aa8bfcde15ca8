/**
 * `Idempotency-Key` where a request acts outside of transactions. The commit that acts takes the key along, so there is no instant at
 * which one of them is there without the other. What it answers is known only afterwards, and a second commit keeps it; until that has
 * landed, the answer is made again from what the first one has left.
 */
import type { Context } from "hono";
import * as z from "zod";
import {
  askedAgain,
  type Change,
  decodeNullableJson,
  encodeJson,
  type IdempotencyKeyRow,
  type QueryOf,
  tokenOf,
  utf8Length,
} from "../changes/index.ts";
import { recordAiCall } from "../client/ai-calls.ts";
import { Connection } from "../client/connection.ts";
import { DirectUnit } from "../client/direct.ts";
import { toDelivery } from "../client/records.ts";
import type { Unit } from "../client/unit.ts";
import { validCommit } from "../rpc/validation.ts";
import { CarryingStore } from "./carrying-store.ts";
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
} from "./kept-answers.ts";
import type { AppEnv } from "./support.ts";

/** How one kind of request does its work once. */
interface Way {
  /** What the commit that acts takes along; null where acting twice does no harm, and only the answer is kept. */
  carried(keyed: KeyedRequest, at: number): Change | null;
  /** The answer to a request that has acted, as long as no answer is kept; null where one is kept from the beginning. */
  again: ((unit: Unit, row: IdempotencyKeyRow, request: Asked) => Promise<unknown>) | null;
}

interface Asked {
  readonly keyed: KeyedRequest;
  readonly bodyText: string;
}

const claimed = z.object({ request: z.string(), claimed: z.literal(true) });

/** The jobs that the claim has leased, and that are still leased as they were. */
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

/** The commit's reads, as they answer now. The key's token is the commit's own id, which names it. */
const COMMIT: Way = {
  // Not completed: that leaves a trace by which the commit itself could not be settled.
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
};

const AI_CALL: Way = {
  carried: (keyed, at) => {
    const { request } = keyed;
    return completion(keyed, at, { request, status: 204, headers: {}, body: null });
  },
  again: null,
};

/** A lease ends once, however many ask for it. */
const RELEASE_STALE: Way = { carried: () => null, again: null };

/** What acts at once: leases are facts, not plans. */
export const AT_ONCE: ReadonlyMap<string, Way> = new Map([
  ["/v1/commits", COMMIT],
  ["/v1/jobs/dequeue", DEQUEUE],
  ["/v1/jobs/release-stale", RELEASE_STALE],
  ["/v1/ai-calls", AI_CALL],
]);

export async function actOnce(
  context: Context<AppEnv>,
  next: () => Promise<void>,
  keyed: KeyedRequest,
  way: Way,
): Promise<Response | undefined> {
  const { store, caller, bodyText = "" } = context.var;
  const unit = new DirectUnit(store);
  const found = await answered(unit, way, { keyed, bodyText });
  if (found !== null) return replayed(found, keyed.request);
  const at = await unit.now();
  const carried = way.carried(keyed, at);
  const carrying = carried === null ? null : new CarryingStore(store, keyed, at, carried);
  if (carrying !== null) {
    const direct = new DirectUnit(carrying);
    context.set("store", carrying);
    context.set("backend", new Connection(carrying, { workerId: caller.name }));
    context.set("recordAiCall", async (call) => recordAiCall(direct, call));
  }
  await next();
  if (context.res.status >= 400 || (carrying !== null && way.again === null)) return undefined;
  const own = await answerOf(context.res, keyed.request);
  if (await keep(unit, keyed, own, carrying?.landed ?? null)) return undefined;
  // Another request with the key was first to keep its answer, which is the one that counts.
  const kept = await answered(unit, way, { keyed, bodyText });
  if (kept === null) return undefined;
  // In place of our own: what is around this has set headers there, those of CORS among them, which Hono takes along.
  context.res = replayed(kept, keyed.request);
  return undefined;
}

/** What a request with the key was answered, or null if there was none. */
async function answered(unit: Unit, way: Way, asked: Asked): Promise<Kept | null> {
  const { key, commandType, request } = asked.keyed;
  const [row] = await unit.read([{ q: "idempotencyKey", key, commandType }]);
  if (row === null) return null;
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
 * Keeps the answer, if nobody else has: false. `acted`: the commit that took the key along. An answer that cannot be kept is given all
 * the same: the work is done.
 */
async function keep(
  unit: Unit,
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
