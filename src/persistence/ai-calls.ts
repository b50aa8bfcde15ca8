/**
 * The AI call logger, over the unit that acts at once: AI calls are never part of a transaction.
 */
import { batchOrNoneField } from "../model/fields.ts";
import {
  type AiCallTotalRow,
  encodeFreeText,
  encodeNullableJson,
  KEY_BYTES_MAX,
  unsignedZero,
} from "../model/index.ts";
import { allPages, fullPage, type QueryOf } from "../queries/index.ts";
import type { AIHelperStats, CreateAICallInput, FlushableAICallLogger } from "../contract/index.ts";
import { afterFirstCommit } from "./auto-commit.ts";
import { checkedChanges, checkedQuery, invalid, requireList, requireObject } from "./encode.ts";
import { ownMethods } from "./own-methods.ts";
import type { UnitOfWork } from "./unit-of-work.ts";

type TotalPlace = NonNullable<QueryOf<"aiCallTotals">["after"]>;

export class AICalls implements FlushableAICallLogger {
  readonly #unit: UnitOfWork;
  readonly #waitUntil: ((promise: Promise<unknown>) => void) | undefined;
  /** Calls that are being recorded. `flush` waits for them. */
  readonly #pending = new Set<Promise<void>>();

  constructor(unit: UnitOfWork, waitUntil?: (promise: Promise<unknown>) => void) {
    this.#unit = unit;
    this.#waitUntil = waitUntil;
    ownMethods(this);
  }

  logCall(call: CreateAICallInput): void {
    const pending: Promise<void> = recordAiCall(this.#unit, call)
      .catch((error: unknown) => {
        // The contract gives a failed call nowhere else to go.
        console.error("An AI call was not recorded", error);
      })
      .finally(() => {
        this.#pending.delete(pending);
      });
    this.#pending.add(pending);
    try {
      this.#waitUntil?.(pending);
    } catch (error) {
      console.error("waitUntil refused to wait for an AI call", error);
    }
  }

  async flush(): Promise<void> {
    await Promise.all(this.#pending);
  }

  /**
   * A request of a batch has one result: the first that is recorded. A result that does not name
   * its request gets a place made from its content. So the same result is the same row, no matter
   * which caller records it and how often; of two equal results in one call, the second gets a
   * place of its own.
   */
  async logBatchResults(batchId: string, results: CreateAICallInput[]): Promise<void> {
    checkedQuery("logBatchResults", { q: "aiBatch", batchId });
    // "" stands for calls that belong to no batch, and an empty text is no step of a path.
    if (batchId === "")
      throw invalid("logBatchResults: batchId must not be empty", { field: "batchId" });
    const now = await this.#unit.now();
    const occurrences = new Map<string, number>();
    const changes = [];
    for (const result of requireList("logBatchResults", results)) {
      requireObject("logBatchResults", result);
      const call = encodeCall({ ...result, metadata: metadataIn(batchId, result) });
      const row = { ...call, batchId, ordinal: "0", createdAt: now };
      checkedChanges("logBatchResults", [{ kind: "recordAiCall", row }]);
      const requestId = requestIdOf(result, call);
      const place = requestId === null ? await digestOf(call) : await ordinalOf(requestId);
      const occurrence = occurrences.get(place) ?? 0;
      occurrences.set(place, occurrence + 1);
      if (requestId !== null && occurrence > 0) continue;
      const ordinal =
        requestId === null ? `${place}${occurrence.toString(36).padStart(6, "0")}` : place;
      changes.push({ kind: "recordAiCall" as const, row: { ...row, ordinal } });
    }
    let unit = this.#unit;
    for (const portion of unit.portions(changes)) {
      await unit.write({ changes: portion });
      unit = afterFirstCommit(this.#unit);
    }
  }

  async isRecorded(batchId: string): Promise<boolean> {
    const [recorded] = await this.#unit.read([
      checkedQuery("isRecorded", { q: "aiBatch", batchId }),
    ]);
    return recorded && batchId !== "";
  }

  async getStats(topicPrefix: string): Promise<AIHelperStats> {
    const totals = await allPages(async (after: TotalPlace | null) => {
      const [page] = await this.#unit.read([
        checkedQuery<QueryOf<"aiCallTotals">>("getStats", {
          q: "aiCallTotals",
          prefix: topicPrefix,
          after,
        }),
      ]);
      return fullPage(page, ({ topic, modelKey }) => ({ topic, modelKey }));
    });
    return statsOf(totals);
  }
}

