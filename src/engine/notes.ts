/**
 * What a stage says while it runs. It is checked when it is said, so that the commit that carries it
 * cannot fail because of it.
 */
import { LOG_LEVELS } from "../model/fields.ts";
import {
  artifactKeyField,
  costField,
  freeTextField,
  keyField,
  logLevelField,
  nameField,
  tokensField,
} from "../model/fields.ts";
import { decodeJson, encodeJson, encodeNullableJson, tooLarge } from "../model/json.ts";
import type { LogLevel } from "../contract/index.ts";
import { ServiceError } from "../contract/index.ts";
import type { Shape } from "../model/shape.ts";
import type { StageAICall } from "./context.ts";
import type { JsonText, StageNotes } from "./delivery.ts";
import { NOTES_MAX, NOTES_UNITS_MAX } from "./limits.ts";
import { requireShape } from "./plan.ts";

type Artifact = StageNotes["artifacts"][number];

export class Notes {
  readonly #logs: StageNotes["logs"][number][] = [];
  readonly #annotations: StageNotes["annotations"][number][] = [];
  readonly #artifacts = new Map<string, Artifact>();
  readonly #aiCalls: StageAICall[] = [];
  #count = 0;
  #units = 0;

  log(message: string, data?: unknown, level: LogLevel = "INFO"): void {
    required(freeTextField, message, "log", "message");
    required(logLevelField, level, "log", `level (one of ${LOG_LEVELS.join(", ")})`);
    const text = encodeNullableJson(data, "log: data");
    this.#take([message, text]);
    this.#logs.push({ level, message, data: text });
  }

  annotate(key: string, value: unknown): void {
    required(keyField, key, "annotate", "key");
    const text = encodeJson(value, "annotate: value");
    this.#take([key, text]);
    this.#annotations.push({ key, value: text });
  }

  saveArtifact(key: string, data: unknown, metadata?: unknown): void {
    required(artifactKeyField, key, "artifacts.save", "key");
    const saved = {
      key,
      data: encodeJson(data, "artifacts.save: data"),
      metadata: encodeNullableJson(metadata, "artifacts.save: metadata"),
    };
    this.#take([key, saved.data, saved.metadata]);
    this.#artifacts.set(key, saved);
  }

  /** The data of an artifact that was saved here; null: none was. */
  artifact(key: string): JsonText | null {
    return this.#artifacts.get(key)?.data ?? null;
  }

  recordCall(call: StageAICall): void {
    const { model, inputTokens, outputTokens, cost, callType, prompt = "", response = "" } = call;
    required(nameField, model, "ai.record", "model");
    required(tokensField, inputTokens, "ai.record", "inputTokens");
    required(tokensField, outputTokens, "ai.record", "outputTokens");
    required(costField, cost, "ai.record", "cost");
    if (callType !== undefined) required(nameField, callType, "ai.record", "callType");
    required(freeTextField, prompt, "ai.record", "prompt");
    required(freeTextField, response, "ai.record", "response");
    if (call.batchId !== undefined) required(keyField, call.batchId, "ai.record", "batchId");
    const metadata = encodeNullableJson(call.metadata, "ai.record: metadata");
    this.#take([model, prompt, response, metadata]);
    this.#aiCalls.push({
      ...call,
      ...(metadata === null ? {} : { metadata: decodeJson(metadata) }),
    });
  }

  /** All of it, as it travels with the stage's outcome. */
  taken(): StageNotes {
    return {
      logs: this.#logs,
      annotations: this.#annotations,
      artifacts: [...this.#artifacts.values()],
      aiCalls: this.#aiCalls,
    };
  }

  /** @throws INVALID_ARGUMENT, PAYLOAD_TOO_LARGE with the limit, where one commit would not hold it. */
  #take(texts: readonly (string | null)[]): void {
    this.#count += 1;
    if (this.#count > NOTES_MAX) {
      const message = `A stage may say at most ${NOTES_MAX} things: logs, annotations, artifacts and AI calls`;
      throw new ServiceError("INVALID_ARGUMENT", message, { field: "notes", limit: NOTES_MAX });
    }
    this.#units += texts.reduce((sum, text) => sum + (text?.length ?? 0), 0);
    if (this.#units > NOTES_UNITS_MAX) throw tooLarge("notes", this.#units, NOTES_UNITS_MAX);
  }
}

function required(shape: Shape<unknown>, value: unknown, what: string, field: string): void {
  requireShape(shape, value, `${what}: ${field}`, field);
}
