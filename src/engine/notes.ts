/** What a stage says while it runs, checked when it is said, so that its commit takes it. Pure. */
import { ServiceError } from "../contract/index.ts";
import type { LogLevel } from "../contract/index.ts";
import {
  artifactKeyField,
  batchOrNoneField,
  costField,
  keyField,
  logLevelField,
  nameField,
  tokensField,
} from "../model/fields.ts";
import { decodeJson } from "../model/json.ts";
import { memberPath } from "../model/json-numbers.ts";
import { object, optional, type Shape, text } from "../model/shape.ts";
import { encodeText, utf8Length } from "../model/text.ts";
import type { StageAICall } from "./context.ts";
import type { JsonText, StageNotes } from "./delivery.ts";
import { NOTES_MAX, NOTES_UNITS_MAX } from "./limits.ts";
import { requireShape } from "./plan.ts";
import { requireFits, saidText } from "./stored.ts";

/** All of a call but its metadata, which may be anything. */
export const aiCall = object({
  model: nameField,
  inputTokens: tokensField,
  outputTokens: tokensField,
  cost: costField,
  callType: optional(nameField),
  prompt: optional(text()),
  response: optional(text()),
  batchId: optional(batchOrNoneField),
  requestId: optional(keyField),
});

export class Notes {
  readonly #logs: StageNotes["logs"][number][] = [];
  readonly #annotations: StageNotes["annotations"][number][] = [];
  readonly #artifacts = new Map<string, StageNotes["artifacts"][number]>();
  readonly #aiCalls: StageAICall[] = [];
  #count = 0;
  #units = 0;
  #over = false;

  log(message: string, data?: unknown, level: LogLevel = "INFO"): void {
    demand(text(), message, "message");
    demand(logLevelField, level, "level");
    const json = nullableText(withErrors(data), "data");
    this.#add("log", [encodeText(message), json], () => {
      this.#logs.push({ level, message, data: json });
    });
  }

  annotate(key: string, value: unknown): void {
    demand(keyField, key, "key");
    const json = saidText(value, "value");
    this.#add("annotate", [key, json], () => {
      this.#annotations.push({ key, value: json });
    });
  }

  saveArtifact(key: string, data: unknown, metadata?: unknown): void {
    demand(artifactKeyField, key, "key");
    const field = memberPath("artifacts", key);
    const json = saidText(data, `${field}.data`);
    const about = nullableText(metadata, `${field}.metadata`);
    this.#add(field, [key, json, about], () => {
      this.#artifacts.set(key, { key, data: json, metadata: about });
    });
  }

  /** An artifact that was saved here; undefined: none. */
  artifact(key: string): JsonText | undefined {
    return this.#artifacts.get(key)?.data;
  }

  recordCall({ metadata, ...call }: StageAICall): void {
    demand(aiCall, call, "call");
    const about = nullableText(metadata, "metadata");
    const texts = [call.model, call.callType, call.prompt, call.response, call.batchId];
    const stored = [...texts, call.requestId].map((each) => encodeText(each ?? ""));
    this.#add("ai.record", [...stored, about], () => {
      this.#aiCalls.push(about === null ? call : { ...call, metadata: decodeJson(about) });
    });
  }

  /** What was said up to now. What is said later is not kept: the outcome is on its way. */
  taken(): StageNotes {
    this.#over = true;
    return {
      logs: [...this.#logs],
      annotations: [...this.#annotations],
      artifacts: [...this.#artifacts.values()],
      aiCalls: [...this.#aiCalls],
    };
  }

  #add(field: string, texts: readonly (string | null)[], add: () => void): void {
    if (this.#over) return;
    const size = texts.reduce((sum, each) => sum + utf8Length(each ?? ""), 0);
    requireFits(size, field);
    const units = texts.reduce((sum, each) => sum + (each?.length ?? 0), this.#units);
    if (this.#count >= NOTES_MAX) {
      throw tooMany(field, `a stage may say at most ${NOTES_MAX} things in one try`, NOTES_MAX);
    }
    if (units > NOTES_UNITS_MAX) {
      const what = `a stage may say at most ${NOTES_UNITS_MAX} characters in one try`;
      throw tooMany(field, what, NOTES_UNITS_MAX);
    }
    this.#count += 1;
    this.#units = units;
    add();
  }
}

/** The data with what an error tells in its place, where it is the data or a member of it. */
function withErrors(data: unknown): unknown {
  if (data instanceof Error) return told(data);
  if (typeof data !== "object" || data === null || Array.isArray(data)) return data;
  if (!Object.values(data).some((member) => member instanceof Error)) return data;
  return Object.fromEntries(Object.entries(data).map(([name, member]) => [name, told(member)]));
}

/** Causes of an error that are told, each the cause of the one before it. */
const CAUSES_MAX = 3;

/** None of these are members that JSON keeps. */
function told(value: unknown, causes = CAUSES_MAX): unknown {
  if (!(value instanceof Error)) return value;
  const { name, message, stack, cause } = value;
  const next = cause instanceof Error && causes > 0 ? { cause: told(cause, causes - 1) } : {};
  return { name, message, stack, ...next };
}

function demand(shape: Shape<unknown>, value: unknown, field: string): void {
  const problem = shape.check(value);
  if (problem === null) return;
  const at = [field, ...problem.path].join(".");
  requireShape({ check: () => problem }, problem.path.reduce(memberOf, value), at, at);
}

function memberOf(of: unknown, name: string | number): unknown {
  return typeof of === "object" && of !== null ? Reflect.get(of, name) : undefined;
}

/** Undefined and null are nothing. */
function nullableText(value: unknown, field: string): JsonText | null {
  return value === undefined || value === null ? null : saidText(value, field);
}

function tooMany(field: string, what: string, limit: number): ServiceError {
  return new ServiceError("INVALID_ARGUMENT", `${field}: ${what}`, { field, limit });
}