/** As logCall, and rejects when the call cannot be recorded. */
export async function recordAiCall(unit: UnitOfWork, call: CreateAICallInput): Promise<void> {
  const now = await unit.now();
  const encoded = encodeCall(requireObject("logCall", call));
  const batchId = batchIdOf(call, encoded);
  const requestId = batchId === "" ? null : requestIdOf(call, encoded);
  const ordinal = requestId === null ? unit.ordinal(now) : await ordinalOf(requestId);
  const row = { ...encoded, batchId, ordinal, createdAt: now };
  await unit.write({ changes: checkedChanges("logCall", [{ kind: "recordAiCall", row }]) });
}

type EncodedCall = ReturnType<typeof encodeCall>;

/**
 * The metadata of a batch's result, with the batch and the request in it, as earlier engines have
 * it. What is no object has no place for them, and stays as it is.
 */
function metadataIn(batchId: string, { metadata, requestId }: CreateAICallInput): unknown {
  const told = encodeNullableJson(metadata, "metadata");
  const value: unknown = told === null ? {} : JSON.parse(told);
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return { ...value, batchId, ...(typeof requestId === "string" ? { requestId } : {}) };
}

/** A member of the metadata, as it is stored. */
function inMetadata({ metadata }: EncodedCall, name: string): unknown {
  const value: unknown = metadata === null ? null : JSON.parse(metadata);
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
  return Reflect.get(value, name);
}

/**
 * "" for a call that belongs to no batch. Metadata may hold anything: a value that cannot name a
 * batch is ignored.
 */
function batchIdOf(call: CreateAICallInput, encoded: EncodedCall): string {
  if (isTold(call.batchId)) return call.batchId;
  const told = inMetadata(encoded, "batchId");
  return typeof told === "string" && batchOrNoneField.check(told) === null ? told : "";
}

/** Callers without types may say null for none. */
function isTold(id: string | null | undefined): id is string {
  return id !== undefined && id !== null;
}

/** Null for a call that does not say which request of its batch it answers. */
function requestIdOf(call: CreateAICallInput, encoded: EncodedCall): string | null {
  if (isTold(call.requestId)) return encodeFreeText(call.requestId, "requestId", KEY_BYTES_MAX);
  const told = inMetadata(encoded, "requestId");
  return typeof told === "string" ? told : null;
}

function encodeCall(call: CreateAICallInput) {
  return {
    topic: call.topic,
    callType: call.callType,
    modelKey: call.modelKey,
    modelId: call.modelId,
    prompt: encodeFreeText(call.prompt, "prompt"),
    response: encodeFreeText(call.response, "response"),
    inputTokens: unsignedZero(call.inputTokens),
    outputTokens: unsignedZero(call.outputTokens),
    cost: unsignedZero(call.cost),
    metadata: encodeNullableJson(call.metadata, "metadata"),
  };
}

/** SHA-256 in base 36 of the call, with the members of its metadata in one order. */
async function digestOf(call: EncodedCall): Promise<string> {
  const metadata: unknown = call.metadata === null ? null : JSON.parse(call.metadata);
  return digest([
    call.topic,
    call.callType,
    call.modelKey,
    call.modelId,
    call.prompt,
    call.response,
    call.inputTokens,
    call.outputTokens,
    call.cost,
    sorted(metadata),
  ]);
}

/**
 * The place of a request's result in its batch. It is shorter than the place made from a content,
 * so the two never meet.
 */
export async function ordinalOf(requestId: string): Promise<string> {
  return digest(["request", requestId]);
}

async function digest(parts: readonly unknown[]): Promise<string> {
  const text = JSON.stringify(parts);
  const bytes = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  const value = Array.from(new Uint8Array(bytes)).reduce(
    (sum, byte) => sum * 256n + BigInt(byte),
    0n,
  );
  return value.toString(36).padStart(50, "0");
}

/** The value with the members of its objects in one order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.entries(value)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => [key, sorted(member)]);
}

function statsOf(totals: readonly AiCallTotalRow[]): AIHelperStats {
  // No prototype: a model may be called "__proto__".
  const perModel: AIHelperStats["perModel"] = Object.create(null) as AIHelperStats["perModel"];
  const stats = { totalCalls: 0, totalInputTokens: 0, totalOutputTokens: 0, totalCost: 0 };
  for (const total of totals) {
    stats.totalCalls += total.calls;
    stats.totalInputTokens += total.inputTokens;
    stats.totalOutputTokens += total.outputTokens;
    stats.totalCost += total.cost;
    const model = (perModel[total.modelKey] ??= {
      calls: 0,
      inputTokens: 0,
      outputTokens: 0,
      cost: 0,
    });
    model.calls += total.calls;
    model.inputTokens += total.inputTokens;
    model.outputTokens += total.outputTokens;
    model.cost += total.cost;
  }
  return { ...stats, perModel: { ...perModel } };
}
