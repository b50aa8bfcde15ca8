/** Values from outside, made into what a definition says they are. */
import { ServiceError } from "../contract/index.ts";
import { decodeJson } from "../model/json.ts";
import { memberPath } from "../model/json-numbers.ts";
import type { Definition } from "./definition.ts";
import { shown } from "./duration.ts";
import { PAYLOAD_BYTES_MAX } from "./limits.ts";
import { listed } from "./names.ts";
import type { SchemaIssue, StandardSchema } from "./standard-schema.ts";
import { exactText, saidText } from "./stored.ts";

/** Problems that an error tells; the rest are counted. */
const ISSUES_SHOWN_MAX = 3;

/**
 * What the workflow's schema makes of a run's input, defaults filled in, as plain JSON.
 * @throws INVALID_ARGUMENT with the path of the first problem as `field`; PAYLOAD_TOO_LARGE.
 */
export async function checkedInput(definition: Definition, input: unknown): Promise<unknown> {
  return checked(definition.input, input, "input");
}

/**
 * What the stages' schemas make of a run's config: an object with a member for each stage that has a
 * config, defaults filled in, as plain JSON.
 * @throws INVALID_ARGUMENT with the path of the first problem as `field`, also for a stage that takes
 * no config or is not there; PAYLOAD_TOO_LARGE.
 */
export async function checkedConfig(
  { plan }: Definition,
  config: unknown = {},
): Promise<Readonly<Record<string, unknown>>> {
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw invalid("config must be an object with stages' ids for names", "config");
  }
  const given = new Map<string, unknown>(Object.entries(config));
  const schemas = new Map<string, StandardSchema>();
  for (const element of plan.byId.values()) {
    const schema = "step" in element ? element.step.config : undefined;
    if (schema !== undefined) schemas.set(element.id, schema);
  }
  // First: what a mistyped name was meant for lacks its config.
  for (const id of given.keys()) {
    if (schemas.has(id)) continue;
    const field = memberPath("config", id);
    const what = plan.byId.has(id)
      ? `Stage ${shown(id)} takes no config`
      : `${field} is a config of no stage`;
    throw invalid(`${what}; those that take one: ${listed(schemas.keys(), id)}`, field);
  }
  const all: [id: string, config: unknown][] = [];
  for (const [id, schema] of schemas) {
    const own = given.get(id);
    all.push([id, await checked(schema, own === undefined ? {} : own, memberPath("config", id))]);
  }
  return Object.fromEntries(all);
}

/**
 * A signal's payload, as plain JSON. It stays as it was given: the wait that it meets makes of it what
 * its schema says.
 * @throws INVALID_ARGUMENT with the path of the first problem as `field`, also for a name that the
 * workflow does not wait for; PAYLOAD_TOO_LARGE.
 */
export async function checkedSignal(
  { id, plan }: Definition,
  name: string,
  payload: unknown,
): Promise<unknown> {
  const element = plan.byId.get(name);
  if (element?.kind !== "wait") {
    const waits = [...plan.byId.values()].filter(({ kind }) => kind === "wait");
    const known = listed(
      waits.map((wait) => wait.id),
      name,
    );
    const message = `The workflow ${shown(id)} waits for no signal ${shown(name)}; those that it waits for: ${known}`;
    throw invalid(message, "name");
  }
  const text = saidText(payload, "payload", PAYLOAD_BYTES_MAX);
  // What the wait will give has to be storable as well.
  exactText(
    await validated(element.payload, decodeJson(text), "payload"),
    "payload",
    PAYLOAD_BYTES_MAX,
  );
  return decodeJson(text);
}

/**
 * What a schema makes of a value, as plain JSON.
 * @param field names the value in the path of a problem.
 */
async function checked(schema: StandardSchema, value: unknown, field: string): Promise<unknown> {
  // What a schema makes may be anything.
  return decodeJson(exactText(await validated(schema, value, field), field));
}

/**
 * What a schema makes of a value, whatever that is.
 * @param field names the value in the path of a problem.
 * @throws INVALID_ARGUMENT with the path of the first problem as `field`.
 */
export async function validated(
  schema: StandardSchema,
  value: unknown,
  field: string,
): Promise<unknown> {
  const result = await schema["~standard"].validate(value);
  if (result.issues !== undefined) throw refusal(result.issues, field);
  return result.value;
}

function refusal(issues: readonly SchemaIssue[], field: string): ServiceError {
  const told = issues.slice(0, ISSUES_SHOWN_MAX).map((issue) => {
    const path = pathOf(issue, field);
    return { path, text: `${path}: ${issue.message}` };
  });
  const more = issues.length - told.length;
  const rest = more > 0 ? [`and ${more} more`] : [];
  const text = [...told.map((each) => each.text), ...rest].join("; ");
  return invalid(text || `${field} was refused by its schema`, told[0]?.path ?? field);
}

function pathOf({ path = [] }: SchemaIssue, field: string): string {
  return path.reduce<string>((of, step) => {
    const key = typeof step === "object" ? step.key : step;
    return typeof key === "number" ? `${of}[${key}]` : memberPath(of, String(key));
  }, field);
}

function invalid(message: string, field: string): ServiceError {
  return new ServiceError("INVALID_ARGUMENT", message, { field });
}
